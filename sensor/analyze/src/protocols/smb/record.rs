//! `smb_files.log` and `smb_mapping.log`.

use crate::log::{Log, Record, Row, column, malcolm};
use crate::{FlowId, Time, Uid};

/// A line of `smb_files.log`: something done to a file.
#[derive(Debug)]
pub struct SmbFile {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) fuid: Option<Uid>,
    pub(super) action: &'static str,
    pub(super) path: Option<Vec<u8>>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: u64,
    pub(super) prev_name: Option<Vec<u8>>,
    pub(super) times_modified: Option<Time>,
    pub(super) times_accessed: Option<Time>,
    pub(super) times_created: Option<Time>,
    pub(super) times_changed: Option<Time>,
    pub(super) data_offset_req: Option<u64>,
    pub(super) data_len_req: Option<u64>,
    pub(super) data_len_rsp: Option<u64>,
}

/// `smb_files.log` (scripts/base/protocols/smb/main.zeek).
pub static FILES_LOG: Log = Log {
    path: "smb_files",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("fuid", "string"),
        column("action", "enum"),
        column("path", "string"),
        column("name", "string"),
        column("size", "count"),
        column("prev_name", "string"),
        column("times.modified", "time"),
        column("times.accessed", "time"),
        column("times.created", "time"),
        column("times.changed", "time"),
        malcolm("data_offset_req", "count"),
        malcolm("data_len_req", "count"),
        malcolm("data_len_rsp", "count"),
    ],
};

impl Record for SmbFile {
    fn log(&self) -> &'static Log {
        &FILES_LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.uid(self.fuid);
        row.symbol(Some(self.action));
        row.bytes(self.path.as_deref());
        row.bytes(self.name.as_deref());
        row.count(Some(self.size));
        row.bytes(self.prev_name.as_deref());
        row.time(self.times_modified);
        row.time(self.times_accessed);
        row.time(self.times_created);
        row.time(self.times_changed);
        row.count(self.data_offset_req);
        row.count(self.data_len_req);
        row.count(self.data_len_rsp);
    }
}

/// A line of `smb_mapping.log`: a share that was connected to.
#[derive(Debug)]
pub struct SmbMapping {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) path: Option<Vec<u8>>,
    pub(super) service: Option<Vec<u8>>,
    pub(super) native_file_system: Option<Vec<u8>>,
    pub(super) share_type: &'static str,
}

/// `smb_mapping.log` ().
pub static MAPPING_LOG: Log = Log {
    path: "smb_mapping",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("path", "string"),
        column("service", "string"),
        column("native_file_system", "string"),
        column("share_type", "string"),
    ],
};

impl Record for SmbMapping {
    fn log(&self) -> &'static Log {
        &MAPPING_LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bytes(self.path.as_deref());
        row.bytes(self.service.as_deref());
        row.bytes(self.native_file_system.as_deref());
        row.symbol(Some(self.share_type));
    }
}
