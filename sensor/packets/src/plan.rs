//! Which stretches of a capture file to read for a question, by its index.
//!
//! What the index does not cover is read as well: the end of a file that grows, holes, everything if there is no index.

use std::io;

use crate::{
    capture::{Capture, Stretch},
    index::{self, Entries, Entry, Parsed},
    record::{FILE_HEADER, MAX_FRAME, RECORD_HEADER},
};

/// The end mark of an LZ4 file, which no block covers.
const LZ4_END: u64 = 4;
/// Bytes between two packets of a session that are rather read than jumped over.
const NEAR: u64 = 64 << 10;

/// What to read of a file.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// In ascending order.
    pub(crate) stretches: Vec<Stretch>,
    /// Whether the whole file has to be read for want of an index.
    pub(crate) without_index: bool,
    /// Bytes of the index that were read.
    pub(crate) index_bytes: u64,
}

/// Makes a plan. `wants` says whether a block can hold something; `wants_gap` whether what no block covers can, from one
/// offset to another or to the end.
pub(crate) fn of(
    capture: &Capture,
    mut wants: impl FnMut(&Entry<'_>) -> bool,
    mut wants_gap: impl FnMut(u64, Option<u64>) -> bool,
) -> io::Result<Plan> {
    let mut plan = Plan::default();
    let mut cursor = capture.whole();
    let mut covered = false;
    match Entries::open(&index::path_of(&capture.path)) {
        Ok(mut entries) => {
            while let Some(entry) = entries.read_next()? {
                let Entry::Block { place, .. } = entry else { continue };
                if place.offset < cursor.offset || place.disk_offset < cursor.disk_offset {
                    continue;
                }
                // The header of a compressed file lies in a block of its own, and that is no hole.
                let first = if covered { cursor.offset } else { FILE_HEADER as u64 };
                if place.offset > first && wants_gap(cursor.offset, Some(place.offset)) {
                    plan.push(Stretch { disk_end: Some(place.disk_offset), ..cursor });
                }
                let end = place.disk_offset.saturating_add(place.disk_length.into());
                if wants(&entry) {
                    plan.push(Stretch { offset: place.offset, disk_offset: place.disk_offset, disk_end: Some(end) });
                }
                covered = true;
                cursor = Stretch { offset: place.offset.saturating_add(place.length.into()), disk_offset: end, disk_end: None };
            }
            plan.index_bytes = entries.bytes();
            plan.without_index = !covered && entries.parsed() == Parsed::Corrupt;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => plan.without_index = true,
        Err(error) => return Err(error),
    }
    let end = cursor.disk_offset + if capture.name.lz4 { LZ4_END } else { 0 };
    let is_more = capture.path.metadata()?.len() > end;
    if (is_more || !covered) && wants_gap(cursor.offset, None) {
        plan.push(cursor);
    }
    Ok(plan)
}

/// Makes a plan for the records that begin at some offsets, which ascend.
pub(crate) fn of_offsets(capture: &Capture, offsets: &[u64]) -> io::Result<Plan> {
    if !capture.name.lz4 {
        return Ok(of_plain_offsets(offsets));
    }
    let has = |from: u64, to: Option<u64>| {
        let next = offsets.partition_point(|offset| *offset < from);
        offsets.get(next).is_some_and(|offset| to.is_none_or(|to| *offset < to))
    };
    let wants = |entry: &Entry<'_>| match entry {
        Entry::Block { place, .. } => has(place.offset, Some(place.offset.saturating_add(place.length.into()))),
        _ => false,
    };
    of(capture, wants, has)
}

/// Where nothing is compressed, a record is found where it is said to be.
fn of_plain_offsets(offsets: &[u64]) -> Plan {
    let mut plan = Plan::default();
    let mut last: Option<(u64, u64)> = None;
    let stretch = |(from, to): (u64, u64)| Stretch {
        offset: from,
        disk_offset: from,
        disk_end: Some(to.saturating_add((RECORD_HEADER + MAX_FRAME) as u64)),
    };
    for offset in offsets {
        last = match last {
            Some((from, to)) if offset - to <= NEAR => Some((from, *offset)),
            before => {
                plan.stretches.extend(before.map(stretch));
                Some((*offset, *offset))
            }
        };
    }
    plan.stretches.extend(last.map(stretch));
    plan
}

impl Plan {
    fn push(&mut self, stretch: Stretch) {
        match self.stretches.last_mut() {
            Some(last) if last.disk_end == Some(stretch.disk_offset) => last.disk_end = stretch.disk_end,
            _ => self.stretches.push(stretch),
        }
    }
}
