//! A reader's place on disk: `sequence u64 | crc32c u32`, little-endian. Replaced as a whole, or not at all.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::disk::{Disk, Mode};

const SUFFIX: &str = ".cursor";

pub(crate) fn path(folder: &Path, reader: &str) -> PathBuf {
    folder.join(format!("{reader}{SUFFIX}"))
}

/// Names and places of all readers that ever acknowledged something here. A damaged cursor reads as 0: its reader begins
/// with the oldest record again, since twice is better than never.
pub(crate) fn list(disk: &dyn Disk, folder: &Path) -> Result<Vec<(String, u64)>, Error> {
    let names = disk.names(folder).map_err(Error::disk("read the folder", folder))?;
    let readers = names.iter().filter_map(|name| name.strip_suffix(SUFFIX));
    Ok(readers.map(|reader| (reader.to_owned(), load(disk, &path(folder, reader)).unwrap_or(0))).collect())
}

fn load(disk: &dyn Disk, path: &Path) -> Option<u64> {
    let mut bytes = [0; 12];
    disk.open(path, Mode::Read).ok()?.read_exact_at(&mut bytes, 0).ok()?;
    let (sequence, rest) = bytes.split_first_chunk::<8>()?;
    (rest == crc32c::crc32c(sequence).to_le_bytes()).then_some(u64::from_le_bytes(*sequence))
}

/// Puts `sequence` in place of the reader's old one.
pub(crate) fn save(disk: &dyn Disk, folder: &Path, reader: &str, sequence: u64) -> Result<(), Error> {
    let temporary = folder.join(format!("{reader}.cursor-new"));
    let mut bytes = sequence.to_le_bytes().to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&sequence.to_le_bytes()).to_le_bytes());
    disk.open(&temporary, Mode::New)
        .and_then(|file| {
            file.write_all_at(&bytes, 0)?;
            file.sync()
        })
        .map_err(Error::disk("write", &temporary))?;
    let path = path(folder, reader);
    disk.rename(&temporary, &path).map_err(Error::disk("replace", &path))?;
    disk.sync_folder(folder).map_err(Error::disk("sync the folder", folder))
}
