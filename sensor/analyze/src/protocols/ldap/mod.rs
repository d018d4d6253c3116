//! LDAP over TCP and UDP: operations in `ldap.log`, searches in `ldap_search.log`.
//!
//! Requests and responses meet by message id. After a SASL bind, messages may be wrapped; what is not encrypted is
//! read on. StartTLS hands over to TLS.

mod names;
mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::der::{Element, Unreadable, tag};
use super::tls::TLS;
use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Reader, Step, Transport};
use wire::{Message, operation};

pub use record::{LOG, Ldap, LdapSearch, SEARCH_LOG};

/// LDAP over TCP.
pub static LDAP_TCP: Protocol = Protocol {
    name: "ldap_tcp",
    label: "LDAP_TCP",
    tcp: &[389, 3268],
    udp: &[],
    recognises: |beginning| recognises(beginning, Transport::Tcp),
    analyzer: |_| Box::<Session>::default(),
};

/// LDAP over UDP (MS-ADTS §3.1.1.3.1.4).
pub static LDAP_UDP: Protocol = Protocol {
    name: "ldap_udp",
    label: "LDAP_UDP",
    tcp: &[],
    udp: &[389],
    recognises: |beginning| recognises(beginning, Transport::Udp),
    analyzer: |_| Box::<Session>::default(),
};

/// Operations of one connection that wait for their responses (Zeek's `max_pending_messages`).
const MAX_PENDING: usize = 100;

/// Bytes of one message; search entries with pictures come to some hundred KiB.
const MAX_MESSAGE: usize = 1 << 20;

/// RFC 4511 §4.14: the extended operation that asks for TLS.
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// A request of the client, and a sequence of the server (scripts/base/protocols/ldap/dpd.sig).
fn recognises(beginning: &Beginning<'_>, transport: Transport) -> Match {
    if beginning.transport != transport {
        return Match::No;
    }
    if beginning.resp.first().is_some_and(|&b| b != tag::SEQUENCE) {
        return Match::No;
    }
    match is_request(beginning.orig) {
        Match::Yes if beginning.resp.is_empty() => Match::Maybe,
        found => found,
    }
}

fn is_request(bytes: &[u8]) -> Match {
    let (head, _, start) = match Element::head(bytes) {
        Ok(head) => head,
        Err(Unreadable::Incomplete) => return Match::Maybe,
        Err(Unreadable::Malformed) => return Match::No,
    };
    let mut reader = Reader::new(bytes.get(start..).unwrap_or_default());
    if head != tag::SEQUENCE {
        return Match::No;
    }
    let (Some(kind), Some(len)) = (reader.u8(), reader.u8()) else { return Match::Maybe };
    if kind != tag::INTEGER || !(1..=4).contains(&len) {
        return Match::No;
    }
    match (reader.skip(usize::from(len)), reader.u8()) {
        (Some(()), Some(0x4a | 0x60 | 0x63 | 0x66 | 0x68 | 0x6c | 0x6e | 0x77)) => Match::Yes,
        (Some(()), Some(_)) => Match::No,
        _ => Match::Maybe,
    }
}

/// How messages come after a bind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wrapping {
    /// As they are.
    #[default]
    Clear,
    /// With four bytes of length, then a Kerberos token.
    Kerberos,
    /// To be seen with the next message.
    Unknown,
    /// With four bytes of length, then ciphertext.
    Encrypted,
}

/// One connection.
#[derive(Default)]
struct Session {
    wrapping: Wrapping,
    mechanism: Vec<u8>,
    tls_requested: bool,
    messages: BTreeMap<i64, Ldap>,
    searches: BTreeMap<i64, LdapSearch>,
}

impl Analyzer for Session {
    fn advance(&mut self, _from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        if self.wrapping == Wrapping::Unknown {
            match self.look(bytes) {
                Some(wrapping) => self.wrapping = wrapping,
                None => return Step::NeedMore,
            }
        }
        if self.wrapping == Wrapping::Clear {
            return match self.clear(bytes, out) {
                Ok((len, true)) => Step::Become(len, &TLS),
                Ok((len, false)) => Step::Consumed(len),
                Err(Unreadable::Incomplete) if bytes.len() < MAX_MESSAGE => Step::NeedMore,
                Err(_) => Step::Violation("malformed LDAP message"),
            };
        }
        let mut reader = Reader::new(bytes);
        let Some(len) = reader.u32().map(|len| len as usize) else { return Step::NeedMore };
        if len > MAX_MESSAGE {
            return Step::Violation("malformed SASL buffer");
        }
        let Some(token) = reader.take(len) else { return Step::NeedMore };
        if self.wrapping == Wrapping::Kerberos {
            let mut messages = wire::unwrap(token);
            while let Ok((len, _)) = self.clear(messages, out) {
                messages = messages.get(len..).unwrap_or_default();
            }
        }
        Step::Consumed(reader.position())
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        // Unsolicited notifications have the id 0 (RFC 4511 §4.4).
        for row in std::mem::take(&mut self.messages).into_values().filter(|row| row.message_id > 0) {
            out.record(row);
        }
        for row in std::mem::take(&mut self.searches).into_values().filter(|row| row.message_id > 0) {
            out.record(row);
        }
    }
}

impl Session {
    /// Whether the message after a bind is wrapped. A message begins with 0x30; as a length that would be 768 MiB.
    fn look(&self, bytes: &[u8]) -> Option<Wrapping> {
        if *bytes.first()? == tag::SEQUENCE {
            return Some(Wrapping::Clear);
        }
        if !self.mechanism.is_empty() && !self.mechanism.starts_with(b"GSS") {
            return Some(Wrapping::Encrypted);
        }
        let token = bytes.get(4..6)?;
        Some(if token == [5, 4] { Wrapping::Kerberos } else { Wrapping::Encrypted })
    }

    /// Reads one message; its length, and whether TLS begins after it.
    fn clear(&mut self, bytes: &[u8], out: &mut Output<'_>) -> Result<(usize, bool), Unreadable> {
        let message = Message::read(bytes)?;
        let begins_tls = self.message(&message, out);
        out.confirm();
        Ok((message.len, begins_tls))
    }

    fn search(&mut self, id: i64, out: &mut Output<'_>) -> &mut LdapSearch {
        if self.searches.len() >= MAX_PENDING && !self.searches.contains_key(&id) {
            let addl = MAX_PENDING.to_string();
            out.weird_detail("LDAP_max_pending_searches_exceeded", Some(addl.as_bytes()), Some("LDAP"));
            std::mem::take(&mut self.searches).into_values().for_each(|row| out.record(row));
        }
        let (at, flow) = (out.at, out.id);
        self.searches.entry(id).or_insert_with(|| LdapSearch {
            at,
            id: flow,
            message_id: id,
            scope: None,
            deref: None,
            base: None,
            count: 0,
            result: None,
            diagnostic: None,
            filter: None,
        })
    }

    fn operation(&mut self, id: i64, out: &mut Output<'_>) -> &mut Ldap {
        if self.messages.len() >= MAX_PENDING && !self.messages.contains_key(&id) {
            let addl = MAX_PENDING.to_string();
            out.weird_detail("LDAP_max_pending_messages_exceeded", Some(addl.as_bytes()), Some("LDAP"));
            std::mem::take(&mut self.messages).into_values().for_each(|row| out.record(row));
        }
        let (at, flow) = (out.at, out.id);
        self.messages.entry(id).or_insert_with(|| Ldap {
            at,
            id: flow,
            message_id: id,
            version: None,
            opcode: None,
            result: None,
            diagnostic: None,
            object: None,
            argument: None,
        })
    }

    fn message(&mut self, message: &Message<'_>, out: &mut Output<'_>) -> bool {
        let mut body = message.body;
        match message.operation {
            operation::SEARCH_REQUEST => self.search_request(message, out),
            operation::SEARCH_ENTRY => {
                let row = self.search(message.id, out);
                row.count = row.count.saturating_add(1);
            }
            operation::SEARCH_REFERENCE => {}
            operation::SEARCH_DONE => {
                let (code, diagnostic) = wire::result(&mut body);
                let row = self.search(message.id, out);
                row.result = code.map(names::result);
                if !diagnostic.is_empty() {
                    row.diagnostic = Some(wire::text(diagnostic));
                }
                if let Some(row) = self.searches.remove(&message.id) {
                    out.record(row);
                }
            }
            operation::BIND_REQUEST => self.bind_request(message, out),
            kind => return self.other(kind, message, out),
        }
        false
    }

    fn search_request(&mut self, message: &Message<'_>, out: &mut Output<'_>) {
        let mut body = message.body;
        let base = body.next().map(|e| e.body).unwrap_or_default();
        let (scope, deref) = (body.next().and_then(Element::uint), body.next().and_then(Element::uint));
        let filter = body.nth(3).map(wire::filter).unwrap_or_default();
        let row = self.search(message.id, out);
        row.scope = scope.map(names::scope);
        row.deref = deref.map(names::deref);
        if !base.is_empty() {
            row.base = Some(wire::text(base));
        }
        row.filter = Some(filter);
    }

    fn bind_request(&mut self, message: &Message<'_>, out: &mut Output<'_>) {
        let mut body = message.body;
        let version = body.expect(tag::INTEGER).and_then(Element::int);
        let name = body.next().map(|e| e.body).unwrap_or_default();
        let Some(credentials) = body.next() else { return };
        let mut argument = None;
        let opcode = match credentials.tag & 0x1f {
            0 => {
                argument = (!credentials.body.is_empty()).then(|| b"REDACTED".to_vec());
                "bind simple"
            }
            3 => {
                let mut parts = credentials.inside();
                let mechanism = parts.next().map(|e| e.body).unwrap_or_default();
                self.mechanism = mechanism.to_vec();
                argument = (!mechanism.is_empty()).then(|| wire::text(mechanism));
                if let Some(token) = parts.next() {
                    wire::mechanism(token.body).iter().for_each(|&service| out.service(service));
                }
                "bind SASL"
            }
            10 => "bind SICILY_NEGOTIATE",
            11 => "bind SICILY_RESPONSE",
            _ => "bind",
        };
        let row = self.operation(message.id, out);
        row.version = row.version.or(version);
        row.opcode = Some(Cow::Borrowed(opcode));
        if !name.is_empty() {
            row.object = Some(wire::text(name));
        }
        row.argument = argument.or(row.argument.take());
    }

    fn other(&mut self, kind: u8, message: &Message<'_>, out: &mut Output<'_>) -> bool {
        let mut body = message.body;
        let has_result = matches!(
            kind,
            operation::BIND_RESPONSE
                | operation::MODIFY_RESPONSE
                | operation::ADD_RESPONSE
                | operation::DELETE_RESPONSE
                | operation::MODIFY_DN_RESPONSE
                | operation::COMPARE_RESPONSE
                | operation::EXTENDED_RESPONSE
        );
        let (code, diagnostic) = if has_result { wire::result(&mut body) } else { (None, &[][..]) };
        let mut object = match kind {
            operation::MODIFY_REQUEST => message.body.clone().next().map(|e| wire::text(e.body)),
            operation::DELETE_REQUEST => Some(wire::text(message.contents)),
            operation::ABANDON_REQUEST => {
                let id = Element { tag: tag::INTEGER, body: message.contents, whole: &[] };
                id.int().map(|id| id.to_string().into_bytes())
            }
            operation::EXTENDED_REQUEST => message.body.clone().next().map(|e| wire::text(e.body)),
            _ => None,
        };
        if kind == operation::EXTENDED_REQUEST
            && let Some(oid) = &mut object
        {
            self.tls_requested = oid == START_TLS;
            let name = names::extended(oid);
            oid.extend_from_slice(format!(" ({name})").as_bytes());
        }
        let row = self.operation(message.id, out);
        let name = names::operation(kind);
        if name != "bind" {
            row.opcode = Some(Cow::Borrowed(name));
        } else {
            row.opcode.get_or_insert(Cow::Borrowed(name));
        }
        row.result = code.map(names::result).or(row.result);
        if !diagnostic.is_empty() {
            row.diagnostic = Some(wire::text(diagnostic));
        }
        row.object = object.filter(|o| !o.is_empty()).or(row.object.take());
        let is_finished = has_result || matches!(kind, operation::UNBIND_REQUEST | operation::ABANDON_REQUEST);
        if is_finished && let Some(row) = self.messages.remove(&message.id) {
            out.record(row);
        }
        let succeeded = code == Some(0);
        if kind == operation::BIND_RESPONSE && succeeded && !self.mechanism.is_empty() {
            // [7] serverSaslCreds (RFC 4511 §4.2.2).
            let token = body.find(|e| e.tag == 0x87).map_or(&[][..], |e| e.body);
            let kerberos = self.mechanism == b"GSS-SPNEGO" && wire::accepts_kerberos(token);
            self.wrapping = if kerberos { Wrapping::Kerberos } else { Wrapping::Unknown };
        }
        kind == operation::EXTENDED_RESPONSE && succeeded && self.tls_requested
    }
}
