//! SMTP (RFC 5321): one row a message, with its headers; attachments become files; STARTTLS hands over to TLS.
//!
//! Commands are paired with replies in order, as pipelining allows (RFC 2920), so that the state is known even where
//! clients do not wait. Non-goals: what a server does with a message.

mod address;
mod arkime;
mod mail;
mod record;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::tls::TLS;
use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Reader, Step, Transport};
use mail::{Mail, Target};

pub use record::{LOG, Smtp};

/// SMTP and submission.
pub static SMTP: Protocol =
    Protocol { name: "smtp", label: "SMTP", tcp: &[25, 587], udp: &[], recognises, analyzer: |_| Box::<Session>::default() };

/// Bytes of a line. RFC 5321 §4.5.3.1.6 allows 1000; longer ones are taken in parts.
const MAX_LINE: usize = 65_536;

/// Commands that wait for their replies; above this the oldest is forgotten.
const MAX_PENDING: usize = 1000;

/// Invalid transactions before the analyzer gives up (Zeek's `max_invalid_mail_transactions`).
const MAX_INVALID: u32 = 25;

/// A greeting of the server and a `HELO` or `EHLO` of the client (scripts/base/protocols/smtp/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    let greeting = beginning.resp.trim_ascii_start();
    let server = match greeting.get(..4) {
        Some([b'2', b'2', b'0', b' ' | b'-' | b'\t']) => Match::Yes,
        Some(_) => return Match::No,
        None if b"220".starts_with(greeting.get(..greeting.len().min(3)).unwrap_or_default()) => Match::Maybe,
        None => return Match::No,
    };
    let says_hello = |line: &[u8]| {
        let word = line.trim_ascii_start().get(..4).unwrap_or_default();
        word.eq_ignore_ascii_case(b"HELO") || word.eq_ignore_ascii_case(b"EHLO")
    };
    let client = beginning.orig.split(|&c| c == b'\n' || c == b'\r').any(says_hello);
    if client && server == Match::Yes { Match::Yes } else { Match::Maybe }
}

/// Commands that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Greeting,
    Helo,
    Mail,
    Rcpt,
    Data,
    EndOfData,
    Bdat,
    Auth,
    AuthAnswer,
    StartTls,
    Turn,
    Other,
}

const WORDS: &[(&[u8], Command)] = &[
    (b"EHLO", Command::Helo),
    (b"HELO", Command::Helo),
    (b"MAIL", Command::Mail),
    (b"RCPT", Command::Rcpt),
    (b"DATA", Command::Data),
    (b"BDAT", Command::Bdat),
    (b"AUTH", Command::Auth),
    (b"STARTTLS", Command::StartTls),
    (b"X-ANONYMOUSTLS", Command::StartTls),
    (b"TURN", Command::Turn),
    (b"QUIT", Command::Other),
    (b"RSET", Command::Other),
    (b"VRFY", Command::Other),
    (b"EXPN", Command::Other),
    (b"HELP", Command::Other),
    (b"NOOP", Command::Other),
    (b"SEND", Command::Other),
    (b"SOML", Command::Other),
    (b"SAML", Command::Other),
    (b"ETRN", Command::Other),
    (b"ONEX", Command::Other),
    (b"VERB", Command::Other),
];

/// What the client's next bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Commands,
    Data,
    /// A chunk with so many bytes left.
    Chunk(u64),
    Auth,
    AfterGap,
}

/// One connection.
struct Session {
    state: State,
    /// Whether the originator is the client: `TURN` changes it.
    orig_is_client: bool,
    pending: VecDeque<Command>,
    /// The command that the present reply answers, and its code while the reply goes on.
    replied: Option<Command>,
    continued: Option<u16>,
    row: Option<Box<Smtp>>,
    helo: Option<Vec<u8>>,
    mail: Option<Box<Mail>>,
    messages: u64,
    depth: u64,
    mail_from_seen: bool,
    rcpt_to_seen: bool,
    last_chunk_seen: bool,
    invalid: u32,
    /// What a session of Arkime's is told.
    told: arkime::Told,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            state: State::Commands,
            orig_is_client: true,
            pending: VecDeque::from([Command::Greeting]),
            replied: None,
            continued: None,
            row: None,
            helo: None,
            mail: None,
            messages: 0,
            depth: 0,
            mail_from_seen: false,
            rcpt_to_seen: false,
            last_chunk_seen: false,
            invalid: 0,
            told: arkime::Told::default(),
        }
    }
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let is_client = from.is_orig() == self.orig_is_client;
        if is_client && let State::Chunk(left) = self.state {
            let len = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.chunk(from, bytes.get(..len).unwrap_or_default(), out);
            return Step::Consumed(len);
        }
        let mut reader = Reader::new(bytes);
        let (line, ended) = match reader.line() {
            Some(line) => (line, true),
            None if bytes.len() >= MAX_LINE => (reader.take_up_to(MAX_LINE), false),
            None => return Step::NeedMore,
        };
        // Some clients send CR CR LF.
        let line = line.iter().rposition(|&c| c != b'\r').and_then(|last| line.get(..=last)).unwrap_or_default();
        let len = reader.position();
        if is_client {
            if self.client(from, line, ended, out) {
                return Step::Done;
            }
            return Step::Consumed(len);
        }
        match self.server(line, out) {
            Ok(true) => Step::Become(len, &TLS),
            Ok(false) => Step::Consumed(len),
            Err(reason) => Step::Violation(reason),
        }
    }

    fn gap(&mut self, from: Direction, len: u64, out: &mut Output<'_>) -> Step {
        if matches!(self.state, State::Data | State::Chunk(_)) {
            if let Some(mail) = &mut self.mail {
                mail.gap(len, out);
            }
            self.end_data(from, out);
        }
        self.pending.clear();
        self.replied = None;
        // What was lost may have been the answer to DATA: nothing is known until the next reply.
        self.state = State::AfterGap;
        Step::Consumed(0)
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        self.end_data(Direction::Originator, out);
        self.write(out);
    }
}

impl Session {
    fn row(&mut self, out: &Output<'_>) -> &mut Smtp {
        let (depth, helo) = (self.messages.saturating_add(1), &self.helo);
        self.row.get_or_insert_with(|| Box::new(Smtp::new(out.at, out.id, depth, helo.clone())))
    }

    /// Writes the row if the client has begun a message, and starts the next.
    fn write(&mut self, out: &mut Output<'_>) {
        if let Some(row) = self.row.take_if(|row| row.active) {
            out.record(*row);
            self.row(out);
        }
    }

    /// A line of the client; true if there were too many invalid transactions.
    fn client(&mut self, from: Direction, line: &[u8], ended: bool, out: &mut Output<'_>) -> bool {
        if let Some(fields) = out.session() {
            self.told.client(line, fields);
        }
        match self.state {
            State::AfterGap | State::Chunk(_) => {}
            State::Data if line == b"." => {
                self.expect(Command::EndOfData);
                self.end_data(from, out);
                self.state = State::Commands;
                self.request(out);
                (self.mail_from_seen, self.rcpt_to_seen) = (false, false);
            }
            State::Data => {
                // RFC 5321 §4.5.2: a leading period is doubled.
                let line = line.strip_prefix(b".").unwrap_or(line);
                self.with_mail(from, out, |mail, target| mail.line(line, ended, target));
            }
            State::Auth => {
                self.expect(Command::AuthAnswer);
                self.request(out);
            }
            State::Commands => return self.command(from, line, out),
        }
        false
    }

    fn request(&mut self, out: &mut Output<'_>) {
        out.confirm();
        self.row(out);
    }

    fn expect(&mut self, command: Command) {
        if self.pending.len() >= MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(command);
    }

    fn command(&mut self, from: Direction, line: &[u8], out: &mut Output<'_>) -> bool {
        let line = line.trim_ascii_start();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (word, arg) = line.split_at_checked(end).unwrap_or((line, &[]));
        let arg = arg.trim_ascii_start();
        let Some(&(_, command)) = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) else { return false };
        self.expect(command);
        self.request(out);
        let names = |prefix: &[u8]| arg.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix));
        match command {
            Command::Helo => {
                self.helo = Some(arg.to_vec());
                self.row(out).helo = Some(arg.to_vec());
            }
            Command::Rcpt if names(b"TO:") => {
                let without_option = |address: Vec<u8>| match memchr::memmem::find(&address, b"ORCPT=rfc822") {
                    Some(at) => [address.get(..at).unwrap_or_default(), address.get(at.saturating_add(12)..).unwrap_or_default()].concat(),
                    None => address,
                };
                let addresses = address::mail_addresses(arg).into_iter().map(without_option).collect();
                let row = self.row(out);
                row.active = true;
                if !Smtp::add(&mut row.rcpt_to, addresses) {
                    out.weird("smtp_too_many_rcptto_addresses");
                }
                self.rcpt_to_seen = true;
                if !self.mail_from_seen {
                    return self.invalid(b"rcpt to missing mail from", out);
                }
            }
            Command::Mail if names(b"FROM:") => {
                // The server's acknowledgement of the message before may have been missed.
                self.write(out);
                let row = self.row(out);
                row.active = true;
                if let Some(first) = address::mail_addresses(arg).into_iter().next() {
                    row.mail_from = Some(first);
                }
                (self.mail_from_seen, self.rcpt_to_seen) = (true, false);
            }
            Command::Data | Command::Bdat => {
                let gives_up = !self.rcpt_to_seen && self.invalid(b"data missing rcpt to", out);
                if command == Command::Data {
                    self.begin_data(from, out);
                    self.state = State::Data;
                } else {
                    self.begin_chunk(from, arg, out);
                }
                return gives_up;
            }
            _ => {}
        }
        false
    }

    fn invalid(&mut self, why: &[u8], out: &mut Output<'_>) -> bool {
        out.weird_detail("smtp_mail_transaction_invalid", Some(why), Some("SMTP"));
        self.invalid = self.invalid.saturating_add(1);
        if self.invalid <= MAX_INVALID {
            return false;
        }
        let addl = format!("{} > {MAX_INVALID}", self.invalid);
        out.weird_detail("smtp_excessive_invalid_mail_transactions", Some(addl.as_bytes()), Some("SMTP"));
        true
    }

    /// RFC 3030 §2: `BDAT size [LAST]`.
    fn begin_chunk(&mut self, from: Direction, arg: &[u8], out: &mut Output<'_>) {
        if arg.ends_with(b" LAST") {
            (self.mail_from_seen, self.rcpt_to_seen, self.last_chunk_seen) = (false, false, true);
        }
        let mut odd = |name, why: &[u8]| out.weird_detail(name, Some(why), Some("SMTP"));
        let digits = arg.iter().take_while(|c| c.is_ascii_digit()).count();
        let (number, rest) = arg.split_at_checked(digits).unwrap_or_default();
        // The largest number has 20 digits.
        if digits > 20 || arg.len() > 64 {
            return odd("smtp_invalid_bdat_command", b"BDAT argument bad length");
        }
        let size = std::str::from_utf8(number).ok().and_then(|n| n.parse::<u64>().ok());
        let Some(size) = size.filter(|_| rest.is_empty() || rest.starts_with(b" ")) else {
            return odd("smtp_invalid_bdat_command", b"BDAT not followed by a valid chunk-size");
        };
        if i64::try_from(size).is_err() {
            return odd("smtp_huge_bdat_chunk", size.to_string().as_bytes());
        }
        let rest = rest.trim_ascii();
        if !rest.is_empty() && !rest.eq_ignore_ascii_case(b"LAST") {
            return odd("smtp_invalid_bdat_command", b"BDAT chunk-size not followed by LAST");
        }
        if self.mail.is_none() {
            self.begin_data(from, out);
        }
        if size > 0 {
            self.state = State::Chunk(size);
        } else if !rest.is_empty() {
            self.end_data(from, out);
        }
    }

    fn chunk(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) {
        self.with_mail(from, out, |mail, target| mail.chunk(bytes, target));
        let State::Chunk(left) = self.state else { return };
        let left = left.saturating_sub(bytes.len() as u64);
        if let Some(fields) = out.session() {
            self.told.chunk(bytes, left == 0 && self.last_chunk_seen, fields);
        }
        self.state = if left > 0 { State::Chunk(left) } else { State::Commands };
        if left == 0 && self.last_chunk_seen {
            self.end_data(from, out);
        }
    }

    fn begin_data(&mut self, from: Direction, out: &mut Output<'_>) {
        if self.mail.is_some() {
            out.weird_detail("smtp_nested_mail_transaction", None, Some("SMTP"));
            self.end_data(from, out);
        }
        self.row(out);
        let Some(row) = &mut self.row else { return };
        let mut target = Target { row, from, depth: &mut self.depth, out };
        self.mail = Some(Box::new(Mail::begin(&mut target)));
    }

    fn end_data(&mut self, from: Direction, out: &mut Output<'_>) {
        let (Some(mail), Some(row)) = (self.mail.take(), &mut self.row) else { return };
        mail.end(&mut Target { row, from, depth: &mut self.depth, out });
    }

    fn with_mail(&mut self, from: Direction, out: &mut Output<'_>, act: impl FnOnce(&mut Mail, &mut Target<'_, '_>)) {
        if self.mail.is_none() {
            self.begin_data(from, out);
        }
        if let (Some(mail), Some(row)) = (&mut self.mail, &mut self.row) {
            act(mail, &mut Target { row, from, depth: &mut self.depth, out });
        }
    }

    /// A line of the server; true if TLS begins after it.
    fn server(&mut self, line: &[u8], out: &mut Output<'_>) -> Result<bool, &'static str> {
        if let Some(fields) = out.session() {
            self.told.server(line, fields);
        }
        let digits = line.get(..3).filter(|d| d.iter().all(u8::is_ascii_digit));
        let code = digits.map_or(0, |d| d.iter().fold(0u16, |n, &c| n * 10 + u16::from(c - b'0')));
        if !(100..=599).contains(&code) {
            return Err("reply code -1 out of range");
        }
        if self.continued != Some(code) {
            if self.state == State::AfterGap {
                self.state = State::Commands;
                self.request(out);
            }
            self.replied = self.pending.pop_front();
        }
        let goes_on = line.get(3) == Some(&b'-');
        let text = line.get(if goes_on { 4 } else { 3 }..).unwrap_or_default().trim_ascii_start();
        let begins_tls = self.continued != Some(code) && self.reply(code, out);
        self.continued = goes_on.then_some(code);
        let row = self.row(out);
        row.last_reply = Some([code.to_string().as_bytes(), b" ", text].concat());
        if begins_tls {
            row.tls = true;
            row.active = true;
        }
        let ends_message = self.replied == Some(Command::EndOfData)
            || (!goes_on && self.replied == Some(Command::Bdat) && std::mem::take(&mut self.last_chunk_seen));
        if ends_message {
            self.messages = self.messages.saturating_add(1);
            self.write(out);
            self.row = None;
            self.row(out);
        }
        Ok(begins_tls)
    }

    /// What a reply changes; true if TLS begins.
    fn reply(&mut self, code: u16, out: &mut Output<'_>) -> bool {
        match (self.replied, code) {
            (Some(Command::StartTls), 220) => return true,
            (Some(Command::Data), code) if code != 354 && self.state == State::Data => {
                self.end_data(Direction::Originator, out);
                self.state = State::Commands;
            }
            (Some(Command::Auth | Command::AuthAnswer), 334) => self.state = State::Auth,
            (Some(Command::Auth | Command::AuthAnswer), _) => self.state = State::Commands,
            (Some(Command::Turn), 250) => self.orig_is_client = !self.orig_is_client,
            _ => {}
        }
        false
    }
}
