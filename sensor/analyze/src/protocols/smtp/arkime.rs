//! What a session of Arkime's is told of mail: line by line, beside `smtp.log`, whose rules are others.
//!
//! Every header counts that precedes the body, encoded words are decoded (RFC 2047), and attachments in base64 are
//! hashed; parts are found by their boundaries, wherever these stand.

use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::log::{Fields, magic};
use crate::mime::decode_base64;

/// Bytes of one header, all its lines together.
const MAX_HEADER: usize = 65_536;
/// Boundaries of one connection that are known.
const MAX_BOUNDARIES: usize = 64;
/// Bytes of a piece of a chunk that wait for their line's end.
const MAX_LINE: usize = 65_536;
/// Bytes of an attachment's name, decoded.
const MAX_FILENAME: usize = 4095;
/// Headers that name the sender's address. Malcolm's `smtpIpHeaders`.
const IP_HEADERS: [&[u8]; 2] = [b"x-originating-ip", b"x-barracuda-apparent-source-ip"];

/// What the client's next line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Command,
    AuthLogin,
    AuthPlain,
    Header,
    Body,
    PartHeader,
    PartBody,
}

/// One connection.
#[derive(Default)]
pub(super) struct Told {
    state: State,
    header: Vec<u8>,
    boundaries: Vec<Vec<u8>>,
    attachment: Option<Box<Attachment>>,
    /// The end of the data has been sent: the next reply is its status.
    needs_status: bool,
    /// A line that goes on in the next chunk.
    partial: Vec<u8>,
}

/// An attachment in base64.
#[derive(Default)]
struct Attachment {
    md5: Md5,
    sha256: Sha256,
    /// Digits that do not make a whole group yet.
    digits: Vec<u8>,
    is_begun: bool,
}

impl Told {
    /// A line of the client, without its end.
    pub(super) fn client(&mut self, line: &[u8], fields: &mut Fields) {
        match self.state {
            State::Command => self.command(line, fields),
            State::AuthLogin => {
                self.state = State::Command;
                login(line, fields);
            }
            State::AuthPlain => {
                self.state = State::Command;
                plain(line, fields);
            }
            State::Header | State::PartHeader => self.header_line(line, fields),
            State::Body | State::PartBody => self.body_line(line, fields),
        }
    }

    /// A line of the server.
    pub(super) fn server(&mut self, line: &[u8], fields: &mut Fields) {
        fields.protocol("smtp");
        if std::mem::take(&mut self.needs_status) {
            let code: String = line.iter().take_while(|byte| byte.is_ascii_digit()).take(3).map(|byte| char::from(*byte)).collect();
            // The greeting tells nothing of what was asked.
            if code != "220" {
                fields.tag(&format!("smtp:statuscode:{code}"));
            }
        }
    }

    /// Bytes of a chunk (RFC 3030), the last of a message or not.
    pub(super) fn chunk(&mut self, bytes: &[u8], is_last: bool, fields: &mut Fields) {
        if self.state == State::Command {
            self.state = State::Header;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() > MAX_LINE {
                let line = std::mem::take(&mut self.partial);
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                self.client(line.strip_suffix(b"\r").unwrap_or(line), fields);
            }
        }
        if is_last {
            self.flush(fields);
            self.partial.clear();
            self.state = State::Command;
        }
    }

    fn command(&mut self, line: &[u8], fields: &mut Fields) {
        fields.protocol("smtp");
        let after = |word: &[u8]| line.get(..word.len()).filter(|start| start.eq_ignore_ascii_case(word)).and(line.get(word.len()..));
        if let Some(path) = after(b"MAIL FROM:") {
            fields.lower("email.src", within(path, b'<', b'>'));
        } else if let Some(path) = after(b"RCPT TO:") {
            fields.lower("email.dst", within(path, b'<', b'>'));
        } else if let Some(name) = after(b"HELO ").or_else(|| after(b"EHLO ")) {
            fields.lower("email.smtpHello", name);
            // Servers of both greet alike.
            fields.forget("ftp");
        } else if after(b"DATA").is_some() {
            self.state = State::Header;
        } else if let Some(rest) = after(b"AUTH LOGIN") {
            fields.tag("smtp:authlogin");
            match rest.get(1..).filter(|answer| !answer.is_empty()) {
                Some(answer) => login(answer, fields),
                None => self.state = State::AuthLogin,
            }
        } else if let Some(rest) = after(b"AUTH PLAIN") {
            fields.tag("smtp:authplain");
            match rest.get(1..).filter(|answer| !answer.is_empty()) {
                Some(answer) => plain(answer, fields),
                None => self.state = State::AuthPlain,
            }
        } else if after(b"STARTTLS").is_some() {
            fields.tag("smtp:starttls");
        }
    }

    fn header_line(&mut self, line: &[u8], fields: &mut Fields) {
        if let Some((b' ' | b'\t', rest)) = line.split_first()
            && !self.header.is_empty()
        {
            if self.header.len() < MAX_HEADER {
                self.header.push(b' ');
                self.header.extend_from_slice(rest);
            }
            return;
        }
        self.flush(fields);
        match line {
            b"." => self.end(),
            b"" => self.state = if self.state == State::Header { State::Body } else { State::PartBody },
            _ => self.header.extend_from_slice(line),
        }
    }

    /// The header at hand is complete.
    fn flush(&mut self, fields: &mut Fields) {
        let header = std::mem::take(&mut self.header);
        let Some(colon) = memchr::memchr(b':', &header) else { return };
        let name = header.get(..colon).unwrap_or_default().to_ascii_lowercase();
        let value = header.get(colon + 1..).unwrap_or_default();
        if self.state == State::PartHeader {
            return self.part_header(&name, value, fields);
        }
        fields.text("email.header", &name);
        let trimmed = value.trim_ascii_start();
        match &*name {
            b"subject" => fields.text("email.subject", decode_words(value.strip_prefix(b" ").unwrap_or(value)).as_bytes()),
            b"to" | b"cc" => addresses(value, |address| fields.lower("email.dst", address)),
            b"from" => addresses(value, |address| fields.lower("email.src", address)),
            b"message-id" => fields.text("email.id", within(value, b'<', b'>')),
            b"x-mailer" | b"user-agent" => fields.text("email.useragent", trimmed),
            b"mime-version" => fields.text("email.mimeVersion", trimmed),
            b"received" => received(value, fields),
            b"content-type" => {
                fields.text("email.contentType", trimmed);
                self.boundary(trimmed);
            }
            name if IP_HEADERS.contains(&name) => fields.written_ip("email.ip", within(value, b'[', b']')),
            _ => {
                fields.item("email.headerField", &name, false);
                fields.item("email.headerValue", trimmed, true);
            }
        }
    }

    fn part_header(&mut self, name: &[u8], value: &[u8], fields: &mut Fields) {
        match name {
            b"content-type" => self.boundary(value),
            b"content-disposition" => {
                if let Some(rest) = after_word(value, b"filename=") {
                    let name = decode_words(within(rest, b'"', b'"'));
                    let name = name.as_bytes();
                    fields.text("email.filename", name.get(..MAX_FILENAME).unwrap_or(name));
                }
            }
            b"content-transfer-encoding" if after_word(value, b"base64").is_some() => self.attachment = Some(Box::default()),
            _ => {}
        }
    }

    fn boundary(&mut self, value: &[u8]) {
        if let Some(rest) = after_word(value, b"boundary=")
            && self.boundaries.len() < MAX_BOUNDARIES
        {
            self.boundaries.push(within(rest, b'"', b'"').to_vec());
        }
    }

    fn body_line(&mut self, line: &[u8], fields: &mut Fields) {
        if line == b"." {
            return self.end();
        }
        let delimited = |rest: &[u8]| self.boundaries.iter().any(|boundary| !boundary.is_empty() && rest.starts_with(boundary));
        if line.first() == Some(&b'-') && line.get(2..).is_some_and(delimited) {
            if let Some(attachment) = self.attachment.take() {
                attachment.end(fields);
            }
            self.state = State::PartHeader;
        } else if self.state == State::PartBody
            && let Some(attachment) = &mut self.attachment
        {
            attachment.line(line, fields);
        }
    }

    fn end(&mut self) {
        self.needs_status = true;
        self.state = State::Command;
    }
}

impl Attachment {
    fn line(&mut self, line: &[u8], fields: &mut Fields) {
        self.digits.extend(line.iter().filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')));
        let whole = self.digits.len() / 4 * 4;
        let rest = self.digits.split_off(whole);
        let group = std::mem::replace(&mut self.digits, rest);
        let bytes = decode_base64(&group).unwrap_or_else(|(bytes, _)| bytes);
        self.md5.update(&bytes);
        self.sha256.update(&bytes);
        if !std::mem::replace(&mut self.is_begun, true)
            && let Some(name) = magic(&bytes)
        {
            fields.text("email.bodyMagic", name.as_bytes());
        }
    }

    fn end(self, fields: &mut Fields) {
        fields.text("email.md5", hex::encode(self.md5.finalize()).as_bytes());
        fields.text("email.sha256", hex::encode(self.sha256.finalize()).as_bytes());
    }
}

/// What stands between two marks, if the text begins with the first one; all of it otherwise.
fn within(text: &[u8], open: u8, close: u8) -> &[u8] {
    let text = text.trim_ascii_start();
    match text.strip_prefix(&[open]) {
        Some(inner) => inner.split(|byte| *byte == close).next().unwrap_or_default(),
        None => text,
    }
}

/// What follows a word, in any case.
fn after_word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(&text.to_ascii_lowercase(), word)?;
    text.get(at + word.len()..)
}

fn login(answer: &[u8], fields: &mut Fields) {
    let user = decode_base64(answer).unwrap_or_else(|(user, _)| user);
    if !user.is_empty() {
        fields.text("user", &user);
    }
}

/// RFC 4616 §2: authorization identity, authentication identity, password.
fn plain(answer: &[u8], fields: &mut Fields) {
    let decoded = decode_base64(answer).unwrap_or_else(|(decoded, _)| decoded);
    let mut parts = decoded.split(|byte| *byte == 0);
    if let (Some(_), Some(user), Some(_)) = (parts.next(), parts.next(), parts.next()) {
        fields.text("user", user);
    }
}

/// Addresses of a list, without the names beside them.
fn addresses(list: &[u8], mut each: impl FnMut(&[u8])) {
    let mut rest = list.trim_ascii_start();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            let end = memchr::memchr(b'"', quoted).unwrap_or(quoted.len());
            rest = quoted.get(end + 1..).unwrap_or_default().trim_ascii_start();
        }
        let end = memchr::memchr2(b'<', b',', rest).unwrap_or(rest.len());
        let (before, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        match tail.strip_prefix(b"<") {
            Some(inner) => {
                let end = memchr::memchr(b'>', inner).unwrap_or(inner.len());
                each(inner.get(..end).unwrap_or_default());
            }
            None => each(before),
        }
        let next = memchr::memchr(b',', tail).map_or(tail.len(), |comma| comma + 1);
        rest = tail.get(next..).unwrap_or_default().trim_ascii_start();
    }
}

/// RFC 5321 §4.4: hosts after `from` and `by`, and addresses in brackets.
fn received(value: &[u8], fields: &mut Fields) {
    let mut at = 0;
    while let Some(rest) = value.get(at..).filter(|rest| !rest.is_empty()) {
        let is_word = rest.len() > 10 && !(at > 0 && value.get(at - 1) == Some(&b'-'));
        let word = [&b"from "[..], b"by "].into_iter().find(|word| is_word && rest.starts_with(word));
        if let Some(word) = word {
            let name = rest.get(word.len()..).unwrap_or_default();
            let skipped = word.len() + (name.len() - name.trim_ascii_start().len());
            let name = name.trim_ascii_start();
            at += skipped;
            if name.first() == Some(&b'[') {
                continue;
            }
            let end = name.iter().position(|byte| matches!(byte, b' ' | b')')).unwrap_or(name.len());
            let host = name.get(..end).unwrap_or_default();
            fields.lower("email.host", host.rsplit(|byte| *byte == b'@').next().unwrap_or(host));
            at += end;
            continue;
        }
        if let Some(inner) = rest.strip_prefix(b"[") {
            let end = memchr::memchr(b']', inner).unwrap_or(inner.len());
            fields.written_ip("email.ip", inner.get(..end).unwrap_or_default());
            at += end + 1;
        }
        at += 1;
    }
}

/// RFC 2047: `=?charset?encoding?text?=`; what stands between is taken for Windows-1252. Text that is not well-formed
/// stays as it is.
fn decode_words(text: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let start = memchr::memmem::find(rest, b"=?").unwrap_or(rest.len());
        let (plain, word) = rest.split_at_checked(start).unwrap_or((rest, &[]));
        // A blank between two words only keeps them apart.
        if plain != b" " || word.is_empty() {
            out.push_str(&encoding_rs::WINDOWS_1252.decode_without_bom_handling(plain).0);
        }
        if word.is_empty() {
            return out;
        }
        let Some((decoded, tail)) = decode_word(word) else { return String::from_utf8_lossy(text).into_owned() };
        out.push_str(&decoded);
        rest = tail;
    }
    out
}

fn decode_word(word: &[u8]) -> Option<(String, &[u8])> {
    let inner = word.get(2..)?;
    let question = memchr::memchr(b'?', inner)?;
    let (charset, rest) = inner.split_at_checked(question)?;
    let encoding = *rest.get(1)?;
    let text = rest.get(3..)?;
    let end = memchr::memmem::find(text, b"?=")?;
    let (text, tail) = text.split_at_checked(end)?;
    let bytes = match encoding.to_ascii_lowercase() {
        b'b' => decode_base64(text).unwrap_or_else(|(bytes, _)| bytes),
        b'q' => quoted(text),
        _ => return None,
    };
    let charset = encoding_rs::Encoding::for_label(charset)?;
    Some((charset.decode_without_bom_handling(&bytes).0.into_owned(), tail.get(2..)?))
}

/// RFC 2047 §4.2.
fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'_' => out.push(b' '),
            b'=' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { break };
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            }
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_decoded_and_joined() {
        assert_eq!(decode_words(b"test =?gb2312?B?suLK1A==?="), "test 测试");
        assert_eq!(decode_words(b"=?iso-8859-1?q?=E9_=EE?= =?utf-8?Q?=C3=B8?= x"), "é îø x");
        assert_eq!(decode_words(b"=?nonsense"), "=?nonsense");
    }

    #[test]
    fn addresses_come_without_names() {
        let mut all = Vec::new();
        addresses(b" \"A, B\" <a@b.c>, d@e.f,<g@h>", |address| all.push(String::from_utf8_lossy(address).into_owned()));
        assert_eq!(all, ["a@b.c", "d@e.f", "g@h"]);
    }
}
