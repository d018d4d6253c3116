//! `files.log`.

use super::FileStart;
use crate::log::{Eve, Log, Record, Row, column, malcolm};
use crate::{Direction, FlowId, Time, Uid};

/// Digests of a whole file, in hexadecimal.
#[derive(Clone, Debug)]
pub struct Hashes {
    /// MD5.
    pub md5: String,
    /// SHA-1.
    pub sha1: String,
    /// SHA-256.
    pub sha256: String,
}

/// A line of `files.log`.
#[derive(Clone, Debug)]
pub struct FileRecord {
    /// When the transfer began.
    pub at: Time,
    /// When its last bytes came.
    pub last: Time,
    /// The file's uid.
    pub fuid: Uid,
    /// The flow.
    pub id: FlowId,
    /// Protocol.
    pub source: &'static str,
    /// Depth in the protocol's own terms.
    pub depth: u64,
    /// MIME type by content.
    pub mime: Option<&'static str>,
    /// Name that the protocol told.
    pub filename: Option<Vec<u8>>,
    /// Whether the sender is in a local network.
    pub is_local: bool,
    /// Who sent it.
    pub from: Direction,
    /// Bytes seen.
    pub seen: u64,
    /// Size that the protocol told.
    pub total: Option<u64>,
    /// Bytes missing.
    pub missing: u64,
    /// The file that it was part of.
    pub parent: Option<Uid>,
    /// Digests, if it was seen whole and they are asked for.
    pub hashes: Option<Hashes>,
    /// Name under which it is carved.
    pub extracted: Option<String>,
    /// Whether carving stopped at the size limit.
    pub cut: bool,
    /// Whether nothing came for so long that no more was waited for.
    pub timed_out: bool,
    /// Bytes carved, if it was cut.
    pub extracted_size: Option<u64>,
}

/// `files.log` (scripts/base/frameworks/files/main.zeek, scripts/base/files/hash, scripts/base/files/extract).
pub static FILES: Log = Log {
    path: "files",
    columns: &[
        column("ts", "time"),
        column("fuid", "string"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("source", "string"),
        column("depth", "count"),
        column("analyzers", "set[string]"),
        column("mime_type", "string"),
        column("filename", "string"),
        column("duration", "interval"),
        column("local_orig", "bool"),
        column("is_orig", "bool"),
        column("seen_bytes", "count"),
        column("total_bytes", "count"),
        column("missing_bytes", "count"),
        column("overflow_bytes", "count"),
        column("timedout", "bool"),
        column("parent_fuid", "string"),
        column("md5", "string"),
        column("sha1", "string"),
        column("sha256", "string"),
        column("extracted", "string"),
        column("extracted_cutoff", "bool"),
        column("extracted_size", "count"),
        malcolm("ssdeep", "string"),
        malcolm("tlsh", "string"),
        malcolm("ftime", "time"),
    ],
};

impl FileRecord {
    pub(super) fn new(fuid: Uid, at: Time, id: &FlowId, from: Direction, is_local: bool, start: FileStart) -> Self {
        Self {
            at,
            last: at,
            fuid,
            id: *id,
            source: start.source,
            depth: start.depth,
            mime: None,
            filename: start.filename,
            is_local,
            from,
            seen: 0,
            total: start.total,
            missing: 0,
            parent: start.parent,
            hashes: None,
            extracted: None,
            cut: false,
            timed_out: false,
            extracted_size: None,
        }
    }

    /// Names of Zeek's file analyzers that did what we did, sorted.
    fn analyzers(&self) -> Vec<&'static [u8]> {
        let mut names: Vec<&'static [u8]> = Vec::new();
        if self.extracted.is_some() {
            names.push(b"EXTRACT");
        }
        if self.hashes.is_some() {
            names.extend([&b"MD5"[..], b"SHA1", b"SHA256"]);
        }
        if self.mime == Some("application/x-dosexec") {
            names.push(b"PE");
        }
        names.sort_unstable();
        names
    }
}

impl Record for FileRecord {
    fn log(&self) -> &'static Log {
        &FILES
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
        row.uid(Some(self.fuid));
        row.uid(Some(self.id.uid));
        row.tuple(Some(&self.id));
        row.symbol(Some(self.source));
        row.count(Some(self.depth));
        row.strings(Some(self.analyzers()));
        row.symbol(self.mime);
        row.bytes(self.filename.as_deref());
        row.interval(Some(self.last.since(self.at)));
        row.bool(Some(self.is_local));
        row.bool(Some(self.from.is_orig()));
        row.count(Some(self.seen));
        row.count(self.total);
        row.count(Some(self.missing));
        row.count(Some(0));
        row.bool(Some(self.timed_out));
        row.uid(self.parent);
        row.symbol(self.hashes.as_ref().map(|h| &*h.md5));
        row.symbol(self.hashes.as_ref().map(|h| &*h.sha1));
        row.symbol(self.hashes.as_ref().map(|h| &*h.sha256));
        row.symbol(self.extracted.as_deref());
        row.bool(self.extracted.as_ref().map(|_| self.cut));
        row.count(self.extracted.as_ref().and(self.extracted_size));
        row.symbol(None);
        row.symbol(None);
        row.time(None);
    }

    /// Suricata's `fileinfo` event.
    fn eve(&self, eve: &mut Eve<'_>) {
        eve.event("fileinfo", self.last, &self.id, |json| {
            json.str("app_proto", &self.source.to_ascii_lowercase());
            json.child("fileinfo", |json| {
                json.bytes("filename", self.filename.as_deref().unwrap_or_default());
                json.bool("gaps", self.missing > 0);
                json.str("state", if self.missing > 0 { "TRUNCATED" } else { "CLOSED" });
                if let Some(hashes) = &self.hashes {
                    json.str("md5", &hashes.md5);
                    json.str("sha1", &hashes.sha1);
                    json.str("sha256", &hashes.sha256);
                }
                json.bool("stored", self.extracted.is_some());
                json.number("size", self.seen);
                json.some_str("mimetype", self.mime);
            });
        });
    }
}
