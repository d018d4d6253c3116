//! Installing to a disk, all of which is lost: partitions, the running system into slot a, boot loaders, data.
//!
//! Runs in tenrec-install.service, on behalf of `serve`, for the web UI and for the console alike. The request is left in a file
//! that is read once, since it may have a passphrase in it.

pub(crate) mod boot;
pub(crate) mod copy;
mod encrypt;
pub(crate) mod layout;
pub(crate) mod mount;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::fs::{Gid, Uid};
use settings::appliance::{Encryption, Install};

use crate::job::Progress;
use crate::places::Places;
use crate::program::Program;
use crate::{data, disks, esp, medium};
use boot::Identity;
use mount::Mounted;

/// What a system consists of, under `live/` of medium and slot.
pub(crate) const SYSTEM_FILES: [&str; 3] = ["vmlinuz", "initrd.img", "filesystem.squashfs"];
/// Making a file system of many terabytes.
const MKFS: Duration = Duration::from_secs(600);

/// Where `serve` leaves the request.
pub(crate) fn request_file(places: &Places) -> PathBuf {
    places.run("install.json")
}

/// The work of the unit.
///
/// # Errors
/// When there is no request, or the installation failed; the job tells why.
pub(crate) fn run(places: &Places) -> anyhow::Result<()> {
    let path = request_file(places);
    let text = fs::read(&path).context("nothing was asked to be installed")?;
    fs::remove_file(&path)?;
    let request: Install = serde_json::from_slice(&text).context("what is to be installed is not understood")?;
    let mut progress = Progress::go_on(places, "install");
    let outcome = install(places, &request, &mut progress);
    progress.end(&outcome);
    outcome
}

fn install(places: &Places, request: &Install, progress: &mut Progress) -> anyhow::Result<()> {
    progress.step("Check the disk");
    let disks = disks::list(places)?;
    let Some(disk) = disks.iter().find(|disk| disk.id == request.disk) else {
        bail!("there is no disk {:?} beside the medium", request.disk);
    };
    if !disk.refused.is_empty() {
        bail!("{} cannot be taken: {}", disk.id, disk.refused);
    }
    if !medium::slot(places).is_empty() {
        bail!("this system is installed already: start from the medium to install it again");
    }
    encrypt::check(request.encryption, request.passphrase.reveal())?;
    let source = Source { live: places.at(medium::MOUNT).join("live"), etc: places.etc(), version: medium::version(places) };
    to_disk(places, &places.at("/dev").join(&disk.id), &source, request, progress)
}

/// What is installed.
#[derive(Debug)]
struct Source {
    /// Folder with the system's files.
    live: PathBuf,
    /// Settings that are taken along.
    etc: PathBuf,
    version: String,
}

fn to_disk(places: &Places, disk: &Path, source: &Source, request: &Install, progress: &mut Progress) -> anyhow::Result<()> {
    let identity = Identity { slots: [uuid()?, uuid()?], machine: uuid()?.replace('-', "") };
    progress.step(format!("Partition {}", disk.display()));
    layout::write(disk)?;

    progress.step("Make the file systems");
    for (slot, uuid) in ["a", "b"].into_iter().zip(&identity.slots) {
        make_slot(&layout::partition(disk, layout::slot_number(slot)), slot, Some(uuid))?;
    }

    progress.step("Copy the system");
    {
        let slot = Mounted::at(places, &layout::partition(disk, layout::SLOT_A), "slot")?;
        let live = slot.path().join("live");
        fs::create_dir(&live)?;
        let mut hashes = Vec::new();
        let whole: u64 =
            SYSTEM_FILES.iter().filter_map(|name| fs::metadata(source.live.join(name)).ok()).map(|metadata| metadata.len()).sum();
        let mut before = 0;
        for name in SYSTEM_FILES {
            let mut from = File::open(source.live.join(name)).with_context(|| format!("the medium has no {name}"))?;
            let (size, hash) = copy::to_disk(&mut from, &live.join(name), |done| progress.fraction(before + done, whole))?;
            before += size;
            hashes.push((name, hash));
        }
        fs::write(slot.path().join("version"), format!("{}\n", source.version))?;
        slot.sync()?;
        progress.step("Compare what is on the disk");
        for (name, hash) in hashes {
            copy::verify(&live.join(name), &hash)?;
        }
        slot.unmount()?;
    }

    progress.step("Make it start by UEFI and BIOS");
    let files = boot::esp_files(places, &identity, &source.version)?;
    let esp = layout::partition(disk, layout::ESP);
    esp::make(&esp, &files)?;
    for (path, bytes) in &files {
        if esp::read(&esp, path)? != *bytes {
            bail!("{path} is not on the disk as it was written: the disk is damaged");
        }
    }
    boot::write_bios(places, disk)?;

    progress.step(if request.encryption == Encryption::None { "Make the data partition" } else { "Encrypt the data partition" });
    make_data(places, &layout::partition(disk, layout::DATA), source, request, progress)?;
    Program::new("sync").within(Duration::from_secs(120)).run().context("the disk does not take what was written")?;
    progress.step("Done: take the medium out and restart");
    Ok(())
}

/// An empty file system for a slot. Its UUID stays what grub.cfg knows.
pub(crate) fn make_slot(device: &Path, slot: &str, uuid: Option<&str>) -> anyhow::Result<()> {
    let mkfs = Program::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-L", &format!("tenrec-{slot}")]);
    let mkfs = uuid.into_iter().fold(mkfs, |mkfs, uuid| mkfs.args(["-U", uuid]));
    mkfs.arg(device.to_string_lossy()).within(MKFS).run().with_context(|| format!("slot {slot} has no file system"))?;
    Ok(())
}

fn make_data(places: &Places, partition: &Path, source: &Source, request: &Install, progress: &mut Progress) -> anyhow::Result<()> {
    let opened = match request.encryption {
        Encryption::None => None,
        how => {
            let (opened, recovery) = encrypt::make(partition, how, request.passphrase.reveal())?;
            if let Some(key) = recovery {
                progress.remark(format!("recovery key, shown this once, for the day when the TPM does not unlock the data: {key}"));
            }
            Some(opened)
        }
    };
    let device = opened.as_ref().map_or_else(|| partition.to_owned(), encrypt::Opened::device);
    Program::new("mkfs.ext4")
        .args(["-q", "-F", "-m", "1", "-L", data::LABEL])
        .arg(device.to_string_lossy())
        .within(MKFS)
        .run()
        .context("the data partition has no file system")?;
    let mounted = Mounted::at(places, &device, "data")?;
    data::make_folders(places, mounted.path())?;
    if source.etc.join("tenrec.toml").exists() || source.etc.join("web.password").exists() {
        progress.step("Take the settings along");
    }
    copy_tree(&source.etc, &mounted.path().join("etc"), 0).context("the settings cannot be taken along")?;
    mounted.sync()?;
    mounted.unmount()
}

/// Folders below /etc/tenrec, at most.
const DEPTH: usize = 4;

/// Files and folders with owners and modes. Nothing else is in /etc/tenrec, and nothing else is taken.
fn copy_tree(from: &Path, to: &Path, depth: usize) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let (metadata, target) = (fs::symlink_metadata(entry.path())?, to.join(entry.file_name()));
        if metadata.is_dir() && depth < DEPTH {
            fs::create_dir_all(&target)?;
            copy_tree(&entry.path(), &target, depth + 1)?;
        } else if metadata.is_file() {
            fs::copy(entry.path(), &target)?;
        } else {
            continue;
        }
        use std::os::unix::fs::MetadataExt as _;
        rustix::fs::chown(&target, Some(Uid::from_raw(metadata.uid())), Some(Gid::from_raw(metadata.gid())))?;
        fs::set_permissions(&target, metadata.permissions())?;
    }
    Ok(())
}

/// RFC 9562 §5.4.
fn uuid() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("no randomness to be had"))?;
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let text = format!("{number:032x}");
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    Ok([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}

#[cfg(test)]
pub(crate) mod tests;
