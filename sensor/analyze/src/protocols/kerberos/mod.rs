//! Kerberos 5: the request of a ticket and its outcome, one line of `kerberos.log` a flow.
//!
//! Non-goals: what is encrypted.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use super::x509;
use crate::log::Fields;
use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Step, Transport};
use wire::{Message, kind};

pub use record::{Kerberos, LOG};

/// Kerberos in datagrams (RFC 4120 §7.2.1).
pub static KERBEROS_UDP: Protocol =
    Protocol { name: "krb", label: "KRB", tcp: &[], udp: &[88], recognises, analyzer: |_| Box::<Exchange>::default() };

/// Kerberos in streams (RFC 4120 §7.2.2).
pub static KERBEROS_TCP: Protocol =
    Protocol { name: "krb_tcp", label: "KRB_TCP", tcp: &[88], udp: &[], recognises: |_| Match::No, analyzer: |_| Box::<Stream>::default() };

/// Bytes of a message in a stream. Tickets with authorisation data take up to 64 KiB; what is larger is no Kerberos.
const MAX_MESSAGE: usize = 1 << 18;

/// Errors that only tell the client to authenticate (Zeek's `KRB::ignored_errors`).
const IGNORED: [&[u8]; 2] = [b"NEEDED_PREAUTH", b"Need to use PA-ENC-TIMESTAMP/PA-PK-AS-REQ"];

/// A request of a ticket by its tags (scripts/base/protocols/krb/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Udp {
        return Match::No;
    }
    let is = |bytes: &[u8]| matches!(bytes.first(), Some(0x6a | 0x6c)) && Message::read(bytes).is_some();
    if is(beginning.orig) || is(beginning.resp) { Match::Yes } else { Match::No }
}

#[derive(Default)]
struct Exchange {
    row: Option<Box<Kerberos>>,
    logged: bool,
}

#[derive(Default)]
struct Stream(Exchange);

impl Analyzer for Exchange {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        match self.message(from, bytes, out) {
            true => Step::Consumed(bytes.len()),
            false => Step::Violation("not a Kerberos message"),
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        self.log(out);
    }
}

impl Analyzer for Stream {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Step::NeedMore };
        // The highest bit is reserved.
        let len = u32::from_be_bytes(*head) as usize & 0x7fff_ffff;
        if len > MAX_MESSAGE {
            return Step::Violation("Kerberos message too long");
        }
        let Some(message) = rest.get(..len) else { return Step::NeedMore };
        match self.0.message(from, message, out) {
            true => Step::Consumed(len.saturating_add(4)),
            false => Step::Violation("not a Kerberos message"),
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        self.0.log(out);
    }
}

/// Tells a session of Arkime's what a message says.
fn tell(message: &Message, fields: &mut Fields) {
    fields.protocol("krb5");
    fields.some("krb5.cname", message.client.as_deref());
    fields.some("krb5.realm", message.realm.as_deref().or(message.client_realm.as_deref()));
    fields.some("krb5.sname", message.service.as_deref());
    message.offers.iter().chain(&message.cipher).for_each(|kind| fields.text("krb5.etype", wire::cipher(*kind).as_bytes()));
    if message.kind == kind::ERROR {
        fields.some("krb5.error", message.error.and_then(wire::error).map(str::as_bytes));
    }
}

impl Exchange {
    fn log(&mut self, out: &mut Output<'_>) {
        if let Some(row) = self.row.take() {
            out.record(*row);
            self.logged = true;
        }
    }

    fn message(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> bool {
        let Some(message) = Message::read(bytes) else { return false };
        out.confirm();
        if let Some(fields) = out.session() {
            tell(&message, fields);
        }
        if self.logged {
            return true;
        }
        let row = self.row.get_or_insert_with(|| {
            Box::new(Kerberos {
                at: out.at,
                id: out.id,
                request_type: None,
                client: None,
                service: None,
                success: None,
                error_msg: None,
                from: None,
                till: None,
                cipher: None,
                forwardable: None,
                renewable: None,
                client_cert_subject: None,
                client_cert_fuid: None,
                server_cert_subject: None,
                server_cert_fuid: None,
            })
        });
        if let Some(certificates) = &message.certificates {
            let subject = certificates.first().and_then(|certificate| x509::Certificate::read(certificate)).map(|first| first.subject());
            let fuid = Some(out.sink.uids.file());
            if from.is_orig() {
                (row.client_cert_subject, row.client_cert_fuid) = (subject, fuid);
            } else {
                (row.server_cert_subject, row.server_cert_fuid) = (subject, fuid);
            }
            for certificate in certificates {
                x509::seen(certificate, true, from.is_orig(), out);
            }
        }
        let slashed = |name: Option<Vec<u8>>, realm: Option<Vec<u8>>| [name.unwrap_or_default(), realm.unwrap_or_default()].join(&b'/');
        match message.kind {
            kind::AS_REQUEST | kind::TGS_REQUEST => {
                let is_as = message.kind == kind::AS_REQUEST;
                row.request_type = Some(if is_as { "AS" } else { "TGS" });
                if is_as {
                    row.client = Some(slashed(message.client, message.realm));
                }
                row.service = message.service.or(row.service.take());
                row.from = message.from.or(row.from);
                row.till = message.till.or(row.till);
                row.forwardable = message.forwardable.or(row.forwardable);
                row.renewable = message.renewable.or(row.renewable);
            }
            kind::AS_REPLY | kind::TGS_REPLY => {
                if row.client.is_none() && (message.client.is_some() || message.client_realm.is_some()) {
                    row.client = Some(slashed(message.client, message.client_realm));
                }
                row.service = message.service;
                row.cipher = message.cipher.map(wire::cipher);
                row.success = Some(true);
                self.log(out);
            }
            kind::ERROR => {
                if message.error_text.as_deref().is_some_and(|text| IGNORED.contains(&text)) {
                    self.row = None;
                    return true;
                }
                if row.client.is_none() && (message.client.is_some() || message.client_realm.is_some()) {
                    let name = message.client.map(|mut name| {
                        name.push(b'/');
                        name
                    });
                    row.client = Some([name.unwrap_or_default(), message.client_realm.unwrap_or_default()].concat());
                }
                row.service = message.service.or(row.service.take());
                row.success = Some(false);
                let known = message.error.and_then(wire::error).map(|name| name.as_bytes().to_vec());
                row.error_msg = message.error_text.or(known);
                self.log(out);
            }
            _ => {}
        }
        true
    }
}
