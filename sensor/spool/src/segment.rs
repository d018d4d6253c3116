//! Segments: names, and the walk over the blocks of one, past corruption.

use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::block::{HEADER, Header};
use crate::disk::{Disk, Opened};

const SUFFIX: &str = ".seg";

pub(crate) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}{SUFFIX}"))
}

/// First sequence numbers of all segments in `folder`, ascending. Other files are left alone.
pub(crate) fn list(disk: &dyn Disk, folder: &Path) -> Result<Vec<u64>, Error> {
    let names = disk.names(folder).map_err(Error::disk("read the folder", folder))?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok()).filter(|first| *first > 0).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// What stands at an offset.
#[derive(Debug)]
pub(crate) enum Found {
    /// A block with its payload.
    Block { header: Header, count: u32, payload: Vec<u8>, next: u64 },
    /// No valid block begins here.
    Corrupt,
}

/// Reads the block at `offset` of a segment that is valid up to `end`.
pub(crate) fn read(file: &dyn Opened, offset: u64, end: u64) -> io::Result<Found> {
    let mut head = [0; HEADER];
    if end.saturating_sub(offset) < HEADER as u64 {
        return Ok(Found::Corrupt);
    }
    file.read_exact_at(&mut head, offset)?;
    let Some(header) = Header::parse(&head) else { return Ok(Found::Corrupt) };
    let next = offset + (HEADER + header.length) as u64;
    if next > end {
        return Ok(Found::Corrupt);
    }
    let mut payload = vec![0; header.length];
    file.read_exact_at(&mut payload, offset + HEADER as u64)?;
    Ok(match header.count(&payload) {
        Some(count) => Found::Block { header, count, payload, next },
        None => Found::Corrupt,
    })
}

/// The offset of the first valid block after the corrupt place `offset`, of a sequence number not below `least`.
///
/// Tries every byte, since a flipped bit in a length hides where the next block begins. Holds the rest of the segment in memory.
pub(crate) fn resume(file: &dyn Opened, offset: u64, end: u64, least: u64) -> io::Result<Option<u64>> {
    let length = usize::try_from(end.saturating_sub(offset)).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut rest = vec![0; length];
    file.read_exact_at(&mut rest, offset)?;
    for at in 1..length {
        let Some(tail) = rest.get(at..) else { break };
        let Some(header) = Header::parse(tail).filter(|header| header.sequence >= least) else { continue };
        if tail.get(HEADER..HEADER + header.length).is_some_and(|payload| header.count(payload).is_some()) {
            return Ok(Some(offset + at as u64));
        }
    }
    Ok(None)
}

/// What a whole segment holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Bytes up to the end of the last valid block.
    pub(crate) valid: u64,
    /// Sequence number after the last valid record.
    pub(crate) next: u64,
}

/// Walks the segment that begins with `first` and finds where what is valid ends.
pub(crate) fn measure(file: &dyn Opened, first: u64) -> io::Result<Extent> {
    let end = file.len()?;
    let mut extent = Extent { valid: 0, next: first };
    let mut offset = 0;
    while offset < end {
        match read(file, offset, end)? {
            Found::Block { header, count, next, .. } => {
                extent = Extent { valid: next, next: header.sequence + u64::from(count) };
                offset = next;
            }
            Found::Corrupt => match resume(file, offset, end, extent.next)? {
                Some(next) => offset = next,
                None => break,
            },
        }
    }
    Ok(extent)
}
