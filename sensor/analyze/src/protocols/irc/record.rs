//! `irc.log`.

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time, Uid};

/// A line of `irc.log`: a command, or a file that was sent.
#[derive(Clone, Debug)]
pub struct Irc {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) nick: Option<Vec<u8>>,
    pub(super) user: Option<Vec<u8>>,
    pub(super) command: &'static str,
    pub(super) value: Option<Vec<u8>>,
    pub(super) addl: Option<Vec<u8>>,
    pub(super) dcc_file_name: Option<Vec<u8>>,
    pub(super) dcc_file_size: Option<u64>,
    pub(super) dcc_mime_type: Option<&'static str>,
    pub(super) fuid: Option<Uid>,
}

/// `irc.log` (scripts/base/protocols/irc/main.zeek, dcc-send.zeek).
pub static LOG: Log = Log {
    path: "irc",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("nick", "string"),
        column("user", "string"),
        column("command", "string"),
        column("value", "string"),
        column("addl", "string"),
        column("dcc_file_name", "string"),
        column("dcc_file_size", "count"),
        column("dcc_mime_type", "string"),
        column("fuid", "string"),
    ],
};

impl Record for Irc {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bytes(self.nick.as_deref());
        row.bytes(self.user.as_deref());
        row.symbol(Some(self.command));
        row.bytes(self.value.as_deref());
        row.bytes(self.addl.as_deref());
        row.bytes(self.dcc_file_name.as_deref());
        row.count(self.dcc_file_size);
        row.symbol(self.dcc_mime_type);
        row.uid(self.fuid);
    }
}
