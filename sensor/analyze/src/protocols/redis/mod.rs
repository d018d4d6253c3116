//! Redis: commands with key and value, each with its reply.
//!
//! Replies come in the order of the commands, but for those that clients ask not to send (`CLIENT REPLY`) and for what
//! subscriptions push.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Reader, Step, Transport};
use wire::{Kind, Stop};

pub use record::{LOG, Redis};

/// Redis, and what speaks like it.
pub static REDIS: Protocol =
    Protocol { name: "redis", label: "REDIS", tcp: &[6379], udp: &[], recognises, analyzer: |_| Box::<Session>::default() };

/// Commands that wait for their replies (Zeek's `max_pending_commands`).
const MAX_PENDING: usize = 10_000;

/// A command as an array of bulk strings, and a typed reply.
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    let server = beginning.resp.first().map(|first| b"+-:$*".contains(first));
    match (is_command(beginning.orig), server) {
        (Match::No, _) | (_, Some(false)) => Match::No,
        (Match::Yes, Some(true)) => Match::Yes,
        _ => Match::Maybe,
    }
}

/// `*n CR LF $n CR LF` and a letter.
fn is_command(bytes: &[u8]) -> Match {
    let mut reader = Reader::new(bytes);
    for mark in [b'*', b'$'] {
        match reader.u8() {
            None => return Match::Maybe,
            Some(c) if c != mark => return Match::No,
            Some(_) => {}
        }
        let digits = reader.rest().iter().take_while(|c| c.is_ascii_digit()).count();
        if digits > 4 || (digits == 0 && !reader.is_empty()) || reader.peek() == Some(b'0') {
            return Match::No;
        }
        reader.skip(digits);
        let end = reader.take_up_to(2);
        if !b"\r\n".starts_with(end) {
            return Match::No;
        }
        if end.len() < 2 {
            return Match::Maybe;
        }
    }
    match reader.u8() {
        None => Match::Maybe,
        Some(c) if c.is_ascii_alphabetic() => Match::Yes,
        Some(_) => Match::No,
    }
}

/// Commands from `begin` on are not answered, until `end` comes.
struct Silence {
    begin: u64,
    end: Option<u64>,
}

/// One connection.
#[derive(Default)]
struct Session {
    pending: BTreeMap<u64, Redis>,
    commands: u64,
    replies: u64,
    silences: Vec<Silence>,
    unanswered: BTreeSet<u64>,
    subscribed: bool,
    is_resp3: bool,
    violated: bool,
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let mut reader = Reader::new(bytes);
        let read = if from.is_orig() {
            wire::command(&mut reader).map(|words| self.command(words, out))
        } else {
            wire::reply(&mut reader).map(|reply| self.reply(reply, out))
        };
        match read {
            Ok(()) => Step::Consumed(reader.position()),
            Err(Stop::Incomplete) => Step::NeedMore,
            Err(Stop::Malformed) => {
                self.violated = true;
                Step::Violation("error while parsing RESP data")
            }
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        let pending = std::mem::take(&mut self.pending);
        if self.violated || self.replies == 0 {
            return;
        }
        for row in pending.into_values() {
            out.record(row);
        }
    }
}

impl Session {
    fn command(&mut self, words: Vec<Vec<u8>>, out: &mut Output<'_>) {
        if self.pending.len() > MAX_PENDING {
            out.weird("Redis_excessive_pipelining");
            *self = Self::default();
            return;
        }
        let mut given = words.into_iter();
        let Some(name) = given.next() else { return };
        let arguments: Vec<Vec<u8>> = given.collect();
        let upper = name.to_ascii_uppercase();
        self.commands = self.commands.saturating_add(1);
        let number = self.commands;
        self.expectations(&upper, &arguments, number);
        let argument = |i: usize| arguments.get(i).cloned();
        let (key, value) = match upper.as_slice() {
            b"BITOP" => (argument(1), None),
            b"BLMPOP" => (argument(2), None),
            name if WITH_VALUE.contains(&name) => (argument(0), argument(1)),
            name if WITH_KEY.contains(&name) => (argument(0), None),
            _ => (None, None),
        };
        self.pending.insert(number, Redis { at: out.at, id: out.id, name, key, value, success: None, reply: None });
    }

    /// Which replies will not come.
    fn expectations(&mut self, name: &[u8], arguments: &[Vec<u8>], number: u64) {
        let enters = matches!(name, b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE");
        let is_known = enters || KNOWN_ELSEWHERE.contains(&name) || WITH_KEY.contains(&name) || WITH_VALUE.contains(&name);
        if is_known {
            if !self.is_resp3 {
                self.subscribed = enters;
            }
            if enters || matches!(name, b"UNSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SUNSUBSCRIBE") || self.subscribed {
                self.unanswered.insert(number);
            }
        }
        if name == b"HELLO" && arguments.first().is_some_and(|version| version == b"3") {
            self.is_resp3 = true;
        }
        let (b"CLIENT", [_, setting]) = (name, arguments) else { return };
        let is_open = self.silences.last().is_some_and(|silence| silence.end.is_none());
        match setting.to_ascii_lowercase().as_slice() {
            b"on" => {
                if let Some(silence) = self.silences.last_mut() {
                    silence.end.get_or_insert(number);
                }
            }
            b"off" if !is_open => self.silences.push(Silence { begin: number, end: None }),
            b"skip" if !is_open => self.silences.push(Silence { begin: number, end: Some(number.saturating_add(2)) }),
            _ => {}
        }
        if self.silences.len() > MAX_PENDING {
            self.silences.remove(0);
        }
    }

    /// The command that the next reply answers.
    fn next_reply(&mut self) -> u64 {
        let next = self.replies.saturating_add(1);
        let mut number = next;
        for silence in &self.silences {
            if let Some(end) = silence.end
                && (silence.begin..end).contains(&next)
            {
                number = end;
            }
        }
        while self.unanswered.remove(&number) {
            number = number.saturating_add(1);
        }
        number
    }

    fn reply(&mut self, reply: wire::Reply, out: &mut Output<'_>) {
        out.confirm();
        if reply.is_resp3 {
            self.is_resp3 = true;
            self.subscribed = false;
        }
        if reply.kind == Kind::Push || (self.subscribed && reply.kind == Kind::Reply) {
            return;
        }
        let before = self.replies;
        self.replies = self.next_reply();
        // What was passed over will not be answered any more.
        for number in before.max(1)..self.replies {
            if let Some(row) = self.pending.remove(&number) {
                out.record(row);
            }
        }
        if let Some(mut row) = self.pending.remove(&self.replies) {
            row.success = Some(reply.kind == Kind::Reply);
            row.reply = Some(reply.text);
            out.record(row);
        }
        if self.commands == self.replies {
            self.unanswered.clear();
        }
    }
}

/// Commands of which the first argument is a key.
#[rustfmt::skip]
const WITH_KEY: &[&[u8]] = &[
    b"KEYS", b"BITCOUNT", b"BITFIELD", b"BITFIELD_RO", b"BITPOS", b"BLPOP", b"BRPOP", b"COPY", b"DECR", b"DEL", b"DUMP",
    b"EXISTS", b"EXPIRETIME", b"GET", b"GETDEL", b"GETEX", b"GETRANGE", b"HSET", b"INCR", b"MGET", b"PERSIST", b"STRLEN",
    b"TTL", b"TYPE",
];

/// Commands of which the first two arguments are key and value.
#[rustfmt::skip]
const WITH_VALUE: &[&[u8]] = &[
    b"SET", b"APPEND", b"DECRBY", b"EXPIRE", b"EXPIREAT", b"GETBIT", b"GETSET", b"HDEL", b"HGET", b"INCRBY", b"MOVE",
    b"MSET", b"RENAME",
];

/// Further commands that Zeek knows by name.
#[rustfmt::skip]
const KNOWN_ELSEWHERE: &[&[u8]] = &[
    b"AUTH", b"BITOP", b"BLMPOP", b"CLIENT", b"HELLO", b"PUBLISH", b"QUIT", b"RESET", b"UNSUBSCRIBE", b"PUNSUBSCRIBE",
    b"SUNSUBSCRIBE",
];
