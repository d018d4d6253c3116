//! `ntlm.log`.

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `ntlm.log`: an attempt to authenticate.
#[derive(Debug)]
pub struct Ntlm {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) username: Option<Vec<u8>>,
    pub(super) hostname: Option<Vec<u8>>,
    pub(super) domainname: Option<Vec<u8>>,
    pub(super) server_nb_computer_name: Option<Vec<u8>>,
    pub(super) server_dns_computer_name: Option<Vec<u8>>,
    pub(super) server_tree_name: Option<Vec<u8>>,
    pub(super) success: Option<bool>,
}

/// `ntlm.log` (scripts/base/protocols/ntlm/main.zeek).
pub static LOG: Log = Log {
    path: "ntlm",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("username", "string"),
        column("hostname", "string"),
        column("domainname", "string"),
        column("server_nb_computer_name", "string"),
        column("server_dns_computer_name", "string"),
        column("server_tree_name", "string"),
        column("success", "bool"),
    ],
};

impl Record for Ntlm {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bytes(self.username.as_deref());
        row.bytes(self.hostname.as_deref());
        row.bytes(self.domainname.as_deref());
        row.bytes(self.server_nb_computer_name.as_deref());
        row.bytes(self.server_dns_computer_name.as_deref());
        row.bytes(self.server_tree_name.as_deref());
        row.bool(self.success);
    }
}
