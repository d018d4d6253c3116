//! Log files of other programs, followed as Filebeat follows them: every whole line becomes one event in a spool, once.
//!
//! ```text
//! patterns ──▶ files by device and inode ──▶ lines ──▶ journal entry ──▶ block of events in the spool ──▶ forwarder
//! ```
//!
//! Promises:
//! * Every line once in the spool, none lost: across rotation by renaming and by truncation, new files, files that vanish, a
//!   restart, and the death of the process at any instant. A power cut may bring the last second again.
//! * Where a file was read up to is known by the spool itself: an entry of the journal says "from this sequence number on come
//!   these lines", and holds only if the spool has them (see [`journal`]).
//! * A collector that is away stops the reading when the spool is nearly full: what waits then waits in the log files.
//! * What is not a whole line yet is left until it is; the rest of a file that vanished is a line as it is.
//!
//! Not here: parsing of lines, multi-line events, and the network.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failed test may panic"))]

mod event;
pub mod filebeat;
mod followed;
mod input;
mod journal;
mod tailer;

pub use input::{Input, Kind, Marks, Shape};
pub use tailer::{Options, Progress, Tailer};

use std::io;
use std::path::PathBuf;

/// Why following cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file does not say what to do.
    #[error("{}: {problem}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The journal cannot be kept.
    #[error("cannot {act} {}", path.display())]
    Journal {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The spool does not take records.
    #[error(transparent)]
    Spool(#[from] spool::Error),
}

#[cfg(test)]
mod tests;
