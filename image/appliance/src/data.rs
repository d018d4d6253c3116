//! The data partition: found on the disk that was booted from and on no other, checked, unlocked, mounted at /data, and its
//! folders made. Its folders are bound to their places by mount units (`etc-tenrec.mount` …), which come after this.
//!
//! Whatever is wrong with it, the machine comes up: then the same folders are in memory, and the outcome says why.
//!
//! Mounting itself is systemd's: this writes a mount unit in /run and starts it, so that this program needs no mount of its own
//! that others could see.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::fs::{Mode, chmod, chown};
use serde::{Deserialize, Serialize};
use settings::appliance::Encryption;

use crate::files::{self, Access, group_id, user_id};
use crate::medium;
use crate::places::Places;
use crate::program::Program;

/// GPT label of the partition.
pub(crate) const LABEL: &str = "tenrec-data";
/// Name of the unlocked device under /dev/mapper.
const MAPPED: &str = "tenrec-data";
const OUTCOME: &str = "/run/tenrec-data/outcome.json";
const UNIT: &str = "/run/systemd/system/data.mount";
/// A journal is replayed in seconds; a file system that was damaged is checked whole.
const CHECK: Duration = Duration::from_secs(3600);
/// Bytes at the beginning of a LUKS2 device that have its two headers' first one, tokens included: 16 KiB in cryptsetup's layout.
const LUKS_HEADER: u64 = 16 << 10;
const LUKS_MAGIC: &[u8] = b"LUKS\xba\xbe";
/// How systemd-cryptenroll names its token in the header.
const TPM2_TOKEN: &[u8] = b"\"systemd-tpm2\"";

/// Folders of the partition, with who owns them. The numbers of users are fixed in the image, and owners are set again at each
/// start all the same.
#[rustfmt::skip]
const FOLDERS: &[Folder] = &[
    Folder { name: "etc", user: "root", group: "root", mode: 0o755 },
    Folder { name: "etc/certs", user: "root", group: "root", mode: 0o755 },
    Folder { name: "etc/rules", user: "root", group: "root", mode: 0o755 },
    Folder { name: "etc/ssh", user: "root", group: "root", mode: 0o755 },
    Folder { name: "lib", user: "tenrec", group: "tenrec", mode: 0o750 },
    Folder { name: "viewer", user: "tenrec-viewer", group: "tenrec-viewer", mode: 0o700 },
    Folder { name: "web", user: "tenrec-web", group: "tenrec-web", mode: 0o700 },
    Folder { name: "appliance", user: "root", group: "tenrec-web", mode: 0o750 },
    Folder { name: "journal", user: "root", group: "systemd-journal", mode: 0o755 },
];

struct Folder {
    name: &'static str,
    user: &'static str,
    group: &'static str,
    mode: u32,
}

/// How it went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    /// Whether data is kept.
    pub(crate) kept: bool,
    /// How the partition is encrypted.
    pub(crate) encryption: Encryption,
    /// What went wrong, or was mended, in words for the operator; empty if nothing.
    pub(crate) note: String,
}

/// How it went at this start.
pub(crate) fn read_outcome(places: &Places) -> Outcome {
    fs::read(places.at(OUTCOME)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Mounts it, if there is one, and makes the folders, wherever they are.
///
/// # Errors
/// When even the folders in memory cannot be made.
pub(crate) fn run(places: &Places) -> anyhow::Result<()> {
    let mut outcome = Outcome::default();
    if let Some(device) = find(places) {
        if let Err(error) = mount(places, &device, &mut outcome) {
            tracing::error!(device = %device.display(), error = format!("{error:#}"), "no data partition: nothing is kept");
            outcome.note = format!("The data partition cannot be used, so nothing is kept: {error:#}.");
        }
    } else if !medium::slot(places).is_empty() {
        outcome.note = format!("The disk has no partition {LABEL}, so nothing is kept.");
    }
    make_folders(places, &places.at("/data")).context("cannot make the folders of /data")?;
    files::write(places, &places.at(OUTCOME), &serde_json::to_vec(&outcome)?, Access::PUBLIC).context("cannot write the outcome")
}

/// The device of the partition, on the disk that this system was started from.
fn find(places: &Places) -> Option<PathBuf> {
    let disk = medium::boot_disk(places)?;
    let name = medium::partition(places, &disk, LABEL)?;
    Some(places.at("/dev").join(name))
}

fn mount(places: &Places, partition: &Path, outcome: &mut Outcome) -> anyhow::Result<()> {
    outcome.encryption = encryption(partition).context("it cannot be read")?;
    let device = match outcome.encryption {
        Encryption::None => partition.to_owned(),
        Encryption::Passphrase | Encryption::Tpm2 => unlock(places, partition, outcome.encryption)?,
    };
    outcome.note = check(&device)?;
    files::write(places, &places.at(UNIT), unit(&device).as_bytes(), Access::PUBLIC).context("no mount unit")?;
    Program::new("systemctl").args(["start", "data.mount"]).within(Duration::from_secs(120)).run().context("it cannot be mounted")?;
    outcome.kept = true;
    Ok(())
}

/// How a device is encrypted, by its first bytes.
fn encryption(device: &Path) -> io::Result<Encryption> {
    let mut header = Vec::new();
    File::open(device)?.take(LUKS_HEADER).read_to_end(&mut header)?;
    let has_token = header.windows(TPM2_TOKEN.len()).any(|bytes| bytes == TPM2_TOKEN);
    Ok(match (header.starts_with(LUKS_MAGIC), has_token) {
        (false, _) => Encryption::None,
        (true, true) => Encryption::Tpm2,
        (true, false) => Encryption::Passphrase,
    })
}

/// systemd-cryptsetup asks on the consoles, through the agents that watch for questions. A TPM that does not agree leads to
/// the same question: the recovery key answers it.
fn unlock(places: &Places, partition: &Path, encryption: Encryption) -> anyhow::Result<PathBuf> {
    if encryption == Encryption::Tpm2 {
        wait_for(&places.at("/dev/tpmrm0"), Duration::from_secs(15));
    }
    let options = if encryption == Encryption::Tpm2 { "luks,tpm2-device=auto" } else { "luks" };
    // A person may be hours away; without the data there is nothing to come up for.
    Program::new("/usr/lib/systemd/systemd-cryptsetup")
        .args(["attach", MAPPED, &partition.to_string_lossy(), "-", options])
        .within(Duration::from_secs(7 * 24 * 3600))
        .run()
        .context("it was not unlocked")?;
    Ok(places.at("/dev/mapper").join(MAPPED))
}

fn wait_for(path: &Path, patience: Duration) {
    let deadline = Instant::now() + patience;
    while !path.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Checks the file system: what it mends by itself first, then, since nobody sits at a sensor, whatever it takes. Says what was
/// done.
fn check(device: &Path) -> anyhow::Result<String> {
    let fsck = |how: &str| Program::new("e2fsck").args([how, "-C", "0"]).arg(device.to_string_lossy()).within(CHECK).run_status();
    let status = fsck("-p").context("its file system cannot be checked")?;
    match verdict(status) {
        Verdict::Sound => return Ok(String::new()),
        Verdict::Mended => return Ok("The file system of the data partition was damaged and has been mended.".to_owned()),
        Verdict::Damaged => {}
    }
    tracing::warn!(status, "the data partition is damaged: mending it whatever it takes");
    match verdict(fsck("-y").context("its file system cannot be checked")?) {
        Verdict::Damaged => bail!("its file system is damaged beyond repair"),
        _ => Ok("The file system of the data partition was badly damaged; it has been mended, and files may be missing.".to_owned()),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Sound,
    Mended,
    Damaged,
}

/// e2fsck(8): 1 is "errors corrected", 2 adds "reboot", which matters where the file system is in use; 4 and above are failures.
fn verdict(status: i32) -> Verdict {
    match status {
        0 => Verdict::Sound,
        1..=3 => Verdict::Mended,
        _ => Verdict::Damaged,
    }
}

/// The mount unit. `nodev,nosuid,noexec`: what is kept here is read, never run.
fn unit(device: &Path) -> String {
    format!(
        "# By tenrec-appliance: the data partition of the disk that was booted from.\n\
         [Unit]\nDescription=Tenrec data\nDefaultDependencies=no\nConflicts=umount.target\nBefore=local-fs.target umount.target\n\n\
         [Mount]\nWhat={}\nWhere=/data\nType=ext4\nOptions=nodev,nosuid,noexec,noatime,errors=remount-ro\n",
        device.display()
    )
}

/// Makes the folders of a data partition that is mounted at `data`.
pub(crate) fn make_folders(places: &Places, data: &Path) -> io::Result<()> {
    fs::create_dir_all(data)?;
    for folder in FOLDERS {
        let path = data.join(folder.name);
        fs::create_dir_all(&path)?;
        let owner = user_id(places, folder.user).zip(group_id(places, folder.group));
        match owner {
            Some((user, group)) => chown(&path, Some(user), Some(group))?,
            None => tracing::warn!(user = folder.user, group = folder.group, "no such user or group: the folder stays root's"),
        }
        chmod(&path, Mode::from_raw_mode(folder.mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn without_a_partition_the_folders_are_in_memory_and_nothing_is_noted_on_a_live_system() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        run(&places).unwrap();
        assert_eq!(read_outcome(&places), Outcome::default());
        for folder in FOLDERS {
            let mode = fs::metadata(places.at("/data").join(folder.name)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, folder.mode, "{}", folder.name);
        }
    }

    #[test]
    fn an_installed_system_without_its_partition_says_so() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        fs::create_dir_all(places.at("/proc")).unwrap();
        fs::write(places.at("/proc/cmdline"), "tenrec.slot=a\n").unwrap();
        run(&places).unwrap();
        assert!(read_outcome(&places).note.contains("tenrec-data"));
    }

    #[test]
    fn encryption_is_told_by_the_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device");
        let check = |bytes: &[u8], expected: Encryption| {
            fs::write(&path, bytes).unwrap();
            assert_eq!(encryption(&path).unwrap(), expected);
        };
        check(&[0; 20_000], Encryption::None);
        check(b"LUKS\xba\xbe\0\x02{\"tokens\":{}}", Encryption::Passphrase);
        check(b"LUKS\xba\xbe\0\x02{\"tokens\":{\"0\":{\"type\":\"systemd-tpm2\"}}}", Encryption::Tpm2);
        check(b"\"systemd-tpm2\"", Encryption::None);
    }

    #[test]
    fn a_damaged_file_system_is_mended_and_a_lost_one_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        File::create(&path).unwrap().set_len(8 << 20).unwrap();
        if let Err(error) = Program::new("mkfs.ext4").args(["-q", "-F", "-O", "^metadata_csum"]).arg(path.to_string_lossy()).run() {
            println!("SKIPPED: no mkfs.ext4 here: {error}");
            return;
        }
        assert_eq!(check(&path).unwrap(), "");
        // The root's inode: block group 0's table starts behind superblock, descriptors and bitmaps.
        let mut bytes = fs::read(&path).unwrap();
        let inode_size = 256;
        let table = find_inode_table(&bytes);
        bytes[table + inode_size..table + 2 * inode_size].fill(0xff);
        // s_state: the kernel saw errors, so that the check is not skipped.
        bytes[1024 + 58] = 2;
        fs::write(&path, &bytes).unwrap();
        assert!(check(&path).unwrap().contains("mended"));
        assert_eq!(check(&path).unwrap(), "");
        fs::write(&path, vec![0; 8 << 20]).unwrap();
        assert!(check(&path).is_err());
    }

    /// bg_inode_table_lo of the first group descriptor, in bytes: the superblock is at 1024, descriptors in the block behind.
    fn find_inode_table(disk: &[u8]) -> usize {
        let at = |offset: usize| u32::from_le_bytes(disk[offset..offset + 4].try_into().unwrap()) as usize;
        let block = 1024 << at(1024 + 24);
        let descriptors = if block == 1024 { 2048 } else { block };
        at(descriptors + 8) * block
    }
}
