//! Files on the wire: one table for all protocols, hashes and MIME type in the same pass, chunks for the carver.

mod record;

pub use record::{FILES, FileRecord};

use crate::{Direction, FlowId, Options, Time, Uid};

/// Names a file of this worker while it is transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileHandle(u64);

/// What is known when a transfer starts.
#[derive(Clone, Debug, Default)]
pub struct FileStart {
    /// Protocol, as `files.log` names it (`HTTP`, `SMTP`, `FTP_DATA`).
    pub source: &'static str,
    /// Depth in the protocol's own terms (HTTP: transaction, SMTP: MIME nesting).
    pub depth: u64,
    /// Name, if the protocol tells one.
    pub filename: Option<Vec<u8>>,
    /// MIME type that the protocol claims.
    pub claimed_mime: Option<Vec<u8>>,
    /// Size in bytes, if the protocol tells it.
    pub total: Option<u64>,
    /// The file that this one was part of.
    pub parent: Option<Uid>,
}

/// What was found out about a file.
#[derive(Clone, Debug)]
pub struct FileSummary {
    /// Its uid.
    pub fuid: Uid,
    /// MIME type by content, with Zeek's names; `None` while too little was seen.
    pub mime: Option<&'static str>,
    /// Bytes seen.
    pub seen: u64,
    /// Bytes missing.
    pub missing: u64,
}

/// All files of a worker that are being transferred.
pub(crate) struct Files {}

impl Files {
    pub(crate) fn new(_options: &Options) -> Self {
        Self {}
    }
    pub(crate) fn open(&mut self, _uid: Uid, _at: Time, _id: &FlowId, _from: Direction, _start: FileStart) -> FileHandle {
        FileHandle(0)
    }
    pub(crate) fn data(&mut self, _file: FileHandle, _at: Time, _bytes: &[u8]) {}
    pub(crate) fn data_at(&mut self, _file: FileHandle, _at: Time, _offset: u64, _bytes: &[u8]) {}
    pub(crate) fn gap(&mut self, _file: FileHandle, _at: Time, _len: u64) {}
    pub(crate) fn total(&mut self, _file: FileHandle, _total: u64) {}
    pub(crate) fn summary(&self, _file: FileHandle) -> Option<FileSummary> {
        None
    }
    pub(crate) fn close(&mut self, _file: FileHandle) -> Option<(FileSummary, FileRecord)> {
        None
    }
}
