//! A reader's place on disk, in two slots of which one is durable at any instant.
//!
//! ```text
//! slot 0 | slot 1        each: sequence u64 | crc32c u32, little-endian; the place is the higher of those that are whole
//! ```
//! Every acknowledgement goes at once into the slot that is not durable, where it survives the death of the process; a sync
//! makes that slot the durable one. A power cut can damage the other slot only.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::disk::{Disk, Mode, Opened};

const SUFFIX: &str = ".cursor";
const SLOT: usize = 12;

/// An open cursor.
#[derive(Debug)]
pub(crate) struct Cursor {
    path: PathBuf,
    file: Box<dyn Opened>,
    /// The slot that the next acknowledgement goes into.
    slot: u8,
    dirty: bool,
}

/// Names and places of all readers that ever acknowledged something here, and makes them durable. A damaged cursor reads as 0: its reader begins
/// with the oldest record again, since twice is better than never.
pub(crate) fn list(disk: &dyn Disk, folder: &Path) -> Result<Vec<(String, u64)>, Error> {
    let names = disk.names(folder).map_err(Error::disk("read the folder", folder))?;
    let readers = names.iter().filter_map(|name| name.strip_suffix(SUFFIX));
    let found = readers.map(|reader| {
        let path = path(folder, reader);
        let place = load(disk, &path).map_or(0, |(place, _)| place);
        // What a killed process left.
        disk.open(&path, Mode::Change).and_then(|file| file.sync()).map_err(Error::disk("sync", &path))?;
        Ok((reader.to_owned(), place))
    });
    found.collect()
}

fn path(folder: &Path, reader: &str) -> PathBuf {
    folder.join(format!("{reader}{SUFFIX}"))
}

/// The place and the slot that it stands in.
fn load(disk: &dyn Disk, path: &Path) -> Option<(u64, u8)> {
    let file = disk.open(path, Mode::Read).ok()?;
    let slot = |slot: u8| {
        let mut bytes = [0; SLOT];
        file.read_exact_at(&mut bytes, u64::from(slot) * SLOT as u64).ok()?;
        let (sequence, sum) = bytes.split_first_chunk::<8>()?;
        (sum == crc32c::crc32c(sequence).to_le_bytes()).then_some((u64::from_le_bytes(*sequence), slot))
    };
    slot(0).max(slot(1))
}

impl Cursor {
    /// The reader's cursor; made where there is none.
    pub(crate) fn open(disk: &dyn Disk, folder: &Path, reader: &str) -> Result<Self, Error> {
        let path = path(folder, reader);
        let found = load(disk, &path);
        // One that is damaged in both slots is begun anew.
        let mode = if found.is_some() { Mode::Change } else { Mode::New };
        let file = disk.open(&path, mode).map_err(Error::disk("open", &path))?;
        if found.is_none() {
            disk.sync_folder(folder).map_err(Error::disk("sync the folder", folder))?;
        }
        Ok(Self { path, file, slot: found.map_or(0, |(_, slot)| 1 - slot), dirty: false })
    }

    /// Puts a place where the death of the process leaves it.
    pub(crate) fn write(&mut self, sequence: u64) -> Result<(), Error> {
        let mut bytes = [0; SLOT];
        let (place, sum) = bytes.split_at_mut(8);
        place.copy_from_slice(&sequence.to_le_bytes());
        sum.copy_from_slice(&crc32c::crc32c(&sequence.to_le_bytes()).to_le_bytes());
        self.file.write_all_at(&bytes, u64::from(self.slot) * SLOT as u64).map_err(Error::disk("write", &self.path))?;
        self.dirty = true;
        Ok(())
    }

    /// Makes the place written last durable.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        if self.dirty {
            self.file.sync().map_err(Error::disk("sync", &self.path))?;
            (self.slot, self.dirty) = (1 - self.slot, false);
        }
        Ok(())
    }
}
