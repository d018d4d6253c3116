//! A durable queue on disk between the record writer and the forwarder: one writer, readers that each keep their place.
//!
//! ```text
//! folder/
//!   lock                      held by the one process that may write
//!   00000000000000000001.seg  blocks, named by the first sequence number in it
//!   <reader>.cursor           what that reader has acknowledged, in two slots
//!
//! block    length u32 | crc32c u32 | sequence u64 | payload          little-endian, payload of `length` bytes
//! payload  count u32 | unpacked u32 | LZ4 block of `count` records   the checksum covers all but itself and the length
//! record   length u32 | bytes
//! ```
//! Sequence numbers count records from 1 and never go back. No block crosses segments.
//!
//! Promises:
//! * A record that was appended and flushed survives the death of the process; one that was synced survives the death of
//!   the machine. [`Writer::flush`] syncs by itself when the last sync is [`Options::sync_every`] ago: a power cut costs
//!   that much at most.
//! * A record is given to a reader until the reader acknowledges it, each time byte for byte the same. An acknowledgement
//!   survives the death of the process at once, and that of the machine when half a second is over: after a power cut
//!   that much comes twice.
//! * A torn tail is cut off at the next start; a corrupt middle is skipped and counted, and what follows is delivered.
//! * Memory is bounded: one block (128 KiB, or one record of up to 16 MiB) for the writer and for each reader.
//! * The folder stays below its budget: the oldest segment goes, and what nobody had acknowledged is counted as lost.
//!   On a full disk `append` refuses with an error, and takes records again when there is room.
//!
//! Not here: transactions, deletion of single records, several writers.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failed test may panic"))]

mod block;
mod cursor;
mod disk;
mod reader;
mod segment;
mod shared;
mod writer;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use block::MAX_RECORD;
pub use reader::{Batch, Reader};
pub use shared::Stats;
pub use writer::Writer;

/// How a spool is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes that all segments together may take. At least four segments are always kept room for.
    pub budget: u64,
    /// Bytes after which a segment is closed, 1 MiB to 16 MiB makes sense: deletion goes by whole segments.
    pub segment: u64,
    /// Bytes of records that are packed into one block.
    pub block: usize,
    /// Longest time between a flush and its fsync.
    pub sync_every: Duration,
}

impl Options {
    /// Options for a budget of so many bytes.
    #[must_use]
    pub fn with_budget(budget: u64) -> Self {
        Self { budget, segment: (budget / 16).clamp(1 << 20, 16 << 20), block: 128 << 10, sync_every: Duration::from_secs(1) }
    }
}

/// Why the spool does not take or give a record.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on the disk failed.
    #[error("cannot {act} {}", path.display())]
    Disk {
        /// What was tried.
        act: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The disk is full. Records are refused until there is room.
    #[error("the disk of the spool {} is full: records are refused until there is room", path.display())]
    Full {
        /// The segment that cannot grow.
        path: PathBuf,
    },
    /// Another process writes into this folder.
    #[error("the spool {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A record longer than [`MAX_RECORD`].
    #[error("a record of {length} bytes; the spool takes at most {MAX_RECORD}")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// A reader's name that is no file name.
    #[error("{0:?} cannot name a reader: letters, digits, '-' and '_'")]
    Name(String),
}

impl Error {
    pub(crate) fn disk(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::Full { path },
            _ => Self::Disk { act, path, source },
        }
    }
}

#[cfg(test)]
mod tests;
