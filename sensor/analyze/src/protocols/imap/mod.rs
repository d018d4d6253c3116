//! IMAP (RFC 9051): followed so far that its name and TLS within it are known. It has no log.
//!
//! Non-goals: users and mail.

#[cfg(test)]
mod tests;

use super::tls::TLS;
use crate::{Analyzer, Direction, Match, Output, Protocol, Reader, Step};

/// IMAP.
pub static IMAP: Protocol =
    Protocol { name: "imap", label: "IMAP", tcp: &[143], udp: &[], recognises: |_| Match::No, analyzer: |_| Box::<Session>::default() };

/// Bytes of a line.
const MAX_LINE: usize = 65_536;

/// Commands after which TLS no longer starts.
const AFTER_START: [&[u8]; 6] = [b"authenticate", b"login", b"examine", b"create", b"list", b"fetch"];

#[derive(Default)]
struct Session {
    /// Tag of the client's `STARTTLS`.
    starttls: Option<Vec<u8>>,
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let mut reader = Reader::new(bytes);
        while let Some(line) = reader.line() {
            let mut words = line.split(|&b| b == b' ').filter(|word| !word.is_empty());
            let (Some(tag), Some(command)) = (words.next(), words.next()) else { continue };
            let command = command.to_ascii_lowercase();
            let (is_orig, done) = (from.is_orig(), reader.position());
            if is_orig && AFTER_START.contains(&&command[..]) {
                out.confirm();
                return Step::Done;
            }
            match (is_orig, &command[..]) {
                (true, b"capability") => out.confirm(),
                (true, b"starttls") => {
                    out.confirm();
                    if self.starttls.replace(tag.to_vec()).is_some() {
                        out.weird("IMAP: client sent duplicate StartTLS");
                    }
                }
                (false, b"ok") if tag == b"*" => out.confirm(),
                (false, b"ok") if self.starttls.as_deref() == Some(tag) => return Step::Become(done, &TLS),
                (false, _) if self.starttls.as_deref() == Some(tag) => out.weird("IMAP: server refused StartTLS"),
                _ => {}
            }
        }
        if reader.position() == 0 && bytes.len() > MAX_LINE {
            return Step::Violation("line too long");
        }
        Step::Consumed(reader.position())
    }
}
