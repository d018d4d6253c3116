//! `smtp.log`.

use std::net::IpAddr;

use super::address;
use crate::log::{Log, Record, Row, column, malcolm};
use crate::{FlowId, Time, Uid};

/// Addresses of one kind, and hosts of the path, that are kept of a message (Zeek's `max_to_addresses` and so on).
const MAX_ADDRESSES: usize = 1000;

/// A line of `smtp.log`: one message.
#[derive(Clone, Debug)]
pub struct Smtp {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) depth: u64,
    pub(super) helo: Option<Vec<u8>>,
    pub(super) mail_from: Option<Vec<u8>>,
    pub(super) rcpt_to: Option<Vec<Vec<u8>>>,
    pub(super) date: Option<Vec<u8>>,
    pub(super) from: Option<Vec<u8>>,
    pub(super) to: Option<Vec<Vec<u8>>>,
    pub(super) cc: Option<Vec<Vec<u8>>>,
    pub(super) reply_to: Option<Vec<u8>>,
    pub(super) msg_id: Option<Vec<u8>>,
    pub(super) in_reply_to: Option<Vec<u8>>,
    pub(super) subject: Option<Vec<u8>>,
    pub(super) x_originating_ip: Option<IpAddr>,
    pub(super) first_received: Option<Vec<u8>>,
    pub(super) second_received: Option<Vec<u8>>,
    pub(super) last_reply: Option<Vec<u8>>,
    pub(super) path: Vec<IpAddr>,
    pub(super) user_agent: Option<Vec<u8>>,
    pub(super) tls: bool,
    pub(super) fuids: Vec<Uid>,
    /// Whether the client has begun a message.
    pub(super) active: bool,
    /// MIME entities begun so far; headers of the first alone are the message's.
    pub(super) entities: u64,
}

impl Smtp {
    pub(super) fn new(at: Time, id: FlowId, depth: u64, helo: Option<Vec<u8>>) -> Self {
        Self {
            at,
            id,
            depth,
            helo,
            mail_from: None,
            rcpt_to: None,
            date: None,
            from: None,
            to: None,
            cc: None,
            reply_to: None,
            msg_id: None,
            in_reply_to: None,
            subject: None,
            x_originating_ip: None,
            first_received: None,
            second_received: None,
            last_reply: None,
            path: vec![id.resp.addr, id.orig.addr],
            user_agent: None,
            tls: false,
            fuids: Vec::new(),
            active: false,
            entities: 0,
        }
    }

    /// Adds addresses to a set; returns whether all had room.
    pub(super) fn add(set: &mut Option<Vec<Vec<u8>>>, addresses: Vec<Vec<u8>>) -> bool {
        let set = set.get_or_insert_default();
        for address in addresses {
            if set.len() >= MAX_ADDRESSES {
                return false;
            }
            if !set.contains(&address) {
                set.push(address);
            }
        }
        true
    }

    /// Takes a header of the message; returns the name of the oddity if there are too many addresses.
    pub(super) fn header(&mut self, name: &[u8], value: &[u8]) -> Option<&'static str> {
        if self.entities > 1 {
            return None;
        }
        let text = || Some(value.to_vec());
        match name.to_ascii_uppercase().as_slice() {
            b"MESSAGE-ID" => self.msg_id = text(),
            b"RECEIVED" => {
                self.second_received = self.first_received.take().or(self.second_received.take());
                self.first_received = text();
                return self.received(value);
            }
            b"IN-REPLY-TO" => self.in_reply_to = text(),
            b"SUBJECT" => self.subject = text(),
            b"FROM" => self.from = text(),
            b"REPLY-TO" => self.reply_to = text(),
            b"DATE" => self.date = text(),
            b"TO" => return (!Self::add(&mut self.to, address::split(value))).then_some("smtp_too_many_to_addresses"),
            b"CC" => return (!Self::add(&mut self.cc, address::split(value))).then_some("smtp_too_many_cc_addresses"),
            b"X-ORIGINATING-IP" => self.x_originating_ip = address::ip_addresses(value, false).first().copied().or(self.x_originating_ip),
            b"X-MAILER" | b"USER-AGENT" | b"X-USER-AGENT" => self.user_agent = text(),
            _ => {}
        }
        None
    }

    /// The host that a message was received from: the second address of the header if there are several.
    fn received(&mut self, value: &[u8]) -> Option<&'static str> {
        let found = address::ip_addresses(value, true);
        let host = *found.get(1).or(found.first())?;
        if self.path.last() == Some(&host) {
            return None;
        }
        if self.path.len() >= MAX_ADDRESSES {
            return Some("smtp_max_path_length_exceeded");
        }
        self.path.push(host);
        None
    }
}

/// `smtp.log` (scripts/base/protocols/smtp/main.zeek, files.zeek).
pub static LOG: Log = Log {
    path: "smtp",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("trans_depth", "count"),
        column("helo", "string"),
        column("mailfrom", "string"),
        column("rcptto", "set[string]"),
        column("date", "string"),
        column("from", "string"),
        column("to", "set[string]"),
        column("cc", "set[string]"),
        column("reply_to", "string"),
        column("msg_id", "string"),
        column("in_reply_to", "string"),
        column("subject", "string"),
        column("x_originating_ip", "addr"),
        column("first_received", "string"),
        column("second_received", "string"),
        column("last_reply", "string"),
        column("path", "vector[addr]"),
        column("user_agent", "string"),
        column("tls", "bool"),
        column("fuids", "vector[string]"),
        malcolm("is_webmail", "bool"),
    ],
};

impl Record for Smtp {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.count(Some(self.depth));
        row.bytes(self.helo.as_deref());
        row.bytes(self.mail_from.as_deref());
        row.strings(self.rcpt_to.as_ref().map(|all| all.iter().map(Vec::as_slice)));
        row.bytes(self.date.as_deref());
        row.bytes(self.from.as_deref());
        row.strings(self.to.as_ref().map(|all| all.iter().map(Vec::as_slice)));
        row.strings(self.cc.as_ref().map(|all| all.iter().map(Vec::as_slice)));
        row.bytes(self.reply_to.as_deref());
        row.bytes(self.msg_id.as_deref());
        row.bytes(self.in_reply_to.as_deref());
        row.bytes(self.subject.as_deref());
        row.addr(self.x_originating_ip);
        row.bytes(self.first_received.as_deref());
        row.bytes(self.second_received.as_deref());
        row.bytes(self.last_reply.as_deref());
        row.addrs(Some(self.path.iter().copied()));
        row.bytes(self.user_agent.as_deref());
        row.bool(Some(self.tls));
        row.uids(Some(self.fuids.iter().copied()));
        row.bool(Some(self.is_webmail()));
    }
}

impl Smtp {
    /// Whether the mail was written in a browser (scripts/policy/protocols/smtp/software.zeek's names).
    fn is_webmail(&self) -> bool {
        const NAMES: &[&[u8]] = &[
            b"iPlanet Messenger",
            b"Sun Java\xe2\x84\xa2 System Messenger Express",
            b"IMP",
            b"SquirrelMail",
            b"NeoMail",
            b"ZimbraWebClient",
        ];
        let agent = self.user_agent.as_deref().unwrap_or_default();
        NAMES.iter().any(|name| memchr::memmem::find(agent, name).is_some())
    }
}
