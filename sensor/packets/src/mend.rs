//! Mends the index of a file that is written to no more: what it does not cover is read and added.
//!
//! Entries behind a damaged one are lost, and with them the sessions that they told of; the blocks are found again.

use std::{fs::OpenOptions, io};

use crate::{
    capture::{Capture, Opened, Stretch},
    index::{self, Entries, Entry, Indexer, MAGIC, Place, Writer},
    record::{FILE_HEADER, Record, record_header},
};

/// Bytes of packets that one entry tells of.
const BLOCK: usize = 256 << 10;
/// Blocks of LZ4 that one record may lie in.
const TOGETHER: usize = 4;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Bytes of the index before.
    pub before: u64,
    /// And now.
    pub after: u64,
    /// Blocks that were added.
    pub blocks: u64,
}

/// Mends the index of a capture; nothing if it needed none.
///
/// # Errors
/// If the capture cannot be read, or the index not written.
pub fn mend(capture: &Capture) -> io::Result<Option<Mended>> {
    let path = index::path_of(&capture.path);
    let (mut cursor, mut good) = (capture.whole(), 0);
    let before = path.metadata().map_or(0, |metadata| metadata.len());
    if before > 0 {
        let mut entries = Entries::open(&path)?;
        good = entries.good();
        while let Some(entry) = entries.read_next()? {
            if let Entry::Block { place, .. } = entry {
                let disk_offset = place.disk_offset.saturating_add(place.disk_length.into());
                cursor = Stretch { offset: place.offset.saturating_add(place.length.into()), disk_offset, disk_end: None };
            }
            good = entries.good();
        }
    }
    let length = capture.path.metadata()?.len();
    let end_mark = if capture.name.lz4 { 4 } else { 0 };
    let is_covered = length <= cursor.disk_offset.saturating_add(end_mark) && cursor != capture.whole();
    if is_covered && good == before {
        return Ok(None);
    }
    let mut index = if good >= MAGIC.len() as u64 {
        OpenOptions::new().write(true).open(&path)?.set_len(good)?;
        Writer::open(&path)?
    } else {
        Writer::create(&path)?
    };
    let blocks = if is_covered { 0 } else { add(capture, cursor, &mut index)? };
    Ok((blocks > 0 || good != before).then_some(Mended { before, after: index.bytes(), blocks }))
}

/// Adds what comes from a place on.
fn add(capture: &Capture, from: Stretch, index: &mut Writer) -> io::Result<u64> {
    let opened = capture.open()?;
    let mut adding = Adding { index, indexer: Indexer::default(), records: Vec::new(), blocks: 0 };
    if capture.name.lz4 {
        compressed(&opened, from, &mut adding)?
    } else {
        plain(&opened, from, &mut adding)?
    };
    Ok(adding.blocks)
}

/// Cut where a block is full: one can begin at any record.
fn plain(opened: &Opened, from: Stretch, adding: &mut Adding<'_>) -> io::Result<()> {
    let mut records = opened.records(from);
    let mut start = from.offset;
    loop {
        let next = records.advance()?;
        if let Some(record) = next.and_then(|(at, _)| records.record(at)) {
            adding.push(&record);
        }
        let length = records.offset() - start;
        if (next.is_none() || length >= BLOCK as u64) && length > 0 {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            adding.block(Place { offset: start, length, disk_offset: start, disk_length: length })?;
            start = records.offset();
        }
        if next.is_none() {
            return Ok(());
        }
    }
}

/// Cut where a block of LZ4 ends that a record ends with, too.
fn compressed(opened: &Opened, from: Stretch, adding: &mut Adding<'_>) -> io::Result<()> {
    let (mut cursor, mut together) = (from, 1);
    while let Some(end) = opened.blocks_end(cursor.disk_offset, together)? {
        let mut records = opened.records(Stretch { disk_end: Some(end), ..cursor });
        while let Some((at, _)) = records.advance()? {
            if let Some(record) = records.record(at) {
                adding.push(&record);
            }
        }
        if !records.is_spent() {
            adding.records.clear();
            together += 1;
            if together > TOGETHER {
                return Ok(());
            }
            continue;
        }
        let offset = cursor.offset.max(FILE_HEADER as u64);
        let length = u32::try_from(records.offset() - offset).unwrap_or(u32::MAX);
        let disk_length = u32::try_from(end - cursor.disk_offset).unwrap_or(u32::MAX);
        adding.block(Place { offset, length, disk_offset: cursor.disk_offset, disk_length })?;
        (cursor, together) = (Stretch { offset: records.offset(), disk_offset: end, disk_end: None }, 1);
    }
    Ok(())
}

struct Adding<'a> {
    index: &'a mut Writer,
    indexer: Indexer,
    records: Vec<u8>,
    blocks: u64,
}

impl Adding<'_> {
    fn push(&mut self, record: &Record<'_>) {
        self.records.extend(record_header(record.at, record.data.len() as u32, record.wire));
        self.records.extend_from_slice(record.data);
    }

    fn block(&mut self, place: Place) -> io::Result<()> {
        let mut entry = Vec::new();
        if self.indexer.block(place, &self.records, &mut entry).is_some() {
            self.index.append(&entry)?;
            self.blocks += 1;
        }
        self.records.clear();
        Ok(())
    }
}
