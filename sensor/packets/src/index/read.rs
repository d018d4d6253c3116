//! Reading an index, also while it grows.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use analyze::Time;

use super::{BLOCK, BLOCK_HEADER, ENTRY_HEADER, MAGIC, MAX_ENTRY, Place, SESSIONS, Span, filter, varint};
use crate::keys::Key;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// One entry.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A block of frames.
    Block {
        /// Where it is.
        place: Place,
        /// When its frames came.
        span: Span,
        /// Frames in it.
        frames: u32,
        /// Its filter.
        filter: &'a [u8],
    },
    /// Sessions that ended.
    Sessions(&'a [u8]),
    /// Something that a later version knows.
    Unknown,
}

impl Entry<'_> {
    /// Whether a block may have a key: wrongly yes now and then, wrongly no never.
    #[must_use]
    pub fn may_have(&self, key: Key) -> bool {
        match self {
            Self::Block { filter, .. } => filter::may_have(filter, key),
            Self::Sessions(_) | Self::Unknown => false,
        }
    }
}

/// How far an index could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// To its end.
    Whole,
    /// Up to an entry that is cut off: it is being written, or never was to the end.
    Torn,
    /// Up to an entry that is damaged, or it is no index.
    Corrupt,
}

/// The entries of an index, one after the other.
#[derive(Debug)]
pub struct Entries {
    file: File,
    buffer: Vec<u8>,
    at: usize,
    bytes: u64,
    /// Bytes of the file before the end of the last entry that was good.
    good: u64,
    state: Option<Parsed>,
}

impl Entries {
    /// Opens an index.
    ///
    /// # Errors
    /// If it cannot be opened or read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut entries = Self { file, buffer: Vec::new(), at: 0, bytes: 0, good: 0, state: None };
        let begins_well = entries.have(MAGIC.len())? && entries.rest().starts_with(MAGIC);
        if begins_well {
            (entries.at, entries.good) = (MAGIC.len(), MAGIC.len() as u64);
        } else {
            entries.state = Some(Parsed::Corrupt);
        }
        Ok(entries)
    }

    /// The next entry; nothing at the end of what is believed.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_next(&mut self) -> io::Result<Option<Entry<'_>>> {
        if self.state.is_some() {
            return Ok(None);
        }
        if !self.have(ENTRY_HEADER)? {
            let state = if self.rest().is_empty() { Parsed::Whole } else { Parsed::Torn };
            self.state = Some(state);
            return Ok(None);
        }
        let word = |at: usize| self.rest().get(at..).and_then(|from| from.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word));
        let (length, sum) = (word(0) as usize, word(4));
        if !(1..=MAX_ENTRY).contains(&length) {
            self.state = Some(Parsed::Corrupt);
            return Ok(None);
        }
        if !self.have(ENTRY_HEADER + length)? {
            self.state = Some(Parsed::Torn);
            return Ok(None);
        }
        let start = self.at + ENTRY_HEADER;
        self.at = start + length;
        let covered = self.buffer.get(start..self.at).unwrap_or_default();
        if crc32c::crc32c(covered) != sum {
            self.state = Some(Parsed::Corrupt);
            return Ok(None);
        }
        self.good += (ENTRY_HEADER + length) as u64;
        Ok(Some(parse(self.buffer.get(start..self.at).unwrap_or_default())))
    }

    /// Bytes of the index up to the end of the last good entry.
    #[must_use]
    pub const fn good(&self) -> u64 {
        self.good
    }

    /// How far it could be read, once [`Entries::read_next`] has given nothing.
    #[must_use]
    pub fn parsed(&self) -> Parsed {
        self.state.unwrap_or(Parsed::Torn)
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Sees to it that so many bytes are at hand; false at the end of the file.
    fn have(&mut self, wanted: usize) -> io::Result<bool> {
        while self.rest().len() < wanted {
            self.buffer.drain(..self.at.min(self.buffer.len()));
            self.at = 0;
            let before = self.buffer.len();
            let read = (&mut self.file).take(CHUNK.max(wanted) as u64).read_to_end(&mut self.buffer)?;
            self.bytes += read as u64;
            if self.buffer.len() == before {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn parse(covered: &[u8]) -> Entry<'_> {
    match covered.split_first() {
        Some((&BLOCK, payload)) => block(payload).unwrap_or(Entry::Unknown),
        Some((&SESSIONS, payload)) => Entry::Sessions(payload),
        _ => Entry::Unknown,
    }
}

fn block(payload: &[u8]) -> Option<Entry<'_>> {
    let (header, filter) = payload.split_at_checked(BLOCK_HEADER)?;
    let u32_at = |at: usize| header.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let u64_at = |at: usize| header.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let place = Place { offset: u64_at(0)?, length: u32_at(8)?, disk_offset: u64_at(12)?, disk_length: u32_at(20)? };
    let span = Span { first: Time(u64_at(28)?.cast_signed()), last: Time(u64_at(36)?.cast_signed()) };
    Some(Entry::Block { place, span, frames: u32_at(24)?, filter })
}

/// A session in an index.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// [`super::session_hash`] of its id.
    pub id: u64,
    /// The same of the id of its first segment, if it is another.
    pub root: Option<u64>,
    others: &'a [u8],
    gaps: &'a [u8],
}

impl<'a> Session<'a> {
    /// The sessions of an entry, as far as they can be read.
    pub fn all(mut payload: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || Self::read(&mut payload))
    }

    /// Numbers of the other files that have packets of it.
    pub fn others(&self) -> impl Iterator<Item = u32> + use<'a> {
        let mut rest = self.others;
        std::iter::from_fn(move || varint(&mut rest)).filter_map(|file| u32::try_from(file).ok())
    }

    /// Where the records of its packets begin in this file.
    pub fn offsets(&self) -> impl Iterator<Item = u64> + use<'a> {
        let (mut rest, mut last) = (self.gaps, 0_u64);
        std::iter::from_fn(move || {
            last = last.saturating_add(varint(&mut rest)?);
            Some(last)
        })
    }

    fn read(bytes: &mut &'a [u8]) -> Option<Self> {
        let id = take_u64(bytes)?;
        let flags = varint(bytes)?;
        let root = if flags & 1 == 1 { Some(take_u64(bytes)?) } else { None };
        let before = *bytes;
        for _ in 0..flags >> 1 {
            varint(bytes)?;
        }
        let others = before.get(..before.len() - bytes.len())?;
        let length = usize::try_from(varint(bytes)?).ok()?;
        let (gaps, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(Self { id, root, others, gaps })
    }
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*first))
}
