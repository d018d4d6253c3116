//! FTP (RFC 959): commands and their replies in `ftp.log`; what its data connections carry becomes files.
//!
//! Replies are matched with the command that they fit best, as servers do not keep to one each. `AUTH TLS` hands over
//! to TLS; within `AUTH GSSAPI` the tokens are shown to TLS (GridFTP). Non-goals: what is sent encrypted.

mod adat;
mod data;
mod record;
mod session;
#[cfg(test)]
mod tests;
mod wire;

use super::tls::TLS;
use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Reader, Step, Transport};
use adat::Tokens;
use session::Session;

pub use data::FTP_DATA;
pub use record::{Ftp, LOG};

/// FTP's control connection.
pub static FTP: Protocol =
    Protocol { name: "ftp", label: "FTP", tcp: &[21, 2811], udp: &[], recognises, analyzer: |_| Box::<Control>::default() };

/// Bytes of a line.
const MAX_LINE: usize = 65_536;

/// `USER` of the client; a greeting, and then the wish for a password (scripts/base/protocols/ftp/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    let greeting = beginning.resp.trim_ascii_start();
    let starts = |code: &[u8]| code.starts_with(greeting.get(..3).unwrap_or(greeting));
    if !starts(b"120") && !starts(b"220") {
        return Match::No;
    }
    let is_end = |b: &u8| *b == b'\n' || *b == b'\r';
    let is_user = |line: &[u8]| line.trim_ascii_start().get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"USER "));
    let wants = |line: &[u8]| {
        let line = line.trim_ascii_start();
        matches!(wire::code(line), 230 | 331) && line.get(3).is_none_or(|b| !b.is_ascii_digit())
    };
    if beginning.orig.split(is_end).any(is_user) && greeting.split(is_end).skip(1).any(wants) { Match::Yes } else { Match::Maybe }
}

#[derive(Default)]
struct Control {
    session: Option<Box<Session>>,
    /// The code of a reply of several lines that has not ended.
    open_reply: u64,
    /// What the client asked to authenticate with.
    auth: Vec<u8>,
    tokens: Option<Box<Tokens>>,
    confirmed: bool,
}

impl Analyzer for Control {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let mut reader = Reader::new(bytes);
        loop {
            let before = reader.position();
            let Some(line) = reader.line() else { break };
            let done = reader.position();
            let clean = line.contains(&255).then(|| wire::without_telnet(line));
            let line = clean.as_deref().unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            if from.is_orig() {
                self.request(line, out);
            } else {
                match self.reply(line, out) {
                    Ok(false) => {}
                    Ok(true) => return Step::Become(done, &TLS),
                    // The line is shown again, so that it is what failed.
                    Err(_) if before > 0 => return Step::Consumed(before),
                    Err(reason) => return Step::Violation(reason),
                }
            }
        }
        if reader.position() == 0 && bytes.len() > MAX_LINE {
            return Step::Violation("line too long");
        }
        Step::Consumed(reader.position())
    }

    fn end(&mut self, from: Direction, unconsumed: &[u8], out: &mut Output<'_>) {
        if from.is_orig() && !unconsumed.is_empty() {
            out.weird_detail("partial_ftp_request", None, Some("FTP"));
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if let Some(mut tokens) = self.tokens.take() {
            tokens.finish(out);
        }
        if let Some(mut session) = self.session.take() {
            session.finish(out);
        }
    }
}

impl Control {
    fn request(&mut self, line: &[u8], out: &mut Output<'_>) {
        let (word, arg) = wire::word(line);
        if !wire::is_command(word) {
            if self.confirmed {
                out.weird_detail("FTP_invalid_command", None, Some("FTP"));
            }
            return;
        }
        if word.len() > wire::MAX_COMMAND {
            if self.confirmed {
                let addl = format!("{} > {}", word.len(), wire::MAX_COMMAND);
                out.weird_detail("FTP_max_command_length_exceeded", Some(addl.as_bytes()), Some("FTP"));
                out.limit_exceeded();
            }
            return;
        }
        self.confirmed = true;
        out.confirm();
        let command = word.to_ascii_uppercase();
        if command == b"AUTH" {
            self.auth = arg.to_vec();
        }
        if let Some(session) = &mut self.session {
            session.before_request(out);
        }
        if let Some(fields) = out.session() {
            fields.protocol("ftp");
            fields.text("ftp.command", &command);
            match &*command {
                // Mail's servers greet alike.
                b"HELO" | b"EHLO" | b"LHLO" => fields.forget("ftp"),
                b"RETR" | b"STOR" | b"STOU" | b"APPE" | b"DELE" | b"RNFR" | b"RNTO" | b"MKD" | b"RMD" | b"SIZE" | b"MDTM"
                    if !arg.is_empty() =>
                {
                    fields.text("ftp.filename", arg);
                }
                b"USER" => fields.lower("user", arg),
                b"PASS" => fields.tag("ftp:password"),
                _ => {}
            }
        }
        let session = self.session.get_or_insert_with(|| Box::new(Session::new(out.at)));
        session.request(&command, arg, out);
        self.token(Direction::Originator, line, out);
    }

    /// True if TLS comes next.
    fn reply(&mut self, line: &[u8], out: &mut Output<'_>) -> Result<bool, &'static str> {
        let code = wire::code(line);
        let after = line.get(3..).unwrap_or_default();
        let (code, text, continued) = if self.open_reply != 0 {
            if code == self.open_reply && after.first() == Some(&b' ') {
                self.open_reply = 0;
                (code, wire::skip_space(after), false)
            } else {
                (0, line, true)
            }
        } else {
            match (code, after.first()) {
                (0, _) => return Err("non-numeric reply code"),
                (1..100, _) => return Err("invalid reply code"),
                (_, Some(b'-')) => {
                    self.open_reply = code;
                    (code, wire::skip_space(after.get(1..).unwrap_or_default()), true)
                }
                (_, Some(b' ') | None) => (code, wire::skip_space(after), false),
                _ => return Err("invalid reply line"),
            }
        };
        if !continued && let Some(fields) = out.session() {
            fields.number("ftp.responseCode", i64::try_from(code).unwrap_or(0));
            if code == 220 && !fields.has("ftp.banner") {
                fields.text("ftp.banner", text);
            }
        }
        let becomes_tls = code == 234 && self.auth == b"TLS";
        if code == 334 && self.auth == b"GSSAPI" && self.tokens.is_none() {
            self.tokens = Some(Box::new(Tokens::new(&out.id)));
        }
        let session = self.session.get_or_insert_with(|| Box::new(Session::new(out.at)));
        session.reply(code, text, continued, out);
        if !becomes_tls {
            self.token(Direction::Responder, line, out);
        }
        Ok(becomes_tls)
    }

    fn token(&mut self, from: Direction, line: &[u8], out: &mut Output<'_>) {
        let Some(tokens) = &mut self.tokens else { return };
        if !tokens.line(from, line, out) {
            tokens.finish(out);
            self.tokens = None;
            self.auth.clear();
        }
    }
}
