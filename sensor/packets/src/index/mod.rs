//! The index beside a capture file: which blocks of it to look at for a question, and where the packets of a session are.
//!
//! ```text
//! NAME.pcap[.lz4].idx:  magic (8 bytes) | entry | entry | …                                          (little-endian)
//! entry:     length u32 | crc32c u32 | kind u8 | payload        length and checksum are of kind and payload
//! block:     kind 1 | offset u64 | length u32 | disk offset u64 | disk length u32 | frames u32 | first i64 | last i64 | filter
//! sessions:  kind 2 | session | session | …
//! session:   id u64 | others and flag, varint | root u64 if flagged | other files, varints | bytes, varint | gaps, varints
//! ```
//!
//! A block is what the writer writes at once, 256 KiB at most where frames are not larger: its place before and after
//! compression, the earliest and latest time in it, and a Bloom filter of its keys ([`crate::keys`]). A session says where
//! its packets' records begin in this file (the first offset and the gaps between) and in which others there are more; id and
//! root are hashes of the names of its document and of its first segment's.
//!
//! Promises: an index only grows, each entry with one write behind the block that it tells of; an entry that is torn or
//! damaged ends what is believed, and what it would have covered is read in full. So an index may be missing, cut off, or have
//! holes, and every question is still answered, more slowly; only the sessions of what is missing are not known.

mod filter;
mod read;
mod write;

pub use read::{Entries, Entry, Parsed, Session};
pub use write::{Indexer, SessionPlaces, Writer};

use std::path::{Path, PathBuf};

use analyze::Time;

/// What is appended to a capture file's name for that of its index.
pub const SUFFIX: &str = ".idx";
/// What an index begins with. The last two are the version of the format and of [`crate::keys`].
pub const MAGIC: &[u8; 8] = b"tnrcix01";

/// Bytes of an entry before what its checksum covers.
const ENTRY_HEADER: usize = 8;
/// Bytes of an entry's kind and payload at most: a session has 10 000 packets at most, of at most ten bytes each.
const MAX_ENTRY: usize = 1 << 20;
const BLOCK: u8 = 1;
const SESSIONS: u8 = 2;
/// Bytes of a block's payload before its filter.
const BLOCK_HEADER: usize = 8 + 4 + 8 + 4 + 4 + 8 + 8;

/// Where a block is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the file before it, uncompressed.
    pub offset: u64,
    /// Its bytes, uncompressed.
    pub length: u32,
    /// Bytes of the file before it on disk.
    pub disk_offset: u64,
    /// Its bytes on disk: with LZ4, its blocks with lengths and checksums, without the end mark.
    pub disk_length: u32,
}

/// When a block's frames were captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The earliest.
    pub first: Time,
    /// The latest.
    pub last: Time,
}

/// The path of a capture file's index.
#[must_use]
pub fn path_of(capture: &Path) -> PathBuf {
    let mut path = capture.as_os_str().to_owned();
    path.push(SUFFIX);
    path.into()
}

/// What an index knows a session by: of its document's `_id` (`YYMMDD-…`) or of its root's.
#[must_use]
pub fn session_hash(id: &str) -> u64 {
    // FNV-1a, 64 bits (IETF draft-eastlake-fnv), and then mixed so that all bits differ.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// Unsigned LEB128.
fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
