//! SIP: requests and their responses in `sip.log` (RFC 3261).
//!
//! Non-goals: SIP over TCP and TLS, and the media that it negotiates.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use crate::{Analyzer, Beginning, Direction, Match, Output, Pair, Protocol, Step, Transport};
use wire::{Line, Message};

pub use record::{LOG, Sip};

/// SIP in datagrams.
pub static SIP: Protocol =
    Protocol { name: "sip", label: "SIP", tcp: &[], udp: &[5060], recognises, analyzer: |_| Box::<Dialog>::default() };

/// Hosts on the way (Zeek's `max_request_path_length`, `max_response_path_length`).
const MAX_PATH: usize = 100;

/// Requests that wait for responses.
const MAX_PENDING: usize = 100;

/// Bytes without a line's end that are put before the next datagram.
const MAX_KEPT: usize = 4096;

/// Methods that are not odd (scripts/base/protocols/sip/main.zeek; RFC 3262, 3311, 3428, 3515, 6086).
const METHODS: &[&[u8]] = &[
    b"REGISTER",
    b"INVITE",
    b"ACK",
    b"CANCEL",
    b"BYE",
    b"OPTIONS",
    b"NOTIFY",
    b"SUBSCRIBE",
    b"PRACK",
    b"UPDATE",
    b"MESSAGE",
    b"REFER",
    b"INFO",
    b"PUBLISH",
];

/// The first line of a request or of a response.
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Udp {
        return Match::No;
    }
    let is = |bytes: &[u8]| {
        let line = bytes.split(|&b| b == b'\r').next().unwrap_or_default();
        line.ends_with(b" SIP/2.0") && line.first().is_some_and(u8::is_ascii_uppercase) || line.starts_with(b"SIP/2.0 ")
    };
    if is(beginning.orig) || is(beginning.resp) { Match::Yes } else { Match::No }
}

#[derive(Default)]
struct Dialog {
    state: Option<Box<State>>,
    kept: Pair<Vec<u8>>,
}

/// Requests under way, by their number.
#[derive(Default)]
struct State {
    pending: BTreeMap<u64, Sip>,
    request: u64,
    response: u64,
}

impl Analyzer for Dialog {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let kept = self.kept.of_mut(from);
        if !bytes.contains(&b'\n') && kept.len().saturating_add(bytes.len()) <= MAX_KEPT {
            kept.extend_from_slice(bytes);
            return Step::Consumed(bytes.len());
        }
        let mut whole = std::mem::take(kept);
        let all = if whole.is_empty() {
            bytes
        } else {
            whole.extend_from_slice(bytes);
            &whole
        };
        let Some(message) = Message::read(all) else { return Step::Violation("malformed SIP message") };
        match message.line {
            Line::Request(junk, method, uri) if from.is_orig() => self.request(junk, method, uri, &message, out),
            Line::Response(code, reason) if !from.is_orig() => self.response(code, reason, &message, out),
            // Both ends may call; Zeek follows the one that did first.
            _ => {}
        }
        Step::Consumed(bytes.len())
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if let Some(state) = self.state.take() {
            state.pending.into_values().for_each(|row| out.record(row));
        }
    }
}

impl State {
    fn row(&mut self, depth: u64, out: &Output<'_>) -> &mut Sip {
        self.pending.entry(depth).or_insert_with(|| Sip {
            at: out.at,
            id: out.id,
            trans_depth: depth,
            method: None,
            uri: None,
            date: None,
            request_from: None,
            request_to: None,
            response_from: None,
            response_to: None,
            reply_to: None,
            call_id: None,
            seq: None,
            subject: None,
            request_path: Vec::new(),
            response_path: Vec::new(),
            user_agent: None,
            status_code: None,
            status_msg: None,
            warning: None,
            request_body_len: None,
            response_body_len: None,
            content_type: None,
        })
    }
}

impl Dialog {
    fn request(&mut self, junk: &[u8], method: &[u8], uri: &[u8], message: &Message<'_>, out: &mut Output<'_>) {
        if !junk.is_empty() {
            let text: String =
                junk.iter().map(|b| if b.is_ascii_graphic() { char::from(*b).to_string() } else { format!("\\x{b:02x}") }).collect();
            out.weird_detail("sip_junk_before_request", Some(text.as_bytes()), Some("SIP"));
        }
        if !METHODS.contains(&method) {
            out.weird_detail("unknown_SIP_method", Some(method), None);
        }
        let state = self.state.get_or_insert_default();
        if state.pending.len() >= MAX_PENDING {
            state.pending.pop_first();
        }
        let row = state.row(state.request, out);
        row.method = Some(method.to_vec());
        row.uri = Some(uri.to_vec());
        for (name, value) in &message.headers {
            let text = || Some(value.to_vec());
            match &name.to_ascii_uppercase()[..] {
                b"CALL-ID" => row.call_id = text(),
                b"CONTENT-LENGTH" | b"L" => row.request_body_len = Some(wire::number(value)),
                b"CSEQ" => row.seq = text(),
                b"DATE" => row.date = text(),
                b"FROM" | b"F" => row.request_from = Some(wire::without(value, b"tag=").to_vec()),
                b"REPLY-TO" => row.reply_to = text(),
                b"SUBJECT" | b"S" => row.subject = text(),
                b"TO" | b"T" => row.request_to = text(),
                b"USER-AGENT" => row.user_agent = text(),
                b"VIA" | b"V" => path(&mut row.request_path, value, "sip_max_request_path_length_exceeded", out),
                _ => {}
            }
        }
    }

    fn response(&mut self, code: u64, reason: &[u8], message: &Message<'_>, out: &mut Output<'_>) {
        out.confirm();
        let state = self.state.get_or_insert_default();
        let depth = state.response;
        let row = state.row(depth, out);
        row.status_code = Some(code);
        row.status_msg = Some(reason.to_vec());
        for (name, value) in &message.headers {
            let text = || Some(value.to_vec());
            match &name.to_ascii_uppercase()[..] {
                b"CONTENT-LENGTH" | b"L" => row.response_body_len = Some(wire::number(value)),
                b"CONTENT-TYPE" | b"C" => row.content_type = text(),
                b"WARNING" => row.warning = text(),
                b"FROM" | b"F" => row.response_from = Some(wire::without(value, b"tag=").to_vec()),
                b"TO" | b"T" => row.response_to = text(),
                b"VIA" | b"V" => path(&mut row.response_path, value, "sip_max_response_path_length_exceeded", out),
                _ => {}
            }
        }
        let ends = row.method.is_none() || (row.method.as_deref() == Some(b"BYE") && (200..300).contains(&code));
        out.record(row.clone());
        if !(100..200).contains(&code) {
            state.pending.remove(&depth);
        }
        if ends && let Some(state) = self.state.take() {
            // Number 0 is not used once there are others.
            state.pending.into_iter().filter(|(depth, _)| *depth != 0).for_each(|(_, row)| out.record(row));
        }
    }
}

fn path(path: &mut Vec<Vec<u8>>, value: &[u8], name: &'static str, out: &mut Output<'_>) {
    if path.len() >= MAX_PATH {
        return out.weird(name);
    }
    path.push(wire::without(value, b"branch").to_vec());
}
