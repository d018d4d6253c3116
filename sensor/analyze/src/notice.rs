//! Notices: `notice.log`. Here for what the sensor has to say of itself.

use crate::log::{Log, Record, Row, column, malcolm};
use crate::{Interval, Time};

/// Something that a person should know.
#[derive(Clone, Debug)]
pub struct Notice {
    /// When.
    pub at: Time,
    /// Which kind, as Zeek names them: `Module::Name`.
    pub note: &'static str,
    /// What, in words.
    pub text: String,
}

/// `notice.log` (scripts/base/frameworks/notice/main.zeek).
pub static NOTICE: Log = Log {
    path: "notice",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("fuid", "string"),
        column("file_mime_type", "string"),
        column("file_desc", "string"),
        column("proto", "enum"),
        column("note", "enum"),
        column("msg", "string"),
        column("sub", "string"),
        column("src", "addr"),
        column("dst", "addr"),
        column("p", "port"),
        column("n", "count"),
        column("peer_descr", "string"),
        column("actions", "set[enum]"),
        column("email_dest", "set[string]"),
        column("suppress_for", "interval"),
        malcolm("community_id", "string"),
    ],
};

impl Record for Notice {
    fn log(&self) -> &'static Log {
        &NOTICE
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
        row.uid(None);
        row.tuple(None);
        row.uid(None);
        row.string(None);
        row.string(None);
        row.symbol(None);
        row.symbol(Some(self.note));
        row.string(Some(&self.text));
        row.string(None);
        row.addr(None);
        row.addr(None);
        row.count(None);
        row.count(None);
        row.string(None);
        row.strings(Some([&b"Notice::ACTION_LOG"[..]]));
        row.strings(Some([] as [&[u8]; 0]));
        row.interval(Some(Interval::from_secs(0)));
        row.string(None);
    }
}
