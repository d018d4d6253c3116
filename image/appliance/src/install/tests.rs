//! A whole installation to a disk that is a file, where loop devices work; without a loop device a line says so.

use super::*;
use crate::grubenv;

/// A file as a disk with partitions.
pub(crate) struct LoopDisk {
    pub(crate) device: PathBuf,
    _folder: tempfile::TempDir,
}

impl LoopDisk {
    fn new(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("disk");
        File::create(&image).unwrap().set_len(bytes).unwrap();
        let made = Program::new("losetup").args(["--partscan", "--find", "--show"]).arg(image.to_string_lossy()).run();
        match made {
            Ok(device) => Some(Self { device: PathBuf::from(device.trim()), _folder: folder }),
            Err(error) => {
                println!("SKIPPED: no loop device: {error}");
                None
            }
        }
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        drop(Program::new("losetup").arg("--detach").arg(self.device.to_string_lossy()).run());
    }
}

/// Whether a whole disk can be made here; a line says why not.
pub(crate) fn blank_disk() -> Option<LoopDisk> {
    let has_images = Path::new("/usr/lib/grub/i386-pc/boot.img").exists();
    if !has_images {
        println!("SKIPPED: no grub-pc-bin here");
    }
    let can = has_images && has_tools(&["sfdisk", "grub-mkimage", "mkfs.ext4", "mkfs.vfat", "mcopy"]);
    can.then(|| LoopDisk::new(disks::SMALLEST)).flatten()
}

fn has_tools(names: &[&str]) -> bool {
    let missing: Vec<&&str> = names
        .iter()
        .filter(|name| matches!(Program::new(name).arg("--version").run(), Err(crate::program::ProgramError::Start { .. })))
        .collect();
    if !missing.is_empty() {
        println!("SKIPPED: not installed here: {missing:?}");
    }
    missing.is_empty()
}

/// A machine with a medium, boot loaders and settings, made up but for GRUB's BIOS images.
fn machine() -> (tempfile::TempDir, Places, Source) {
    let root = tempfile::tempdir().unwrap();
    let places = Places::under(root.path());
    for (path, bytes) in [
        ("/run/live/medium/live/vmlinuz", 3_000_000),
        ("/run/live/medium/live/initrd.img", 5_000_000),
        ("/run/live/medium/live/filesystem.squashfs", 40_000_000),
        ("/usr/lib/shim/shimx64.efi.signed", 900_000),
        ("/usr/lib/shim/mmx64.efi.signed", 800_000),
        ("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", 2_500_000),
    ] {
        fs::create_dir_all(places.at(path).parent().unwrap()).unwrap();
        fs::write(places.at(path), vec![path.len() as u8; bytes]).unwrap();
    }
    std::os::unix::fs::symlink("/usr/lib/grub/i386-pc", places.at("/usr/lib/grub/i386-pc")).unwrap();
    fs::create_dir_all(places.etc().join("certs")).unwrap();
    fs::create_dir_all(places.run("")).unwrap();
    fs::write(places.settings(), "[node]\n").unwrap();
    fs::write(places.etc().join("certs/ca.crt"), "CA").unwrap();
    let source = Source { live: places.at(medium::MOUNT).join("live"), etc: places.etc(), version: "9.9".to_owned() };
    (root, places, source)
}

fn install_to(places: &Places, disk: &Path, source: &Source) {
    let request = Install { disk: "loop".to_owned(), encryption: Encryption::None, passphrase: String::new().into() };
    to_disk(places, disk, source, &request, &mut Progress::begin(places, "install")).unwrap();
}

/// A disk with version 9.9 in slot a, and the machine that it was installed from.
pub(crate) fn installed_disk() -> Option<(LoopDisk, tempfile::TempDir, Places)> {
    let disk = blank_disk()?;
    let (root, places, source) = machine();
    install_to(&places, &disk.device, &source);
    Some((disk, root, places))
}

#[test]
fn a_disk_has_slots_boot_loaders_and_the_settings_after_an_installation() {
    let Some(disk) = blank_disk() else { return };
    let (_root, places, source) = machine();
    install_to(&places, &disk.device, &source);

    let slot = Mounted::at(&places, &layout::partition(&disk.device, layout::SLOT_A), "check").unwrap();
    for name in SYSTEM_FILES {
        assert!(fs::read(slot.path().join("live").join(name)).unwrap() == fs::read(source.live.join(name)).unwrap(), "{name}");
    }
    assert_eq!(fs::read_to_string(slot.path().join("version")).unwrap(), "9.9\n");
    slot.unmount().unwrap();
    let data = Mounted::at(&places, &layout::partition(&disk.device, layout::DATA), "check").unwrap();
    assert_eq!(fs::read_to_string(data.path().join("etc/tenrec.toml")).unwrap(), "[node]\n");
    assert_eq!(fs::read_to_string(data.path().join("etc/certs/ca.crt")).unwrap(), "CA");
    data.unmount().unwrap();
    let environment = esp::environment(&layout::partition(&disk.device, layout::ESP)).unwrap();
    assert_eq!((environment.next(), environment.versions["a"].as_str()), ("a", "9.9"));
    assert!(!environment.versions.contains_key(grubenv::other("a")));

    // The parts are found again by their labels, as the started system finds them.
    let names = Program::new("sfdisk").args(["--dump"]).arg(disk.device.to_string_lossy()).run().unwrap();
    for label in ["tenrec-bios", "tenrec-esp", "tenrec-a", "tenrec-b", data::LABEL] {
        assert!(names.contains(&format!("name=\"{label}\"")), "{names}");
    }
}

#[test]
fn a_uuid_is_of_version_4_and_never_the_same() {
    let (a, b) = (uuid().unwrap(), uuid().unwrap());
    assert_ne!(a, b);
    assert_eq!((a.len(), &a[14..15], a.matches('-').count()), (36, "4", 4), "{a}");
    assert!(matches!(&a[19..20], "8" | "9" | "a" | "b"), "{a}");
}
