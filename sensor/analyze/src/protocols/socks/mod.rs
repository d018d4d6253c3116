//! SOCKS: what a client asks of a proxy in `socks.log`; what it then says is identified anew.
//!
//! Non-goals: GSSAPI within SOCKS, and datagrams through the proxy.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::net::IpAddr;

use ahash::AHashSet;

use crate::tunnel::TunnelRecord;
use crate::{Analyzer, Beginning, Direction, Endpoint, Match, Output, Protocol, Step, Transport};
use wire::{Stop, Target};

pub use record::{LOG, Socks};

/// SOCKS (RFC 1928).
pub static SOCKS: Protocol =
    Protocol { name: "socks", label: "SOCKS", tcp: &[1080], udp: &[], recognises, analyzer: |_| Box::<Proxied>::default() };

/// Proxies that are remembered, so that each is logged once for each client.
const MAX_KNOWN: usize = 100_000;

/// Both sides' first bytes (scripts/base/protocols/socks/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    match (beginning.orig, beginning.resp) {
        ([4, 1 | 2, rest @ ..], [0, 0x5a..=0x5d, ..]) if rest.iter().take(33).any(|&b| b == 0) => Match::Yes,
        ([5, _, 0..=2, ..], [5, 0, ..] | [5, 1, 0..=2, ..]) => Match::Yes,
        ([] | [4 | 5, ..], []) | ([] | [4], [0, ..]) | ([] | [5] | [5, _], [5, ..]) => Match::Maybe,
        ([5, _, 0..=2, ..], [5] | [5, 1]) | ([4, 1 | 2, ..], [0]) => Match::Maybe,
        _ => Match::No,
    }
}

/// Clients and the proxies that they use.
#[derive(Default)]
struct Known(AHashSet<(IpAddr, Endpoint)>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Version 4, or version 5 before a method is chosen.
    #[default]
    Start,
    /// A method was chosen that goes on by itself.
    Login(u8),
    /// Requests and replies of version 5.
    Open,
}

#[derive(Default)]
struct Proxied {
    row: Option<Box<Socks>>,
    state: State,
    greeted: bool,
    requested: bool,
}

impl Analyzer for Proxied {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        if out.is_partial() {
            return Step::Done;
        }
        let Some(&version) = bytes.first() else { return Step::NeedMore };
        let done = match (from.is_orig(), self.state) {
            // What follows the request waits until the proxy has answered.
            (true, _) if self.requested => return Step::NeedMore,
            (true, State::Login(2)) => self.login(bytes, out),
            (true, State::Login(_)) | (false, State::Login(3..)) => Ok(bytes.len()),
            (false, State::Login(method)) => self.answer(method, bytes, out),
            (true, State::Start) if version == 4 => self.request_4(bytes, out),
            (true, State::Start) if version == 5 => self.greeting(bytes),
            (true, State::Open) if version == 5 => self.request_5(bytes, out),
            (false, State::Start) if self.requested && version == 0 => return self.reply_4(bytes, out),
            (false, State::Start) if version == 5 && self.greeted => self.method(bytes, out),
            (false, State::Open) if version == 5 => return self.reply_5(bytes, out),
            _ => Err(Stop::Bad("unsupported/unknown SOCKS version")),
        };
        step(done)
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if out.is_confirmed()
            && let Some(row) = self.row.take()
        {
            out.record(*row);
        }
    }
}

fn step(done: Result<usize, Stop>) -> Step {
    match done {
        Ok(len) => Step::Consumed(len),
        Err(Stop::NeedMore) => Step::NeedMore,
        Err(Stop::Bad(reason)) => Step::Violation(reason),
    }
}

impl Proxied {
    fn row(&mut self, version: u8, out: &Output<'_>) -> &mut Socks {
        self.row.get_or_insert_with(|| {
            Box::new(Socks {
                at: out.at,
                id: out.id,
                version: u64::from(version),
                user: None,
                password: None,
                status: None,
                request_host: None,
                request_name: None,
                request_port: None,
                bound_host: None,
                bound_name: None,
                bound_port: None,
            })
        })
    }

    fn greeting(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        // One greeting only: the method has not been chosen yet.
        if self.greeted {
            return Err(Stop::NeedMore);
        }
        let ((), len) = wire::greeting(bytes)?;
        self.greeted = true;
        Ok(len)
    }

    fn method(&mut self, bytes: &[u8], out: &mut Output<'_>) -> Result<usize, Stop> {
        let (method, len) = wire::method(bytes)?;
        self.state = match method {
            0 | 0xff => State::Open,
            method => State::Login(method),
        };
        if !matches!(method, 0 | 2 | 0xff) {
            let addl = method.to_string();
            out.weird_detail("socks5_unsupported_authentication_method", Some(addl.as_bytes()), None);
        }
        Ok(len)
    }

    fn login(&mut self, bytes: &[u8], out: &mut Output<'_>) -> Result<usize, Stop> {
        let (user, len) = wire::login(bytes)?;
        if let Some(fields) = out.session() {
            fields.protocol("socks");
            fields.set("socks.user", &user);
            fields.tag("socks:password");
        }
        self.row(5, out).user = Some(user);
        Ok(len)
    }

    fn answer(&mut self, method: u8, bytes: &[u8], out: &mut Output<'_>) -> Result<usize, Stop> {
        self.state = State::Open;
        if method != 2 {
            return Ok(bytes.len());
        }
        let Some(&code) = bytes.get(1) else {
            self.state = State::Login(method);
            return Err(Stop::NeedMore);
        };
        if code != 0
            && let Some(fields) = out.session()
        {
            fields.tag("socks:auth-failed");
        }
        self.row(5, out).status = Some(wire::status(5, code));
        Ok(2)
    }

    fn request_4(&mut self, bytes: &[u8], out: &mut Output<'_>) -> Result<usize, Stop> {
        let (target, len) = wire::request_4(bytes)?;
        self.request(4, target, out);
        Ok(len)
    }

    fn request_5(&mut self, bytes: &[u8], out: &mut Output<'_>) -> Result<usize, Stop> {
        let ((_, target), len) = wire::message_5(bytes, true)?;
        self.request(5, target, out);
        Ok(len)
    }

    fn request(&mut self, version: u8, target: Target, out: &mut Output<'_>) {
        self.requested = true;
        if let Some(fields) = out.session() {
            fields.protocol("socks");
            if let (Some(addr), None) = (target.host, &target.name) {
                fields.set("socks.ip", addr.to_string().as_bytes());
            }
            if let Some(name) = &target.name {
                fields.set("socks.host", name);
            }
            fields.set_number("socks.port", i64::from(target.port));
        }
        let row = self.row(version, out);
        (row.request_host, row.request_name, row.request_port) = (target.host, target.name, Some(target.port));
        let (at, mut id) = (out.at, out.id);
        let known = &mut out.state::<Known>().0;
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        if known.insert((id.orig.addr, id.resp)) {
            id.orig.port = 0;
            out.record(TunnelRecord::without_uid(at, id, "Tunnel::SOCKS", "Tunnel::DISCOVER"));
        }
    }

    fn reply_4(&mut self, bytes: &[u8], out: &mut Output<'_>) -> Step {
        match wire::reply_4(bytes) {
            Ok(((status, bound), len)) => self.reply(4, status, bound, len, out),
            Err(stop) => step(Err(stop)),
        }
    }

    fn reply_5(&mut self, bytes: &[u8], out: &mut Output<'_>) -> Step {
        match wire::message_5(bytes, false) {
            Ok(((status, bound), len)) => self.reply(5, status, bound, len, out),
            Err(stop) => step(Err(stop)),
        }
    }

    fn reply(&mut self, version: u8, status: u8, bound: Target, len: usize, out: &mut Output<'_>) -> Step {
        out.confirm();
        let row = self.row(version, out);
        row.status = Some(wire::status(version, status));
        (row.bound_host, row.bound_name, row.bound_port) = (bound.host, bound.name, Some(bound.port));
        if self.requested { Step::Identify(len) } else { Step::Consumed(len) }
    }
}
