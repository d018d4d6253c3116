//! Files on the wire: one table for all protocols, hashes and MIME type in the same pass, chunks for the carver.
//!
//! A file is a sequence of bytes with holes. What its MIME type is judged by is its beginning; until that is
//! complete, nothing is carved, since the type decides whether it is.

mod chunk;
mod mime;
mod policy;
mod record;
#[cfg(test)]
mod tests;

use ahash::AHashMap;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

pub use chunk::{Carved, Chunk};
pub use mime::mime;
pub use record::{FILES, FileRecord, Hashes};

use crate::log::Profile;
use crate::{Carve, Direction, FlowId, Interval, Options, Time, Uid};

/// Bytes by which the MIME type is judged. Zeek's `default_file_bof_buffer_size`.
const BEGINNING: usize = 4096;
/// Files of one worker that are transferred at once; beyond it a new file is counted but not looked at.
const MAX_FILES: usize = 65_536;
/// Types of files that are read: the first when it is whole, the second from its beginning.
const OCSP_RESPONSE: &str = "application/ocsp-response";
const EXECUTABLE: &str = "application/x-dosexec";
/// Bytes of a file that is read when it is whole: answers have some kilobytes.
const MAX_KEPT: usize = 1 << 16;
/// How long a file waits for more bytes (Zeek's `default_file_timeout_interval`).
const TIMEOUT: Interval = Interval::from_secs(120);
/// Bytes that wait for the carver in one batch; beyond it the file at hand is carved no further.
const MAX_CHUNK_BYTES: usize = 64 << 20;

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
    /// MIME type by content, with Zeek's names; `None` while too little was seen, or if it is not known.
    pub mime: Option<&'static str>,
    /// Bytes seen.
    pub seen: u64,
    /// Bytes missing.
    pub missing: u64,
}

/// All files of a worker that are being transferred.
pub(crate) struct Files {
    open: AHashMap<u64, File>,
    next: u64,
    chunks: Vec<Chunk>,
    chunk_bytes: usize,
    carve: Carve,
    carve_bytes: u64,
    hashes: bool,
    /// Whether records name what was carved.
    names: bool,
    local: Vec<crate::Network>,
    /// Files not looked at because there were too many.
    pub(crate) refused: u64,
}

struct File {
    record: FileRecord,
    /// The first bytes, until the type is known.
    beginning: Option<Vec<u8>>,
    /// The next byte in order.
    position: u64,
    hashers: Option<Box<Hashers>>,
    carving: Carving,
    /// What is kept for those who read files: all of OCSP responses, the beginning of executables.
    kept: Option<Vec<u8>>,
}

/// What was kept of a file.
pub(crate) struct Content {
    pub(crate) at: Time,
    pub(crate) fuid: Uid,
    pub(crate) is_executable: bool,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carving {
    Undecided,
    Yes,
    No,
}

#[derive(Default)]
struct Hashers {
    md5: Md5,
    sha1: Sha1,
    sha256: Sha256,
}

impl Files {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            open: AHashMap::new(),
            next: 0,
            chunks: Vec::new(),
            chunk_bytes: 0,
            carve: options.carve,
            carve_bytes: options.carve_bytes,
            // Stock Zeek hashes and extracts nothing by itself; Malcolm loads hash-all-files and names what it extracts.
            hashes: options.profile == Profile::Malcolm,
            names: options.profile == Profile::Malcolm,
            local: options.local.clone(),
            refused: 0,
        }
    }

    pub(crate) fn open(&mut self, uid: Uid, at: Time, id: &FlowId, from: Direction, start: FileStart) -> FileHandle {
        self.next = self.next.wrapping_add(1);
        let handle = FileHandle(self.next);
        if self.open.len() >= MAX_FILES {
            self.refused = self.refused.saturating_add(1);
            return handle;
        }
        let sender = id.sender(from).addr;
        let is_local = self.local.iter().any(|network| network.contains(sender));
        let file = File {
            record: FileRecord::new(uid, at, id, from, is_local, start),
            beginning: Some(Vec::new()),
            position: 0,
            hashers: self.hashes.then(Box::default),
            carving: if self.carve == Carve::None { Carving::No } else { Carving::Undecided },
            kept: None,
        };
        self.open.insert(handle.0, file);
        handle
    }

    pub(crate) fn data(&mut self, handle: FileHandle, at: Time, bytes: &[u8]) {
        let Some(file) = self.open.get_mut(&handle.0) else { return };
        file.record.last = at;
        file.record.seen = file.record.seen.saturating_add(bytes.len() as u64);
        if let Some(hashers) = &mut file.hashers {
            hashers.md5.update(bytes);
            hashers.sha1.update(bytes);
            hashers.sha256.update(bytes);
        }
        let offset = file.position;
        file.position = file.position.saturating_add(bytes.len() as u64);
        if let Some(beginning) = &mut file.beginning {
            let room = BEGINNING.saturating_sub(beginning.len());
            let (first, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            beginning.extend_from_slice(first);
            if beginning.len() >= BEGINNING {
                self.judge(handle);
                if !rest.is_empty() {
                    self.keep(handle, rest);
                    self.carve(handle, offset.saturating_add(room as u64), rest);
                }
            }
            return;
        }
        if file.kept.is_some() {
            self.keep(handle, bytes);
        }
        self.carve(handle, offset, bytes);
    }

    fn keep(&mut self, handle: FileHandle, bytes: &[u8]) {
        let Some(file) = self.open.get_mut(&handle.0) else { return };
        let Some(kept) = file.kept.as_mut().filter(|_| file.record.mime == Some(OCSP_RESPONSE)) else { return };
        if kept.len().saturating_add(bytes.len()) > MAX_KEPT {
            file.kept = None;
        } else {
            kept.extend_from_slice(bytes);
        }
    }

    /// What was kept of a file for those who read it, with its type and when it started.
    pub(crate) fn content(&mut self, handle: FileHandle) -> Option<Content> {
        if self.open.get(&handle.0)?.beginning.is_some() {
            self.judge(handle);
        }
        let file = self.open.get_mut(&handle.0)?;
        Some(Content {
            at: file.record.at,
            fuid: file.record.fuid,
            is_executable: file.record.mime == Some(EXECUTABLE),
            bytes: file.kept.take()?,
        })
    }

    pub(crate) fn data_at(&mut self, handle: FileHandle, at: Time, offset: u64, bytes: &[u8]) {
        let Some(position) = self.open.get(&handle.0).map(|file| file.position) else { return };
        if offset == position {
            return self.data(handle, at, bytes);
        }
        if offset > position {
            self.gap(handle, at, offset.saturating_sub(position));
            return self.data(handle, at, bytes);
        }
        // What was seen already is not seen again.
        let again = usize::try_from(position.saturating_sub(offset)).unwrap_or(usize::MAX);
        if let Some(fresh) = bytes.get(again..)
            && !fresh.is_empty()
        {
            self.data(handle, at, fresh);
        }
    }

    pub(crate) fn gap(&mut self, handle: FileHandle, at: Time, len: u64) {
        let Some(file) = self.open.get_mut(&handle.0) else { return };
        file.record.last = at;
        file.record.missing = file.record.missing.saturating_add(len);
        file.position = file.position.saturating_add(len);
        // Hashes of a part would be taken for those of the whole.
        file.hashers = None;
        if file.record.mime == Some(OCSP_RESPONSE) {
            file.kept = None;
        }
        if file.beginning.is_some() {
            self.judge(handle);
        }
    }

    pub(crate) fn total(&mut self, handle: FileHandle, total: u64) {
        if let Some(file) = self.open.get_mut(&handle.0) {
            file.record.total = Some(total);
        }
    }

    pub(crate) fn summary(&self, handle: FileHandle) -> Option<FileSummary> {
        self.open.get(&handle.0).map(File::summary)
    }

    pub(crate) fn close(&mut self, handle: FileHandle) -> Option<(FileSummary, FileRecord)> {
        if self.open.get(&handle.0)?.beginning.is_some() {
            self.judge(handle);
        }
        let mut file = self.open.remove(&handle.0)?;
        if let Some(total) = file.record.total
            && total > file.position
        {
            file.record.missing = file.record.missing.saturating_add(total - file.position);
            file.hashers = None;
        }
        if let Some(hashers) = file.hashers.take() {
            file.record.hashes = Some(Hashes {
                md5: hex::encode(hashers.md5.finalize()),
                sha1: hex::encode(hashers.sha1.finalize()),
                sha256: hex::encode(hashers.sha256.finalize()),
            });
        }
        if file.carving == Carving::Yes {
            self.chunks.push(Chunk::End { fuid: file.record.fuid, complete: file.record.missing == 0 && !file.record.cut });
        }
        Some((file.summary(), file.record))
    }

    /// Closes files of which nothing came for [`TIMEOUT`]: ranges of a file may come on many flows, so that no flow's end
    /// ends it.
    pub(crate) fn expire(&mut self, at: Time) -> Vec<FileRecord> {
        let mut records = self.close_all(|file| file.record.last + TIMEOUT <= at);
        records.iter_mut().for_each(|record| record.timed_out = true);
        records
    }

    /// Closes what is still open.
    pub(crate) fn finish(&mut self) -> Vec<FileRecord> {
        self.close_all(|_| true)
    }

    fn close_all(&mut self, which: impl Fn(&File) -> bool) -> Vec<FileRecord> {
        let mut handles: Vec<u64> = self.open.iter().filter(|(_, file)| which(file)).map(|(handle, _)| *handle).collect();
        handles.sort_unstable();
        handles.into_iter().filter_map(|handle| self.close(FileHandle(handle))).map(|(_, record)| record).collect()
    }

    pub(crate) fn take_chunks(&mut self) -> Vec<Chunk> {
        self.chunk_bytes = 0;
        std::mem::take(&mut self.chunks)
    }

    pub(crate) fn has_chunks(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// The beginning is complete: tells the type, and whether the file is carved.
    fn judge(&mut self, handle: FileHandle) {
        let (mode, max) = (self.carve, self.carve_bytes);
        let Some(file) = self.open.get_mut(&handle.0) else { return };
        let Some(beginning) = file.beginning.take() else { return };
        file.record.mime = mime(&beginning);
        if file.record.mime == Some(EXECUTABLE) || (file.record.mime == Some(OCSP_RESPONSE) && file.record.missing == 0) {
            file.kept = Some(beginning.clone());
        }
        if file.carving != Carving::Undecided {
            return;
        }
        if beginning.is_empty() || max == 0 || !policy::is_carved(mode, file.record.mime) {
            file.carving = Carving::No;
            return;
        }
        file.carving = Carving::Yes;
        let record = &mut file.record;
        let name = policy::name(record.source, record.fuid, &record.id, record.at, record.mime);
        record.extracted = self.names.then(|| name.clone());
        self.chunks.push(Chunk::Start(Box::new(Carved {
            fuid: record.fuid,
            name,
            id: record.id,
            source: record.source,
            mime: record.mime,
            at: record.at,
        })));
        self.carve(handle, 0, &beginning);
    }

    fn carve(&mut self, handle: FileHandle, offset: u64, bytes: &[u8]) {
        let max = self.carve_bytes;
        let Some(file) = self.open.get_mut(&handle.0) else { return };
        if file.carving != Carving::Yes || file.record.cut || bytes.is_empty() {
            return;
        }
        let room = usize::try_from(max.saturating_sub(offset)).unwrap_or(usize::MAX);
        let kept = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        if kept.len() < bytes.len() || self.chunk_bytes.saturating_add(kept.len()) > MAX_CHUNK_BYTES {
            file.record.cut = true;
            file.record.extracted_size = Some(offset.saturating_add(kept.len() as u64));
        }
        if !kept.is_empty() && self.chunk_bytes.saturating_add(kept.len()) <= MAX_CHUNK_BYTES {
            self.chunk_bytes = self.chunk_bytes.saturating_add(kept.len());
            self.chunks.push(Chunk::Data { fuid: file.record.fuid, offset, bytes: kept.to_vec() });
        }
    }
}

impl File {
    fn summary(&self) -> FileSummary {
        FileSummary { fuid: self.record.fuid, mime: self.record.mime, seen: self.record.seen, missing: self.record.missing }
    }
}
