//! What this system was started from: the medium or the slot, and the disk that it is on.

use std::fs;
use std::path::PathBuf;

use crate::places::{Places, read_trimmed};

/// Where live-boot mounts what it started from.
pub(crate) const MOUNT: &str = "/run/live/medium";

/// The slot that runs, `a` or `b`; empty on a live system.
pub(crate) fn slot(places: &Places) -> String {
    let slot = parameter(places, "tenrec.slot").unwrap_or_default();
    if matches!(slot.as_str(), "a" | "b") { slot } else { String::new() }
}

/// The value of a kernel parameter `name=value`; empty for `name` alone.
pub(crate) fn parameter(places: &Places, name: &str) -> Option<String> {
    places.read("/proc/cmdline").split_whitespace().find_map(|word| match word.split_once('=') {
        Some((key, value)) => (key == name).then(|| value.to_owned()),
        None => (word == name).then(String::new),
    })
}

/// Version of the image, by os-release(5); of this program where it runs elsewhere.
pub(crate) fn version(places: &Places) -> String {
    let text = places.read("/etc/os-release");
    let value = text.lines().find_map(|line| line.strip_prefix("IMAGE_VERSION=")).unwrap_or_default().trim_matches('"');
    if value.is_empty() { env!("CARGO_PKG_VERSION").to_owned() } else { value.to_owned() }
}

/// Kernel name of the disk that the medium or the slot is on; none where it cannot be told.
pub(crate) fn boot_disk(places: &Places) -> Option<String> {
    let number = device_of(&places.read("/proc/self/mountinfo"), MOUNT)?;
    disk_of(places, &places.at("/sys/dev/block").join(number))
}

/// Kernel name of the partition with this GPT label on this disk.
pub(crate) fn partition(places: &Places, disk: &str, label: &str) -> Option<String> {
    let entries = fs::read_dir(places.at("/sys/class/block").join(disk)).ok()?;
    entries.flatten().find_map(|entry| {
        let events = read_trimmed(&entry.path().join("uevent"));
        let has_label = events.lines().any(|line| line.strip_prefix("PARTNAME=") == Some(label));
        has_label.then(|| entry.file_name().to_string_lossy().into_owned())
    })
}

/// Device number `major:minor` of what is mounted at `at`: the last that was mounted there counts.
///
/// proc_pid_mountinfo(5): `ID PARENT MAJOR:MINOR ROOT MOUNT-POINT OPTIONS …`.
pub(crate) fn device_of(mountinfo: &str, at: &str) -> Option<String> {
    mountinfo.lines().rev().find_map(|line| {
        let mut fields = line.split(' ').skip(2);
        let (number, _root, point) = (fields.next()?, fields.next()?, fields.next()?);
        (point == at).then(|| number.to_owned())
    })
}

/// The whole disk of a block device in /sys.
fn disk_of(places: &Places, device: &std::path::Path) -> Option<String> {
    let path: PathBuf = fs::canonicalize(device).ok()?;
    let disk = if path.join("partition").exists() { path.parent()? } else { path.as_path() };
    let name = disk.file_name()?.to_string_lossy().into_owned();
    // A medium that is a file (a loop device over an ISO on another disk) is on the disk of that file, which is not known here.
    places.at("/sys/class/block").join(&name).exists().then_some(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_disk_of_the_slot_is_found_and_its_data_partition() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        let disk = places.at("/sys/devices/vda");
        for (part, label) in [("vda4", "tenrec-b"), ("vda5", "tenrec-data")] {
            fs::create_dir_all(disk.join(part)).unwrap();
            fs::write(disk.join(part).join("partition"), "5\n").unwrap();
            fs::write(disk.join(part).join("uevent"), format!("DEVNAME={part}\nPARTNAME={label}\n")).unwrap();
        }
        for folder in ["/sys/class/block", "/sys/dev/block", "/proc/self"] {
            fs::create_dir_all(places.at(folder)).unwrap();
        }
        symlink(&disk, places.at("/sys/class/block/vda")).unwrap();
        symlink(disk.join("vda4"), places.at("/sys/dev/block/254:4")).unwrap();
        fs::write(
            places.at("/proc/self/mountinfo"),
            "30 1 254:4 / /run/live/medium ro - ext4 /dev/vda4 ro\n31 1 0:30 / /data rw - tmpfs\n",
        )
        .unwrap();
        fs::write(places.at("/proc/cmdline"), "boot=live quiet tenrec.slot=b tenrec.install.poweroff\n").unwrap();
        assert_eq!(boot_disk(&places).as_deref(), Some("vda"));
        assert_eq!(partition(&places, "vda", "tenrec-data").as_deref(), Some("vda5"));
        assert_eq!(partition(&places, "vda", "tenrec"), None);
        assert_eq!(slot(&places), "b");
        assert_eq!(parameter(&places, "tenrec.install.poweroff").as_deref(), Some(""));
        assert_eq!(parameter(&places, "tenrec.install"), None);
    }
}
