//! `ftp.log`.

use std::net::IpAddr;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time, Uid};

/// A line of `ftp.log`: a command and its reply.
#[derive(Debug)]
pub struct Ftp {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) user: Vec<u8>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) command: Vec<u8>,
    pub(super) arg: Option<Vec<u8>>,
    pub(super) mime_type: Option<&'static str>,
    pub(super) file_size: Option<u64>,
    pub(super) reply_code: Option<u64>,
    pub(super) reply_msg: Option<Vec<u8>>,
    pub(super) passive: Option<bool>,
    pub(super) data_orig: Option<IpAddr>,
    pub(super) data_resp: Option<IpAddr>,
    pub(super) data_port: Option<u16>,
    pub(super) fuid: Option<Uid>,
}

/// `ftp.log` (scripts/base/protocols/ftp/info.zeek).
pub static LOG: Log = Log {
    path: "ftp",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("user", "string"),
        column("password", "string"),
        column("command", "string"),
        column("arg", "string"),
        column("mime_type", "string"),
        column("file_size", "count"),
        column("reply_code", "count"),
        column("reply_msg", "string"),
        column("data_channel.passive", "bool"),
        column("data_channel.orig_h", "addr"),
        column("data_channel.resp_h", "addr"),
        column("data_channel.resp_p", "port"),
        column("fuid", "string"),
    ],
};

impl Record for Ftp {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bytes(Some(&self.user));
        row.bytes(self.password.as_deref());
        row.bytes(Some(&self.command));
        row.bytes(self.arg.as_deref());
        row.symbol(self.mime_type);
        row.count(self.file_size);
        row.count(self.reply_code);
        row.bytes(self.reply_msg.as_deref());
        row.bool(self.passive);
        row.addr(self.data_orig);
        row.addr(self.data_resp);
        row.count(self.data_port.map(u64::from));
        row.uid(self.fuid);
    }
}
