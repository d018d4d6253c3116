//! The partitions of an installed disk.
//!
//! ```text
//! 1 tenrec-bios    1 MiB   GRUB's core for BIOS
//! 2 tenrec-esp   256 MiB   FAT32: GRUB for UEFI, its settings, which slot starts
//! 3 tenrec-a       1 GiB   ext4: a system
//! 4 tenrec-b       1 GiB   ext4: a system
//! 5 tenrec-data    rest    ext4, or LUKS2 with ext4
//! ```

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::program::Program;

/// Numbers of the partitions.
pub(crate) const BIOS: u32 = 1;
pub(crate) const ESP: u32 = 2;
pub(crate) const SLOT_A: u32 = 3;
pub(crate) const SLOT_B: u32 = 4;
pub(crate) const DATA: u32 = 5;

/// First sector of the BIOS partition: sfdisk begins at 1 MiB.
pub(crate) const BIOS_SECTOR: u64 = 2048;
/// Sectors of it.
pub(crate) const BIOS_SECTORS: u64 = 2048;

/// How long the kernel may take to know the new partitions.
const NODES: Duration = Duration::from_secs(20);

/// What sfdisk reads.
const SCRIPT: &str = "\
label: gpt
start=2048, size=1MiB, type=21686148-6449-6E6F-744E-656564454649, name=\"tenrec-bios\"
size=256MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=\"tenrec-esp\"
size=1GiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=\"tenrec-a\"
size=1GiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=\"tenrec-b\"
type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=\"tenrec-data\"
";

/// Number of a slot's partition.
pub(crate) fn slot_number(slot: &str) -> u32 {
    if slot == "b" { SLOT_B } else { SLOT_A }
}

/// Device of a partition: `vda1`, but `nvme0n1p1`.
pub(crate) fn partition(disk: &Path, number: u32) -> PathBuf {
    let disk = disk.to_string_lossy();
    let between = if disk.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    PathBuf::from(format!("{disk}{between}{number}"))
}

/// Writes the table; all that was on the disk is gone. Returns when every partition has its device.
///
/// # Errors
/// When the disk is in use or cannot be written.
pub(crate) fn write(disk: &Path) -> anyhow::Result<()> {
    let name = disk.to_string_lossy();
    Program::new("sfdisk")
        .args(["--quiet", "--wipe", "always", "--wipe-partitions", "always", &name])
        .input(SCRIPT)
        .within(Duration::from_secs(60))
        .run()
        .context("the disk cannot be partitioned")?;
    // Where the kernel did not read the table by itself.
    drop(Program::new("partx").args(["--update", &name]).run());
    let deadline = Instant::now() + NODES;
    while !(BIOS..=DATA).all(|number| partition(disk, number).exists()) {
        if Instant::now() > deadline {
            bail!("the new partitions of {name} do not appear");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // udev looks at new devices, and holds them open while it does.
    drop(Program::new("udevadm").args(["settle", "--timeout=20"]).within(Duration::from_secs(30)).run());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_disks_that_end_in_a_digit_have_a_p() {
        for (disk, expected) in [("/dev/vda", "/dev/vda3"), ("/dev/nvme0n1", "/dev/nvme0n1p3"), ("/dev/mmcblk0", "/dev/mmcblk0p3")] {
            assert_eq!(partition(Path::new(disk), slot_number("a")), Path::new(expected));
        }
        assert_eq!(slot_number("b"), SLOT_B);
    }
}
