//! A reader's place on disk: `sequence u64 | crc32c u32`, little-endian. Replaced as a whole, or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::segment::sync_folder;

const SUFFIX: &str = ".cursor";

pub(crate) fn path(folder: &Path, reader: &str) -> PathBuf {
    folder.join(format!("{reader}{SUFFIX}"))
}

/// Names and places of all readers that ever acknowledged something here. A damaged cursor reads as 0: its reader begins
/// with the oldest record again, since twice is better than never.
pub(crate) fn list(folder: &Path) -> Result<Vec<(String, u64)>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::disk("read the folder", folder))?;
    Ok(entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().to_str()?.strip_suffix(SUFFIX)?.to_owned();
            Some((name, load(&entry.path()).unwrap_or(0)))
        })
        .collect())
}

fn load(path: &Path) -> Option<u64> {
    let bytes = fs::read(path).ok()?;
    let (sequence, rest) = bytes.split_first_chunk::<8>()?;
    (rest == crc32c::crc32c(sequence).to_le_bytes()).then_some(u64::from_le_bytes(*sequence))
}

/// Puts `sequence` in place of the reader's old one.
pub(crate) fn save(folder: &Path, reader: &str, sequence: u64) -> Result<(), Error> {
    let temporary = folder.join(format!("{reader}.cursor-new"));
    let mut bytes = sequence.to_le_bytes().to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&sequence.to_le_bytes()).to_le_bytes());
    File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        })
        .map_err(Error::disk("write", &temporary))?;
    let path = path(folder, reader);
    fs::rename(&temporary, &path).map_err(Error::disk("replace", &path))?;
    sync_folder(folder)
}
