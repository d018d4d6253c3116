//! IRC: who logs in and what channels are joined in `irc.log`; files sent with DCC are followed.
//!
//! Non-goals: what is said, and compressed connections between servers.

mod dcc;
mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::net::{IpAddr, Ipv4Addr};

use super::tls::TLS;
use crate::{Analyzer, Beginning, Direction, Endpoint, Match, Output, Protocol, Reader, Step, Transport};
use wire::{Bad, Line, Offer, Private};

pub use dcc::IRC_DATA;
pub use record::{Irc, LOG};

/// IRC (RFC 2812).
pub static IRC: Protocol =
    Protocol { name: "irc", label: "IRC", tcp: &[6666, 6667, 6668, 6669], udp: &[], recognises, analyzer: |_| Box::<Session>::default() };

/// Bytes after which a line is taken in parts (Zeek's limit for IRC).
const MAX_CONTENT_LINE: usize = 1000;

/// Lines with overlong commands before it is no IRC.
const MAX_INVALID: u32 = 20;

/// `NICK` and `USER` of the client, and a number of the server (scripts/base/protocols/irc/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    // Clients speak text, and mostly first.
    if beginning.orig.iter().take(4).any(|&b| !(b.is_ascii_graphic() || b.is_ascii_whitespace())) {
        return Match::No;
    }
    let mut has = (false, false);
    for line in beginning.orig.split(|&b| b == b'\n' || b == b'\r') {
        let line = line.trim_ascii_start();
        let starts = |word: &[u8]| line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) && line.len() > word.len();
        has.0 |= starts(b"NICK ");
        has.1 |= starts(b"USER ");
    }
    let is_reply = |line: &[u8]| matches!(Line::read(line), Ok(Line::Reply(..)));
    let replied = beginning.resp.split(|&b| b == b'\n' || b == b'\r').any(is_reply);
    if has == (true, true) && replied { Match::Yes } else { Match::Maybe }
}

#[derive(Default)]
struct Session {
    nick: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    addl: Option<Vec<u8>>,
    invalid: u32,
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let mut reader = Reader::new(bytes);
        loop {
            let before = reader.position();
            let rest = bytes.get(before..).unwrap_or_default();
            let step = match reader.line() {
                Some(line) if line.len() <= MAX_CONTENT_LINE => self.line(from, line, out),
                None if rest.len() <= MAX_CONTENT_LINE => return Step::Consumed(before),
                _ => {
                    out.weird_detail("contentline_size_exceeded", None, Some("CONTENTLINE"));
                    if reader.seek(before.saturating_add(MAX_CONTENT_LINE)).is_none() {
                        return Step::Consumed(before);
                    }
                    self.line(from, rest.get(..MAX_CONTENT_LINE).unwrap_or(rest), out)
                }
            };
            match step {
                Ok(false) => {}
                Ok(true) => return Step::Become(reader.position(), &TLS),
                Err(reason) => return Step::Violation(reason),
            }
        }
    }

    fn end(&mut self, from: Direction, unconsumed: &[u8], out: &mut Output<'_>) {
        if !unconsumed.is_empty() {
            let _ = self.line(from, unconsumed, out);
        }
    }
}

fn weird(name: &'static str, out: &mut Output<'_>) {
    out.weird_detail(name, None, Some("IRC"));
}

impl Session {
    /// True if TLS comes next.
    fn line(&mut self, from: Direction, line: &[u8], out: &mut Output<'_>) -> Result<bool, &'static str> {
        if line.len() > wire::MAX_LINE {
            weird("irc_line_size_exceeded", out);
            return Ok(false);
        }
        let read = Line::read(line);
        if from.is_orig() && !matches!(read, Err(Bad::TooShort | Bad::Prefix)) {
            out.confirm();
        }
        match read {
            Err(Bad::TooShort) => weird("irc_line_too_short", out),
            Err(Bad::Prefix) => weird("irc_invalid_line", out),
            Err(Bad::NoCommand) => {
                weird("irc_invalid_line", out);
                return Err("line too short");
            }
            Err(Bad::Number) => {
                weird("irc_invalid_reply_number", out);
                return Err("invalid reply number");
            }
            Ok(Line::Reply(670, _)) => return Ok(true),
            Ok(Line::Reply(code, params)) => reply(code, params, out),
            Ok(Line::Command(command, params)) => {
                if command.len() > wire::MAX_COMMAND {
                    weird("irc_invalid_command", out);
                    self.invalid = self.invalid.saturating_add(1);
                    if self.invalid > MAX_INVALID {
                        weird("irc_too_many_invalid", out);
                        return Err("too many long lines");
                    }
                } else {
                    self.command(from, &command, params, out);
                }
            }
        }
        Ok(false)
    }

    fn row(&self, command: &'static str, out: &Output<'_>) -> Irc {
        Irc {
            at: out.at,
            id: out.id,
            nick: self.nick.clone(),
            user: self.user.clone(),
            command,
            value: self.value.clone(),
            addl: self.addl.clone(),
            dcc_file_name: None,
            dcc_file_size: None,
            dcc_mime_type: None,
            fuid: None,
        }
    }

    fn command(&mut self, from: Direction, command: &[u8], params: &[u8], out: &mut Output<'_>) {
        let words = |text| wire::words(text, b' ');
        match command {
            b"NICK" if from.is_orig() => {
                let nick = wire::trailing(params).to_vec();
                self.value = Some(nick.clone());
                out.record(self.row("NICK", out));
                self.nick = Some(nick);
            }
            b"USER" if from.is_orig() => {
                let parts = words(params);
                let word = |at: usize| parts.get(at).copied().unwrap_or_default();
                // Zeek puts a space after each word of the name but the first.
                let mut name = word(3).to_vec();
                parts.iter().skip(4).for_each(|part| name.extend([part, &b" "[..]].concat()));
                self.value = Some(word(0).to_vec());
                self.addl = Some([word(1), b" ", word(2), b" ", wire::trailing(&name)].concat());
                out.record(self.row("USER", out));
                self.user = Some(word(0).to_vec());
            }
            b"JOIN" => {
                let parts = words(wire::trailing(params));
                let Some(channels) = parts.first() else { return weird("irc_invalid_join_line", out) };
                if !from.is_orig() {
                    return;
                }
                let keys = parts.get(1).map_or_else(Vec::new, |keys| wire::words(keys, b','));
                for (i, channel) in wire::words(channels, b',').iter().enumerate() {
                    self.value = Some(channel.to_vec());
                    self.addl = Some(keys.get(i).map_or_else(Vec::new, |key| [b" with channel key: '", *key, b"'"].concat()));
                    out.record(self.row("JOIN", out));
                }
            }
            b"PRIVMSG" => match wire::private(params) {
                Private::BadFormat => weird("irc_invalid_privmsg_message_format", out),
                Private::BadDcc => weird("irc_invalid_dcc_message_format", out),
                Private::Text | Private::Dcc => {}
                Private::Send(offer) => self.offer(&offer, out),
            },
            b"NOTICE" if !params.contains(&b' ') => weird("irc_invalid_notice_message_format", out),
            b"SQUERY" if !params.contains(&b' ') => weird("irc_invalid_squery_message_format", out),
            b"OPER" if words(params).len() != 2 => weird("irc_invalid_oper_message_format", out),
            b"KICK" if words(params).len() <= 1 => weird("irc_invalid_kick_message_format", out),
            b"NJOIN" if words(params).len() != 2 => weird("irc_invalid_njoin_line", out),
            b"WHO" if words(params).len() > 2 => weird("irc_invalid_who_message_format", out),
            b"WHOIS" if !matches!(words(params).len(), 1 | 2) => weird("irc_invalid_whois_message_format", out),
            b"INVITE" if words(params).len() != 2 => weird("irc_invalid_invite_message_format", out),
            b"MODE" if params.is_empty() => weird("irc_invalid_mode_message_format", out),
            _ => {}
        }
    }

    fn offer(&self, offer: &Offer<'_>, out: &mut Output<'_>) {
        let row = Irc { dcc_file_name: Some(offer.name.to_vec()), dcc_file_size: Some(offer.size), ..self.row("DCC", out) };
        let to = Endpoint { addr: IpAddr::V4(Ipv4Addr::from(offer.addr)), port: offer.port };
        dcc::offer(to, row, out);
    }
}

/// Replies with too few words.
fn reply(code: u16, params: &[u8], out: &mut Output<'_>) {
    let count = wire::words(params, b' ').len();
    let name = match code {
        353 if count < 3 => "irc_invalid_names_line",
        266 if !params.contains(&b' ') || !params.contains(&b':') => "invalid_irc_global_users_reply",
        311 if count < 6 => "irc_invalid_whois_user_line",
        313 if count < 3 => "irc_invalid_whois_operator_line",
        319 if count < 3 => "irc_invalid_whois_channel_line",
        332 if count < 4 || !params.contains(&b':') => "irc_invalid_topic_reply",
        352 if count < 9 => "irc_invalid_who_line",
        _ => return,
    };
    weird(name, out);
}
