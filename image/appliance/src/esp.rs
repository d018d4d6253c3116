//! The EFI system partition, made, read and changed without mounting it: no privilege but the device is needed, and a power cut
//! leaves nothing half mounted.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use fatfs::{FileSystem, FsOptions};

use crate::grubenv::{Environment, SIZE};
use crate::program::Program;

/// Where the environment block is.
const ENVIRONMENT: &str = "grub/grubenv";
/// UEFI §13.3: fixed disks have FAT32, which is what more than 65524 clusters are.
const SECTORS_A_CLUSTER: &str = "4";
const VOLUME: &str = "TENREC-ESP";
/// Forcing some megabytes to a slow disk.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of a file at most: GRUB and shim have five megabytes.
const MAX_FILE: u64 = 32 << 20;

/// Makes the file system, with these files in it: path and bytes.
///
/// By mkfs.vfat and mtools: the library that changes it later writes folders in a way that not every firmware need understand.
///
/// # Errors
/// When the device cannot be written.
pub(crate) fn make(device: &Path, files: &[(&str, Vec<u8>)]) -> anyhow::Result<()> {
    let name = device.to_string_lossy();
    let mkfs = ["-F", "32", "-s", SECTORS_A_CLUSTER, "-n", VOLUME, &name];
    Program::new("mkfs.vfat").args(mkfs).within(PATIENCE).run().context("no FAT can be made")?;
    let work = tempfile::tempdir().context("no temporary folder")?;
    let mut folders = BTreeSet::new();
    for (path, bytes) in files {
        for (at, _) in path.match_indices('/') {
            let folder = path.get(..at).unwrap_or_default();
            if folders.insert(folder) {
                Program::new("mmd").args(["-i", &name, &format!("::/{folder}")]).run().with_context(|| format!("cannot make {folder}"))?;
            }
        }
        let from = work.path().join("file");
        fs::write(&from, bytes)?;
        let (from, to) = (from.to_string_lossy(), format!("::/{path}"));
        Program::new("mcopy").args(["-i", &name, &from, &to]).within(PATIENCE).run().with_context(|| format!("cannot write {path}"))?;
    }
    sync(device)
}

/// A file's bytes.
///
/// # Errors
/// When there is no such file.
pub(crate) fn read(device: &Path, path: &str) -> anyhow::Result<Vec<u8>> {
    let system = open(File::open(device).with_context(|| format!("cannot open {}", device.display()))?)?;
    let file = system.root_dir().open_file(path).with_context(|| format!("the EFI system partition has no {path}"))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Which slot starts.
///
/// # Errors
/// When the partition cannot be read.
pub(crate) fn environment(device: &Path) -> anyhow::Result<Environment> {
    Ok(Environment::parse(&read(device, ENVIRONMENT)?))
}

/// Changes which slot starts. The block is overwritten where it is, so that there is never none.
///
/// # Errors
/// When the partition cannot be written.
pub(crate) fn change(device: &Path, change: impl FnOnce(&mut Environment)) -> anyhow::Result<Environment> {
    let mut environment = environment(device)?;
    change(&mut environment);
    let disk = OpenOptions::new().read(true).write(true).open(device).with_context(|| format!("cannot write {}", device.display()))?;
    let system = open(disk)?;
    {
        let mut file = system.root_dir().open_file(ENVIRONMENT).context("the EFI system partition has no grubenv")?;
        let block = environment.to_block();
        debug_assert_eq!(block.len(), SIZE);
        file.write_all(&block)?;
        file.flush()?;
    }
    system.unmount()?;
    sync(device)?;
    Ok(environment)
}

fn open(disk: File) -> anyhow::Result<FileSystem<File>> {
    // Whether it was unmounted well is of no matter to us: only the block is ever changed.
    FileSystem::new(disk, FsOptions::new()).context("the EFI system partition is no FAT")
}

fn sync(device: &Path) -> anyhow::Result<()> {
    Ok(OpenOptions::new().write(true).open(device)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::ProgramError;

    #[test]
    fn files_go_in_and_come_out_and_the_block_is_changed_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("esp");
        File::create(&device).unwrap().set_len(256 << 20).unwrap();
        let big: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let block = Environment { slot: "a".to_owned(), ..Environment::default() }.to_block();
        if ["mkfs.vfat", "mcopy"].iter().any(|name| matches!(Program::new(name).run(), Err(ProgramError::Start { .. }))) {
            println!("SKIPPED: no mkfs.vfat or mtools here");
            return;
        }
        make(&device, &[("EFI/BOOT/BOOTX64.EFI", big.clone()), (ENVIRONMENT, block)]).unwrap();
        assert!(read(&device, "EFI/BOOT/BOOTX64.EFI").unwrap() == big);
        change(&device, |environment| environment.written("a", "2.0")).unwrap();
        let environment = environment(&device).unwrap();
        assert_eq!((environment.next(), environment.versions["b"].as_str()), ("b", "2.0"));
        assert_eq!(read(&device, ENVIRONMENT).unwrap().len(), SIZE);
        assert!(read(&device, "EFI/BOOT/none").is_err());
        // It says 1 for anything that is not as it should be.
        let report = Program::new("fsck.vfat").args(["-n", "-v"]).arg(device.to_string_lossy()).run().unwrap();
        assert!(report.contains("32 bit entries"), "{report}");
    }
}
