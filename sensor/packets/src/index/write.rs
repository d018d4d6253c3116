//! Writing an index.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::FileExt,
    path::Path,
};

use ahash::AHashSet;
use analyze::Time;

use super::{BLOCK, ENTRY_HEADER, MAGIC, MAX_ENTRY, Place, SESSIONS, Span, filter, put_varint};
use crate::{
    keys::{Ends, Key},
    record::Record,
};

/// An index that grows.
#[derive(Debug)]
pub struct Writer {
    file: File,
    bytes: u64,
}

impl Writer {
    /// Begins an index, in place of one that may be there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        file.write_all_at(MAGIC, 0)?;
        Ok(Self { file, bytes: MAGIC.len() as u64 })
    }

    /// Goes on with an index that this process has written.
    ///
    /// # Errors
    /// If it is not there, is none, or cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no index of captures"));
        }
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends entries; all of them or none.
    ///
    /// # Errors
    /// If they cannot be written; the index is as before.
    pub fn append(&mut self, entries: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(entries, self.bytes) {
            // A torn entry would end what is believed of those that follow.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += entries.len() as u64;
        Ok(())
    }
}

/// Makes the entries of blocks.
#[derive(Debug)]
pub struct Indexer {
    /// Numbers of frames that were seen in this block, each where its hash says; what comes often is not looked at again.
    seen: Box<[u128; SEEN]>,
    flows: AHashSet<Ends>,
    keys: AHashSet<Key>,
    sorted: Vec<Key>,
}

/// Frames of different ends that are remembered of one block. A power of two.
const SEEN: usize = 256;

fn place_of(number: u128) -> usize {
    let folded = (number as u64) ^ (number >> 64) as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}

impl Default for Indexer {
    fn default() -> Self {
        Self { seen: Box::new([0; SEEN]), flows: AHashSet::new(), keys: AHashSet::new(), sorted: Vec::new() }
    }
}

impl Indexer {
    /// The entry of a block of records, appended to `out`. Nothing if there is no record.
    pub fn block(&mut self, place: Place, records: &[u8], out: &mut Vec<u8>) -> Option<Span> {
        self.flows.clear();
        self.keys.clear();
        self.seen.fill(0);
        let (mut rest, mut frames, mut span) = (records, 0_u32, None::<Span>);
        let mut last = None;
        while let Some((record, length)) = Record::read(rest) {
            rest = rest.get(length..).unwrap_or_default();
            frames += 1;
            let span = span.get_or_insert(Span { first: record.at, last: record.at });
            *span = Span { first: span.first.min(record.at), last: span.last.max(record.at) };
            if let Some(number) = Ends::number(record.data)
                && let Some(place) = self.seen.get_mut(place_of(number))
                && std::mem::replace(place, number) == number
            {
                continue;
            }
            let ends = Ends::of(record.data);
            // Frames of one flow come in rows.
            if last != Some(ends) && self.flows.insert(ends) {
                self.keys.extend(ends.keys());
            }
            last = Some(ends);
        }
        let span = span?;
        self.sorted.clear();
        self.sorted.extend(&self.keys);
        // The same frames make the same index.
        self.sorted.sort_unstable();
        entry(BLOCK, out, |out| {
            out.extend(place.offset.to_le_bytes());
            out.extend(place.length.to_le_bytes());
            out.extend(place.disk_offset.to_le_bytes());
            out.extend(place.disk_length.to_le_bytes());
            out.extend(frames.to_le_bytes());
            out.extend(span.first.0.to_le_bytes());
            out.extend(span.last.0.to_le_bytes());
            filter::write(&self.sorted, out);
        });
        Some(span)
    }
}

/// Where the packets of a session are, or those of one file, to be put into that file's index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPlaces {
    /// [`super::session_hash`] of its id.
    pub id: u64,
    /// The same of the id of its first segment, if that is another.
    pub root: Option<u64>,
    /// Numbers of the other files that have packets of it.
    pub others: Vec<u32>,
    /// Where the records begin, ascending.
    pub offsets: Vec<u64>,
}

impl SessionPlaces {
    /// Entries of sessions, appended to `out`.
    pub fn entries(sessions: &[Self], out: &mut Vec<u8>) {
        let mut payload = Vec::new();
        for session in sessions {
            let before = payload.len();
            session.write(&mut payload);
            if payload.len() >= MAX_ENTRY {
                let rest = payload.split_off(before);
                entry(SESSIONS, out, |out| out.extend_from_slice(&payload));
                payload = rest;
            }
        }
        if !payload.is_empty() && payload.len() < MAX_ENTRY {
            entry(SESSIONS, out, |out| out.extend_from_slice(&payload));
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.id.to_le_bytes());
        put_varint((self.others.len() as u64) << 1 | u64::from(self.root.is_some()), out);
        out.extend(self.root.into_iter().flat_map(u64::to_le_bytes));
        self.others.iter().for_each(|file| put_varint(u64::from(*file), out));
        let mut gaps = Vec::with_capacity(self.offsets.len() * 2);
        let mut last = 0;
        for offset in &self.offsets {
            put_varint(offset.saturating_sub(last), &mut gaps);
            last = *offset;
        }
        put_varint(gaps.len() as u64, out);
        out.extend(gaps);
    }
}

/// Appends an entry whose payload `write` makes.
fn entry(kind: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; ENTRY_HEADER]);
    out.push(kind);
    write(out);
    let Some((header, covered)) = out.get_mut(start..).and_then(|entry| entry.split_at_mut_checked(ENTRY_HEADER)) else { return };
    let length = u32::try_from(covered.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = crc32c::crc32c(covered).to_le_bytes();
    for (place, byte) in header.iter_mut().zip(length.into_iter().chain(sum)) {
        *place = byte;
    }
}

/// The span of what is empty: for who must have one.
impl Default for Span {
    fn default() -> Self {
        Self { first: Time(i64::MAX), last: Time(i64::MIN) }
    }
}
