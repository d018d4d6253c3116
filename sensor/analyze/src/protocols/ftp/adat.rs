//! TLS within GSSAPI tokens of FTP (RFC 2228 `ADAT`), as GridFTP has it.

use super::wire;
use crate::mime::decode_base64;
use crate::protocols::tls::TLS;
use crate::{Analyzer, Direction, FlowId, Output, Pair, Step};

/// Bytes of tokens that wait to become a record.
const MAX_WAITING: usize = 1 << 18;

/// Bytes of a TLS record's header, which the first token has to hold.
const RECORD_HEADER: usize = 5;

/// Tokens of both sides.
pub(super) struct Tokens {
    tls: Box<dyn Analyzer>,
    waiting: Pair<Vec<u8>>,
    saw_first: bool,
}

impl Tokens {
    pub(super) fn new(id: &FlowId) -> Self {
        Self { tls: (TLS.analyzer)(id), waiting: Pair::default(), saw_first: false }
    }

    /// Takes the token out of a line; false if there will be no more of interest.
    pub(super) fn line(&mut self, from: Direction, line: &[u8], out: &mut Output<'_>) -> bool {
        let (token, last) = if from.is_orig() { self.of_client(line, out) } else { of_server(line, out) };
        let more = token.is_none_or(|token| self.show(from, &token, out));
        more && !last
    }

    fn of_client(&mut self, line: &[u8], out: &mut Output<'_>) -> (Option<Vec<u8>>, bool) {
        match wire::word(line) {
            (b"ADAT", text) => {
                let token = decode(text, out);
                if std::mem::replace(&mut self.saw_first, true) {
                    return (token, false);
                }
                if token.is_none() {
                    out.weird_detail("ftp_adat_bad_first_token_encoding", None, Some("FTP_ADAT"));
                }
                // Other mechanisms than TLS are not looked at.
                let is_record = |token: &[u8]| match token {
                    [22, _, _, high, low, ..] => {
                        token.len().checked_sub(RECORD_HEADER) == Some(usize::from(u16::from_be_bytes([*high, *low])))
                    }
                    _ => false,
                };
                let token = token.filter(|token| is_record(token));
                let last = token.is_none();
                (token, last)
            }
            (b"AUTH", _) => (None, true),
            _ => (None, false),
        }
    }

    fn show(&mut self, from: Direction, token: &[u8], out: &mut Output<'_>) -> bool {
        let waiting = self.waiting.of_mut(from);
        waiting.extend_from_slice(token);
        while !waiting.is_empty() {
            match self.tls.advance(from, waiting, out) {
                Step::Consumed(0) | Step::NeedMore => break,
                Step::Consumed(n) => drop(waiting.drain(..n.min(waiting.len()))),
                _ => return false,
            }
        }
        waiting.len() <= MAX_WAITING
    }

    pub(super) fn finish(&mut self, out: &mut Output<'_>) {
        self.tls.finish(out);
    }
}

fn of_server(line: &[u8], out: &mut Output<'_>) -> (Option<Vec<u8>>, bool) {
    let code = wire::code(line);
    let rest = line.get(3..).unwrap_or_default();
    let text = wire::skip_space(rest.strip_prefix(b"-").unwrap_or(rest));
    let token = text.strip_prefix(b"ADAT=").filter(|_| matches!(code, 235 | 334 | 335));
    (token.and_then(|token| decode(token, out)), matches!(code, 232 | 234 | 235 | 421 | 431 | 500 | 501 | 503 | 535 | 631..=633))
}

fn decode(text: &[u8], out: &mut Output<'_>) -> Option<Vec<u8>> {
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    if let Some(bad) = text.iter().find(|b| !is_digit(b)) {
        let addl = format!("character {bad} ignored by Base64 decoding");
        out.weird_detail("base64_illegal_encoding", Some(addl.as_bytes()), None);
        return None;
    }
    Some(decode_base64(text).unwrap_or_else(|(decoded, _)| decoded))
}
