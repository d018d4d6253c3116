//! `ldap.log` and `ldap_search.log`.

use std::borrow::Cow;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `ldap.log`: an operation other than a search.
#[derive(Debug)]
pub struct Ldap {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) message_id: i64,
    pub(super) version: Option<i64>,
    pub(super) opcode: Option<Cow<'static, str>>,
    pub(super) result: Option<&'static str>,
    pub(super) diagnostic: Option<Vec<u8>>,
    pub(super) object: Option<Vec<u8>>,
    pub(super) argument: Option<Vec<u8>>,
}

/// `ldap.log` (scripts/base/protocols/ldap/main.zeek).
pub static LOG: Log = Log {
    path: "ldap",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("message_id", "int"),
        column("version", "int"),
        column("opcode", "string"),
        column("result", "string"),
        column("diagnostic_message", "string"),
        column("object", "string"),
        column("argument", "string"),
    ],
};

impl Record for Ldap {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.int(Some(self.message_id));
        row.int(self.version);
        row.symbol(self.opcode.as_deref());
        row.symbol(self.result);
        row.bytes(self.diagnostic.as_deref());
        row.bytes(self.object.as_deref());
        row.bytes(self.argument.as_deref());
    }
}

/// A line of `ldap_search.log`.
#[derive(Debug)]
pub struct LdapSearch {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) message_id: i64,
    pub(super) scope: Option<&'static str>,
    pub(super) deref: Option<&'static str>,
    pub(super) base: Option<Vec<u8>>,
    pub(super) count: u64,
    pub(super) result: Option<&'static str>,
    pub(super) diagnostic: Option<Vec<u8>>,
    pub(super) filter: Option<Vec<u8>>,
}

/// `ldap_search.log`. Attributes stay unset, as they do in Zeek unless it is told otherwise.
pub static SEARCH_LOG: Log = Log {
    path: "ldap_search",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("message_id", "int"),
        column("scope", "string"),
        column("deref_aliases", "string"),
        column("base_object", "string"),
        column("result_count", "count"),
        column("result", "string"),
        column("diagnostic_message", "string"),
        column("filter", "string"),
        column("attributes", "vector[string]"),
    ],
};

impl Record for LdapSearch {
    fn log(&self) -> &'static Log {
        &SEARCH_LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.int(Some(self.message_id));
        row.symbol(self.scope);
        row.symbol(self.deref);
        row.bytes(self.base.as_deref());
        row.count(Some(self.count));
        row.symbol(self.result);
        row.bytes(self.diagnostic.as_deref());
        row.bytes(self.filter.as_deref());
        row.strings(None::<std::iter::Empty<&[u8]>>);
    }
}
