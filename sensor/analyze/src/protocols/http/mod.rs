//! HTTP/0.9 to HTTP/1.1 (RFC 9110, RFC 9112): `http.log`, files in both directions.
//!
//! Passive and lenient: what is odd is named, what can still be understood goes on. The order of what is noticed
//! follows Zeek's analyzer, since `http.log` is defined by it.

mod arkime;
mod message;
mod record;
#[cfg(test)]
mod tests;
mod transactions;
mod wire;

use std::collections::VecDeque;

use self::message::{BodyExpected, Message, Next};
pub use self::record::{Files, HTTP as LOG, HttpRecord};
use self::transactions::Transactions;
use self::wire::{NotARequest, Version};
use crate::tunnel::TunnelRecord;
use crate::{Analyzer, Beginning, Direction, Endpoint, FlowId, Match, Output, Pair, Protocol, Step, Transport};

/// The row of HTTP in the table of protocols.
pub static HTTP: Protocol = Protocol {
    name: "http",
    label: "HTTP",
    tcp: &[80, 81, 631, 1080, 3128, 8000, 8080, 8888],
    udp: &[],
    recognises,
    analyzer: |_| Box::new(Http::default()),
};

/// Bytes of one line. Real request lines end at 8 to 64 KiB.
const MAX_LINE: usize = 256 << 10;
/// Requests that wait for their responses; beyond it the oldest is forgotten.
const MAX_UNANSWERED: usize = 1000;

/// Methods by which a client is recognised (Zeek's dpd.sig for HTTP).
const KNOWN: &[&[u8]] = &[
    b"OPTIONS",
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"TRACE",
    b"CONNECT",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"VERSION-CONTROL",
    b"REPORT",
    b"CHECKOUT",
    b"CHECKIN",
    b"UNCHECKOUT",
    b"MKWORKSPACE",
    b"LABEL",
    b"MERGE",
    b"BASELINE-CONTROL",
    b"MKACTIVITY",
    b"ORDERPATCH",
    b"ACL",
    b"PATCH",
    b"SEARCH",
    b"BCOPY",
    b"BDELETE",
    b"BMOVE",
    b"BPROPFIND",
    b"BPROPPATCH",
    b"NOTIFY",
    b"POLL",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"X-MS-ENUMATTS",
    b"RPC_OUT_DATA",
    b"RPC_IN_DATA",
    b"QUERY",
];

fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    // Either side is enough: one of them may be larger than what is looked at.
    let request = beginning.orig.trim_ascii_start();
    let response = beginning.resp;
    let is_response = response.starts_with(b"HTTP/") && response.get(5).is_some_and(u8::is_ascii_digit);
    if is_response || KNOWN.iter().any(|method| request.starts_with(method)) {
        return Match::Yes;
    }
    let may_be_request = KNOWN.iter().any(|method| method.starts_with(request));
    let may_be_response = b"HTTP/".starts_with(response.get(..response.len().min(5)).unwrap_or_default()) && response.len() < 6;
    if may_be_request || may_be_response { Match::Maybe } else { Match::No }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expect {
    #[default]
    StartLine,
    Message,
    Nothing,
    /// Raw bytes of HTTP/0.9.
    Bare,
}

/// One direction.
#[derive(Default)]
struct Half {
    expect: Expect,
    message: Option<Box<Message>>,
    /// The message's body, if a session wants to know of it.
    body: Option<Box<arkime::Body>>,
    version: Version,
    /// A start line has been read whose message has not ended.
    ongoing: bool,
}

/// The analyzer.
#[derive(Default)]
struct Http {
    halves: Pair<Half>,
    transactions: Transactions,
    unanswered: VecDeque<Vec<u8>>,
    requests: u64,
    keep_alive: bool,
    close: bool,
    is_connect: bool,
    code: u64,
    weird_line: bool,
    /// Method and header of the request at hand, if a session wants to know of them.
    request: Option<(Vec<u8>, Box<arkime::Head>)>,
    /// Requests are no longer told to the session.
    is_deaf: bool,
}

impl Analyzer for Http {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        if out.is_partial() {
            return Step::Consumed(bytes.len());
        }
        let mut at = 0usize;
        while let Some(rest) = bytes.get(at..)
            && !rest.is_empty()
        {
            let half = self.halves.of_mut(from);
            let next = match half.expect {
                Expect::Nothing => return Step::Consumed(bytes.len()),
                Expect::StartLine => Next::Line,
                Expect::Bare => Next::Rest,
                Expect::Message => half.message.as_ref().map_or(Next::Line, |message| message.next()),
            };
            let is_body = half.expect == Expect::Message && half.message.as_ref().is_some_and(|message| message.is_in_body());
            let n = match next {
                Next::Bytes(left) => {
                    let n = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.feed(from, rest.get(..n).unwrap_or_default());
                    self.body(from, rest.get(..n).unwrap_or_default(), out);
                    n
                }
                Next::Rest => {
                    self.feed(from, rest);
                    self.body(from, rest, out);
                    rest.len()
                }
                Next::End => {
                    half.expect = Expect::StartLine;
                    continue;
                }
                Next::Line => {
                    let in_parts = half.message.as_ref().is_some_and(|m| !m.is_in_header() && m.left().is_some());
                    let Some((line, n)) = split_line(rest, half.message.as_deref(), in_parts) else {
                        if rest.len() > MAX_LINE {
                            out.weird_detail("contentline_size_exceeded", None, Some("CONTENTLINE"));
                            half.expect = Expect::Nothing;
                        }
                        return Step::Consumed(at);
                    };
                    if n == line.len() && !self.weird_line {
                        // The told length ends within a line. Zeek says so once of a connection.
                        self.weird_line = true;
                        out.weird_detail("line_terminated_without_CRLF", None, Some("CONTENTLINE"));
                    }
                    if is_body {
                        self.feed(from, rest.get(..n).unwrap_or_default());
                    }
                    if let Some(step) = self.line(from, line, n, out) {
                        let rest = bytes.len().saturating_sub(at + n);
                        return match step {
                            Step::Identify(_) => Step::Identify(at + n),
                            Step::Become(_, protocol) => {
                                if rest > 0 {
                                    let addl = rest.to_string();
                                    out.weird_detail("protocol_data_with_HTTP_upgrade_reply", Some(addl.as_bytes()), Some("HTTP"));
                                }
                                Step::Become(at + n, protocol)
                            }
                            other => other,
                        };
                    }
                    n
                }
            };
            at += n;
        }
        if let Some(body) = &mut self.halves.of_mut(from).body {
            body.pause(from.is_orig(), out);
        }
        Step::Consumed(at)
    }

    fn gap(&mut self, from: Direction, len: u64, out: &mut Output<'_>) -> Step {
        let half = self.halves.of_mut(from);
        if let Some(message) = &mut half.message
            && half.expect == Expect::Message
            && message.gap(len, &mut self.transactions, out)
        {
            self.settle(from, out);
            return Step::Consumed(0);
        }
        if from.is_orig() {
            // Whether a response has a body depends on the request.
            self.made(Direction::Originator, true, out);
        }
        self.made(Direction::Responder, true, out);
        self.halves.of_mut(from).expect = Expect::Nothing;
        Step::Consumed(0)
    }

    fn end(&mut self, from: Direction, unconsumed: &[u8], out: &mut Output<'_>) {
        if !unconsumed.is_empty()
            && let Some(message) = &mut self.halves.of_mut(from).message
        {
            message.line(unconsumed, unconsumed.len(), &mut self.transactions, out);
        }
        self.made(from, false, out);
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        self.made(Direction::Originator, true, out);
        self.made(Direction::Responder, true, out);
        self.transactions.finish(out);
    }
}

impl Http {
    fn line(&mut self, from: Direction, line: &[u8], consumed: usize, out: &mut Output<'_>) -> Option<Step> {
        match (self.halves.of(from).expect, from) {
            (Expect::StartLine, Direction::Originator) => self.request_line(line, out),
            (Expect::StartLine, Direction::Responder) => self.status_line(line, out),
            (Expect::Message, _) => {
                let half = self.halves.of_mut(from);
                let message = half.message.as_mut()?;
                let was_in_header = message.is_in_header();
                let field = if out.options().sessions { message.field_before(line) } else { None };
                message.line(line, consumed, &mut self.transactions, out);
                let header_done = was_in_header && !message.is_in_header();
                let (code, version) = (self.code, half.version);
                self.tell(from, field.as_deref(), header_done.then_some((code, version)), out);
                let half = self.halves.of_mut(from);
                let message = half.message.as_mut()?;
                if header_done {
                    self.keep_alive |= from.is_orig() && message.keep_alive;
                    self.close |= !from.is_orig() && message.close;
                }
                let upgrade = message.is_upgrade().then(|| message.upgrade.clone()).flatten();
                if header_done && code == 101 && upgrade.as_deref() == Some(b"websocket") {
                    let record = self.transactions.websocket(out);
                    out.record(record);
                }
                self.settle(from, out);
                if header_done && !from.is_orig() {
                    if self.is_connect && line.is_empty() {
                        return Some(self.connected(consumed, out));
                    }
                    if code == 101
                        && let Some(protocol) = upgrade
                    {
                        return Some(self.upgraded(&protocol, consumed, out));
                    }
                }
                None
            }
            (Expect::Nothing | Expect::Bare, _) => None,
        }
    }

    fn request_line(&mut self, line: &[u8], out: &mut Output<'_>) -> Option<Step> {
        let request = match wire::request_line(line) {
            Ok(request) => request,
            Err(_) if line.is_empty() => {
                out.weird_detail("empty_http_request", None, Some("HTTP"));
                return None;
            }
            Err(why) => {
                let name = match why {
                    NotARequest::Bad => "bad_HTTP_request",
                    NotARequest::BadWithVersion => "bad_HTTP_request_with_version",
                };
                out.weird_detail(name, None, Some("HTTP"));
                self.halves.orig.expect = Expect::Nothing;
                // A response may still tell that it is HTTP.
                return out.is_confirmed().then_some(Step::Violation("not a http request line"));
            }
        };
        if request.no_target {
            out.weird_detail("missing_HTTP_uri", None, Some("HTTP"));
        }
        let version = match request.version {
            Some(version) => version,
            None if request.bad_version => self.halves.orig.version,
            None => (0, 9),
        };
        if version == (0, 9) && request.method != b"GET" {
            // HTTP/0.9 knows no other method.
            out.weird_detail("invalid_http_09_request_method", Some(request.method), Some("HTTP"));
        }
        self.set_version(Direction::Originator, version, out);
        self.requests += 1;
        if !self.keep_alive && self.requests > 1 {
            out.weird_detail("unexpected_multiple_HTTP_requests", None, Some("HTTP"));
        }
        let target = wire::unescape(request.target, &mut |name| out.weird_detail(name, None, Some("HTTP")));
        if self.unanswered.len() >= MAX_UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(request.method.to_vec());
        out.confirm();
        self.is_connect = request.method.eq_ignore_ascii_case(b"CONNECT");
        self.transactions.request(request.method, target, out);
        if let Some(fields) = out.session() {
            if !KNOWN.contains(&request.method) || request.method.starts_with(b"RPC_") || request.version.is_none() {
                self.is_deaf = true;
            } else if let Some(blank) = memchr::memchr(b' ', request.target) {
                // Arkime's parser stops here, and knows no more than the target up to there.
                fields.some("http.uri", request.target.get(..blank));
                self.is_deaf = true;
            } else if !self.is_deaf {
                self.request = Some((request.method.to_vec(), Box::new(arkime::Head::new(request.target))));
            }
        }
        let message = Message::new(Direction::Originator, version, 0, BodyExpected::Maybe);
        self.begin(Direction::Originator, message, out);
        if version == (0, 9) {
            if self.halves.resp.ongoing || self.halves.resp.message.is_some() {
                out.weird_detail("http_09_reply_before_request", None, Some("HTTP"));
            }
            self.halves.resp.expect = Expect::Bare;
        }
        None
    }

    fn status_line(&mut self, line: &[u8], out: &mut Output<'_>) -> Option<Step> {
        let Some(status) = wire::status_line(line) else {
            if line.is_empty() {
                return None;
            }
            self.halves.resp.expect = Expect::Nothing;
            return Some(Step::Violation("not a http reply line"));
        };
        self.set_version(Direction::Responder, status.version, out);
        if !self.unanswered.is_empty() {
            out.confirm();
        }
        self.code = status.code;
        if self.is_connect && status.code != 200 {
            self.is_connect = false;
        }
        let reason = status.reason.map_or_else(|| b"<empty>".to_vec(), <[u8]>::to_vec);
        let version = self.halves.resp.version;
        self.transactions.response(version, status.code, reason, out);
        if self.is_connect && status.code == 200 && self.transactions.is_method(b"CONNECT") {
            let mut id: FlowId = out.id;
            id.orig = Endpoint { port: 0, ..id.orig };
            out.record(TunnelRecord::without_uid(out.at, id, "Tunnel::HTTP", "Tunnel::DISCOVER"));
        }
        let expected = self.body_expected();
        let mut message = Message::new(Direction::Responder, version, status.code, expected);
        message.close = self.close;
        self.begin(Direction::Responder, message, out);
        None
    }

    /// RFC 9112 §6.3.
    fn body_expected(&self) -> BodyExpected {
        let is_head = self.unanswered.front().is_some_and(|method| method.eq_ignore_ascii_case(b"HEAD"));
        if is_head || matches!(self.code, 100..=199 | 204 | 304) { BodyExpected::No } else { BodyExpected::Yes }
    }

    fn begin(&mut self, from: Direction, message: Message, out: &mut Output<'_>) {
        let half = self.halves.of_mut(from);
        half.expect = Expect::Message;
        half.ongoing = true;
        half.message = Some(Box::new(message));
        self.transactions.entity(from, out);
    }

    /// Tells the session of a header field, and of the header when it is complete.
    fn tell(&mut self, from: Direction, field: Option<&[u8]>, done: Option<(u64, Version)>, out: &mut Output<'_>) {
        let Some(fields) = out.session() else { return };
        if let Some((name, value)) = field.and_then(crate::mime::split_field) {
            match (&mut self.request, from) {
                (Some((_, head)), Direction::Originator) => head.request_field(name, value, fields),
                (_, Direction::Originator) => {}
                (_, Direction::Responder) => arkime::response_field(name, value, fields),
            }
        }
        let Some((code, version)) = done else { return };
        match from {
            Direction::Originator => {
                if let Some((method, mut head)) = self.request.take() {
                    head.request(&method, version, fields);
                }
            }
            Direction::Responder => arkime::response(code, version, fields),
        }
        self.halves.of_mut(from).body = Some(Box::default());
    }

    /// Shows the session bytes of a body.
    fn feed(&mut self, from: Direction, bytes: &[u8]) {
        if let Some(body) = &mut self.halves.of_mut(from).body {
            body.feed(bytes);
        }
    }

    fn body(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) {
        if self.halves.of(from).expect == Expect::Bare && !self.halves.of(from).ongoing {
            self.set_version(from, (0, 9), out);
            if self.unanswered.pop_front().is_some() {
                out.confirm();
            }
            self.close = true;
            self.code = 0;
            self.transactions.response((0, 9), 0, b"<empty>".to_vec(), out);
            self.transactions.entity(from, out);
            let half = self.halves.of_mut(from);
            half.ongoing = true;
            half.message = Some(Box::new(Message::bare(from)));
        }
        if let Some(message) = &mut self.halves.of_mut(from).message {
            message.bytes(bytes, &mut self.transactions, out);
        }
        self.settle(from, out);
    }

    /// A message that has ended makes room for the next one.
    fn settle(&mut self, from: Direction, out: &mut Output<'_>) {
        let half = self.halves.of(from);
        if half.ongoing && half.message.as_ref().is_some_and(|message| message.next() == Next::End) {
            self.made(from, false, out);
        }
    }

    /// A message is over; if it was interrupted, nothing is expected any more.
    fn made(&mut self, from: Direction, interrupted: bool, out: &mut Output<'_>) {
        let half = self.halves.of_mut(from);
        if !half.ongoing {
            return;
        }
        half.ongoing = false;
        if let Some(body) = half.body.take()
            && half.message.as_ref().is_some_and(|message| message.is_whole())
        {
            body.end(from.is_orig(), out);
        }
        if let Some(message) = &mut half.message {
            if from.is_orig() && !interrupted && message.left().is_some_and(|left| left > 0) {
                out.weird_detail("missing_HTTP_entity", None, Some("HTTP"));
            }
            message.end(&mut self.transactions, out);
        }
        half.message = None;
        if !from.is_orig() {
            if !(100..200).contains(&self.code) {
                self.unanswered.pop_front();
            }
            self.code = 0;
        }
        if half.expect != Expect::Bare {
            half.expect = if interrupted { Expect::Nothing } else { Expect::StartLine };
        }
    }

    fn set_version(&mut self, from: Direction, version: Version, out: &mut Output<'_>) {
        let half = self.halves.of_mut(from);
        if half.version != (0, 0) && half.version != version {
            out.weird_detail("HTTP_version_mismatch", None, Some("HTTP"));
        }
        half.version = version;
        if version > (1, 0) {
            self.keep_alive = true;
        }
    }

    /// The proxy has connected: what follows is the client's and the server's own.
    fn connected(&mut self, consumed: usize, out: &mut Output<'_>) -> Step {
        self.made(Direction::Originator, false, out);
        self.made(Direction::Responder, false, out);
        Step::Identify(consumed)
    }

    fn upgraded(&mut self, protocol: &[u8], consumed: usize, out: &mut Output<'_>) -> Step {
        self.made(Direction::Responder, false, out);
        match crate::protocols::upgrade(protocol) {
            Some(next) => Step::Become(consumed, next),
            None => Step::Done,
        }
    }
}

/// The first line of `bytes` and its length with its end; of a body in parts the last line may have none.
fn split_line<'a>(bytes: &'a [u8], message: Option<&Message>, in_parts: bool) -> Option<(&'a [u8], usize)> {
    if in_parts
        && let Some(message) = message
        && let Some(left) = message.left()
    {
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let window = bytes.get(..bytes.len().min(left)).unwrap_or_default();
        // Only CR LF ends a line here: bare CR and LF belong to the content.
        if let Some(end) = memchr::memmem::find(window, b"\r\n") {
            return Some((window.get(..end).unwrap_or_default(), end + 2));
        }
        return message.ends_within(bytes.len()).then_some((window, window.len()));
    }
    let end = memchr::memchr(b'\n', bytes)?;
    let line = bytes.get(..end).unwrap_or_default();
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}
