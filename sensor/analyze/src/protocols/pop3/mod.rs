//! POP3 (RFC 1939): followed so far that its name and TLS within it are known. It has no log.
//!
//! Non-goals: users, and the mail that is fetched.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::tls::TLS;
use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Reader, Step, Transport};

/// POP3.
pub static POP3: Protocol =
    Protocol { name: "pop3", label: "POP3", tcp: &[110], udp: &[], recognises, analyzer: |_| Box::<Session>::default() };

/// Bytes of a line.
const MAX_LINE: usize = 65_536;

/// Commands that wait for their replies.
const MAX_PENDING: usize = 1000;

/// Words that both sides may start a line with.
const WORDS: [&[u8]; 19] = [
    b"OK", b"ERR", b"USER", b"PASS", b"APOP", b"AUTH", b"STAT", b"LIST", b"RETR", b"DELE", b"RSET", b"NOOP", b"LAST", b"QUIT", b"TOP",
    b"CAPA", b"UIDL", b"STLS", b"XSENDER",
];

/// A greeting and a command (scripts/base/protocols/pop3/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp || !b"+OK".starts_with(beginning.resp.get(..3).unwrap_or(beginning.resp)) {
        return Match::No;
    }
    let is_command = |line: &[u8]| {
        let line = line.trim_ascii_start();
        let starts = |word: &[u8]| line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        starts(b"USER ") || starts(b"APOP ") || starts(b"CAPA") || starts(b"AUTH") || starts(b"STLS")
    };
    let commands = beginning.orig.split(|&b| b == b'\r' || b == b'\n').any(is_command);
    if commands && beginning.resp.len() >= 3 { Match::Yes } else { Match::Maybe }
}

/// Commands that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    /// Those whose replies say that this is POP3.
    User,
    Capa,
    Stls,
    /// Those whose replies have lines up to one with a dot.
    Lines,
    Auth,
    Other,
}

#[derive(Default)]
struct Session {
    greeted: bool,
    pending: VecDeque<Command>,
    /// Within a reply of several lines.
    in_lines: bool,
    /// The client's lines are no commands.
    authenticating: bool,
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        if out.is_partial() {
            return Step::Done;
        }
        let mut reader = Reader::new(bytes);
        loop {
            let before = reader.position();
            let Some(line) = reader.line() else { break };
            if from.is_orig() {
                self.request(line, out);
            } else {
                match self.reply(line, out) {
                    Ok(false) => {}
                    Ok(true) => return Step::Become(reader.position(), &TLS),
                    // The line is shown again, so that it is what failed.
                    Err(_) if before > 0 => return Step::Consumed(before),
                    Err(reason) => {
                        let word = line.split(|&b| b == b' ').next().unwrap_or_default();
                        out.weird_detail("pop3_server_command_unknown", Some(word), Some("POP3"));
                        return Step::Violation(reason);
                    }
                }
            }
        }
        if reader.position() == 0 && bytes.len() > MAX_LINE {
            return Step::Violation("line too long");
        }
        Step::Consumed(reader.position())
    }
}

fn words(line: &[u8]) -> (Vec<u8>, &[u8]) {
    let line = line.trim_ascii();
    let end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end).unwrap_or((line, &[]));
    let word = word.strip_prefix(b"+").or_else(|| word.strip_prefix(b"-")).unwrap_or(word);
    (word.to_ascii_uppercase(), rest.trim_ascii())
}

impl Session {
    fn request(&mut self, line: &[u8], out: &mut Output<'_>) {
        if line.is_empty() || self.authenticating {
            return;
        }
        let (word, arg) = words(line);
        let command = match &word[..] {
            b"USER" => Command::User,
            b"CAPA" => Command::Capa,
            b"STLS" => Command::Stls,
            b"RETR" | b"TOP" => Command::Lines,
            b"LIST" | b"UIDL" if arg.is_empty() => Command::Lines,
            b"AUTH" if arg.is_empty() => Command::Lines,
            b"AUTH" => Command::Auth,
            b"OK" | b"ERR" => return out.weird_detail("pop3_client_sending_server_commands", None, Some("POP3")),
            word if WORDS.contains(&word) => Command::Other,
            _ => return out.weird_detail("pop3_client_command_unknown", None, Some("POP3")),
        };
        self.authenticating = command == Command::Auth;
        if self.pending.len() < MAX_PENDING {
            self.pending.push_back(command);
        }
    }

    /// True if TLS comes next.
    fn reply(&mut self, line: &[u8], out: &mut Output<'_>) -> Result<bool, &'static str> {
        if self.in_lines {
            self.in_lines = line != b".";
            return Ok(false);
        }
        let (word, _) = words(line);
        let is_ok = match &word[..] {
            b"OK" => true,
            b"ERR" => false,
            word if WORDS.contains(&word) => {
                out.weird_detail("pop3_server_sending_client_commands", None, Some("POP3"));
                return Ok(false);
            }
            _ if self.authenticating => return Ok(false),
            _ => return Err("unknown server command"),
        };
        self.authenticating = false;
        if !std::mem::replace(&mut self.greeted, true) {
            return Ok(false);
        }
        let command = self.pending.pop_front();
        if !is_ok {
            return Ok(false);
        }
        match command {
            Some(Command::User) => out.confirm(),
            Some(Command::Capa) => {
                out.confirm();
                self.in_lines = true;
            }
            Some(Command::Lines) => self.in_lines = true,
            Some(Command::Stls) => {
                out.confirm();
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }
}
