//! What the carver gets: the pieces of a file, in the order in which they came.

use crate::{FlowId, Time, Uid};

/// One piece of news about a file that is carved.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// A file begins.
    Start(Box<Carved>),
    /// Bytes at an offset. Owned: the frame they came from is gone when the carver's thread writes them.
    Data {
        /// The file.
        fuid: Uid,
        /// Where the bytes belong.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Nothing more will come.
    End {
        /// The file.
        fuid: Uid,
        /// Whether every byte was seen.
        complete: bool,
    },
}

/// A file that is carved.
#[derive(Clone, Debug)]
pub struct Carved {
    /// Its uid.
    pub fuid: Uid,
    /// Name to keep it under: `<SOURCE>-<FUID>-<UID>-<YYYYmmddHHMMSS>.<ext>` (Malcolm's extractor.zeek).
    pub name: String,
    /// The flow.
    pub id: FlowId,
    /// Protocol, as in `files.log`.
    pub source: &'static str,
    /// MIME type by content.
    pub mime: Option<&'static str>,
    /// When the transfer began.
    pub at: Time,
}
