//! Protocols of which Arkime wants one field or two.

use super::{Parser, pieces};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;

/// BGP (RFC 4271 §4.1): the kind of the message that a piece of the stream begins with.
pub(in super::super) fn bgp(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        let Some(&[high, low, kind]) = data.get(16..19).filter(|_| data.starts_with(&[0xff; 16])) else { return true };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if !(19..=4096).contains(&len) || len > data.len() {
            return false;
        }
        let name = match kind {
            1 => "OPEN",
            2 => "UPDATE",
            3 => "NOTIFICATION",
            4 => "KEEPALIVE",
            _ => return true,
        };
        fields.bare("bgp.type", name.as_bytes());
        true
    })
}

/// IRC (RFC 2812): names and channels of the client, told at the beginnings of its lines.
pub(in super::super) fn irc(_: &Beginning<'_>) -> Box<dyn Parser> {
    struct Lines {
        is_within: bool,
    }
    impl Parser for Lines {
        fn read(&mut self, from: crate::Direction, data: &[u8], fields: &mut Fields) -> bool {
            if from.is_orig() {
                for line in data.split_inclusive(|byte| *byte == b'\n') {
                    // Some clients put zeros between lines.
                    let zeros = line.iter().take_while(|byte| **byte == 0).count();
                    let line = line.get(zeros..).unwrap_or_default();
                    let is_within = std::mem::replace(&mut self.is_within, !line.ends_with(b"\n"));
                    let word = |rest: &[u8]| rest.iter().position(|byte| matches!(byte, b' ' | b'\r' | b'\n')).unwrap_or(rest.len());
                    for (command, path) in [(&b"JOIN "[..], "irc.channel"), (b"NICK ", "irc.nick")] {
                        if let Some(rest) = line.strip_prefix(command).filter(|rest| !is_within && !rest.is_empty()) {
                            fields.some(path, rest.get(..word(rest)));
                        }
                    }
                }
            }
            true
        }
    }
    Box::new(Lines { is_within: false })
}

/// Oracle's call, in which the listener is told what is looked for: `(...(HOST=db)(USER=scott)...)`.
pub(in super::super) fn oracle(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        for (path, key) in [("oracle.host", "HOST="), ("oracle.user", "USER="), ("oracle.service", "SERVICE_NAME=")] {
            let Some(place) = memchr::memmem::find(data, key.as_bytes()) else { continue };
            let value = data.get(place + key.len()..).and_then(|rest| rest.split(|byte| *byte == b')').next());
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                fields.set(path, &value.to_ascii_lowercase());
            }
        }
        false
    })
}

/// The time of IEEE 1588.
pub(in super::super) fn ptp(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        let _ = clock(data, fields);
        true
    })
}

fn clock(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    let kind = r.u8()? & 0xf;
    r.skip(1)?;
    let len = usize::from(r.u16()?);
    if len < 34 || len > data.len() {
        return None;
    }
    let name = match kind {
        0x0 => Some("sync"),
        0x1 => Some("delay-req"),
        0x2 => Some("pdelay-req"),
        0x3 => Some("pdelay-resp"),
        0x8 => Some("follow-up"),
        0x9 => Some("delay-resp"),
        0xa => Some("pdelay-resp-follow-up"),
        0xb => Some("announce"),
        0xc => Some("signaling"),
        0xd => Some("management"),
        _ => None,
    };
    if let Some(name) = name {
        fields.text("ptp.msgType", name.as_bytes());
    }
    r.seek(20)?;
    let id = r.array::<8>()?.map(|byte| format!("{byte:02x}")).join(":");
    fields.text("ptp.clockId", id.as_bytes());
    Some(())
}

/// TDS 4.2 and 5.0: the user's name in the login record, which stands at 39 bytes with its length behind it at 69.
pub(in super::super) fn tds(_: &Beginning<'_>) -> Box<dyn Parser> {
    struct Login(Vec<u8>);
    impl Parser for Login {
        fn read(&mut self, from: crate::Direction, data: &[u8], fields: &mut Fields) -> bool {
            const LOGIN: usize = 598;
            if !from.is_orig() {
                return true;
            }
            self.0.extend_from_slice(data);
            if self.0.len() <= LOGIN {
                return true;
            }
            let len = self.0.get(69).copied().filter(|len| (1..=30).contains(len));
            if let Some(name) = len.and_then(|len| self.0.get(39..39 + usize::from(len))) {
                fields.lower("user", name);
            }
            false
        }
    }
    Box::new(Login(Vec::new()))
}

/// TFTP (RFC 1350).
pub(in super::super) fn tftp(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        let (Some(&[0, code]), true) = (data.first_chunk(), data.len() >= 4) else { return true };
        let name = match code {
            1 => "rrq",
            2 => "wrq",
            3 => "data",
            4 => "ack",
            5 => "error",
            _ => return true,
        };
        fields.text("tftp.opcode", name.as_bytes());
        let file = data.get(2..).and_then(|rest| rest.split(|byte| *byte == 0).next()).unwrap_or_default();
        if code <= 2 && !file.is_empty() {
            fields.text("tftp.filename", file);
        }
        true
    })
}
