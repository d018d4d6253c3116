//! SMB, versions 1 (MS-CIFS) and 2 (MS-SMB2): shares, files, who logs on, and with what system.

use super::{Parser, ber};
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;
use crate::protocols::ntlm::utf16;
use crate::{Direction, Pair, Reader};

/// Bytes of one message that are read; of larger ones nothing is, as they carry data.
const READ: usize = 8192;
const NTLMSSP: &[u8] = b"NTLMSSP\0";
/// Dialects that a client of version 1 offers, of which so many are remembered.
const MAX_DIALECTS: usize = 10;
/// Length of a header of version 2.
const HEADER_2: usize = 64;

pub(in super::super) fn smb(_: &Beginning<'_>) -> Box<dyn Parser> {
    Box::<Smb>::default()
}

#[derive(Default)]
struct Smb {
    kept: Pair<Vec<u8>>,
    /// Bytes that are still to come of a message that is not read.
    skip: Pair<usize>,
    dialects: Vec<Vec<u8>>,
}

impl Parser for Smb {
    fn read(&mut self, from: Direction, mut data: &[u8], fields: &mut Fields) -> bool {
        loop {
            let skip = self.skip.of_mut(from);
            let passed = data.len().min(*skip);
            *skip -= passed;
            data = data.get(passed..).unwrap_or_default();
            let mut kept = std::mem::take(self.kept.of_mut(from));
            let wanted = match length(&kept) {
                // Up to the length first.
                None => 4 - kept.len(),
                Some(len) => 4 + len - kept.len(),
            };
            let taken = data.len().min(wanted);
            kept.extend_from_slice(data.get(..taken).unwrap_or_default());
            data = data.get(taken..).unwrap_or_default();
            match length(&kept) {
                Some(len) if len > READ => *self.skip.of_mut(from) = len,
                Some(len) if kept.len() == 4 + len => {
                    let _ = self.message(kept.get(4..).unwrap_or_default(), fields);
                }
                _ => *self.kept.of_mut(from) = kept,
            }
            if data.is_empty() {
                return true;
            }
        }
    }
}

/// Length of a message in NetBIOS' frame (RFC 1002 §4.3.1).
fn length(kept: &[u8]) -> Option<usize> {
    let &[_, high, mid, low] = kept.first_chunk()?;
    Some(usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low))
}

impl Smb {
    fn message(&mut self, message: &[u8], fields: &mut Fields) -> Option<()> {
        match message.get(..4)? {
            b"\xffSMB" => self.message_1(message, fields),
            b"\xfeSMB" => message_2(message, fields),
            _ => None,
        }
    }
}

impl Smb {
    /// Command, flags and body of version 1: where strings stand follows Arkime, which takes their padding for granted.
    fn message_1(&mut self, message: &[u8], fields: &mut Fields) -> Option<()> {
        let mut r = Reader::new(message);
        r.skip(4)?;
        let command = r.u8()?;
        r.skip(4)?;
        let is_response = r.u8()? & 0x80 != 0;
        let text = if r.u16_le()? & 0x8000 != 0 { utf16 } else { <[u8]>::to_vec };
        r.seek(32)?;
        let mut r = Reader::new(r.rest());
        let words = r.u8()?;
        match (is_response, command) {
            // Delete, open, create.
            (false, 0x06 | 0x2d | 0xa2) => {
                r.skip(usize::from(words) * 2 + 3)?;
                tell("smb.filename", &text(r.rest()), fields);
            }
            // Tree connect: path after the password.
            (false, 0x75) => {
                r.skip(6)?;
                let password = usize::from(r.u8()?);
                r.skip(3 + password)?;
                r.skip(r.position() % 2)?;
                tell("smb.share", &text(r.rest()), fields);
            }
            (false, 0x73) if words == 12 => {
                r.skip(14)?;
                let token = usize::from(r.u16_le()?);
                r.skip(10)?;
                let _ = logon(r.take(token)?, fields);
                r.skip(r.position() % 2)?;
                split(&text(r.rest()), &["smb.os", "smb.version", "smb.domain"], fields);
            }
            (false, 0x73) if words == 13 => {
                r.skip(14)?;
                let passwords = usize::from(r.u16_le()?) + usize::from(r.u16_le()?);
                r.skip(10 + passwords)?;
                r.skip(r.position() % 2)?;
                split(&text(r.rest()), &["smb.user", "smb.domain", "smb.os", "smb.version"], fields);
            }
            (false, 0x72) => {
                r.skip(2)?;
                while self.dialects.len() < MAX_DIALECTS
                    && r.skip(1).is_some()
                    && let Some(dialect) = r.until(0)
                {
                    self.dialects.push(dialect.to_vec());
                }
            }
            (true, 0x72) if words >= 13 => {
                let chosen = usize::from(r.u8()?);
                fields.set("smb.dialect", self.dialects.get(chosen)?);
            }
            _ => {}
        }
        Some(())
    }
}

fn message_2(message: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(message);
    r.skip(12)?;
    let command = r.u16_le()?;
    r.skip(2)?;
    let is_response = r.u32_le()? & 1 != 0;
    r.seek(HEADER_2 + 4)?;
    let string = |mut r: Reader<'_>| {
        let (at, len) = (usize::from(r.u16_le()?), usize::from(r.u16_le()?));
        message.get(at..at + len).map(utf16)
    };
    match (is_response, command) {
        (true, 0) => {
            let dialect = r.u16_le().filter(|dialect| !matches!(dialect, 0 | 0x02ff))?;
            let name = format!("SMB {}.{}.{}", dialect >> 8 & 0xf, dialect >> 4 & 0xf, dialect & 0xf);
            fields.set("smb.dialect", name.as_bytes());
        }
        (false, 3) => tell("smb.share", &string(r)?, fields),
        (false, 5) => {
            r.skip(40)?;
            tell("smb.filename", &string(r)?, fields);
        }
        _ => {}
    }
    Some(())
}

/// Who logs on, of a token of SPNEGO that answers a challenge (RFC 4178 §4.2.2, MS-NLMP §2.2.1.3).
fn logon(token: &[u8], fields: &mut Fields) -> Option<()> {
    let answer = ber::next(&mut Reader::new(token)).filter(|part| part.number == 1)?;
    let list = ber::next(&mut answer.inside()).filter(|part| part.number == 16)?;
    let part = ber::next(&mut list.inside()).filter(|part| part.number == 2)?;
    let message = ber::next(&mut part.inside()).filter(|part| part.number == 4)?.body;
    let mut r = Reader::new(message.strip_prefix(NTLMSSP)?);
    if r.u32_le()? != 3 {
        return None;
    }
    fields.protocol("ntlm");
    fields.number("ntlm.type", 3);
    // Two proofs, then domain, user and host.
    r.skip(16)?;
    for paths in [&["smb.domain", "ntlm.domain"], &["smb.user", "user"], &["smb.host", "ntlm.host"]] {
        let len = usize::from(r.u16_le()?);
        r.skip(2)?;
        let at = r.u32_le()? as usize;
        let Some(value) = message.get(at..at.saturating_add(len)) else {
            fields.tag("smb:bad-security-blob");
            return None;
        };
        paths.iter().for_each(|path| tell(path, &utf16(value), fields));
    }
    r.skip(8)?;
    if r.u32_le()? & 0x0200_0000 != 0 {
        let (major, minor, build) = (r.u8()?, r.u8()?, r.u16_le()?);
        fields.text("ntlm.version", format!("{major}.{minor}.{build}").as_bytes());
    }
    Some(())
}

fn tell(path: &'static str, value: &[u8], fields: &mut Fields) {
    let value = value.split(|byte| *byte == 0).next().unwrap_or_default();
    if !value.is_empty() {
        fields.text(path, value);
    }
}

/// Strings one after the other, each with a zero at its end.
fn split(value: &[u8], paths: &[&'static str], fields: &mut Fields) {
    let mut r = Reader::new(value);
    for path in paths {
        let Some(part) = r.until(0) else { return };
        tell(path, part, fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_however_the_stream_is_cut_and_large_messages_are_passed_over() {
        let mut message = vec![0; HEADER_2];
        message[..4].copy_from_slice(b"\xfeSMB");
        message[12] = 3;
        let path: Vec<u8> = "\\\\s\\a".encode_utf16().flat_map(u16::to_le_bytes).collect();
        message.extend_from_slice(&[9, 0, 0, 0, 72, 0, u8::try_from(path.len()).unwrap(), 0]);
        message.extend_from_slice(&path);
        let large = [&[0, 0, 0x30, 0][..], &vec![1; 0x3000]].concat();
        let stream = [&large[..], &[0, 0, 0, u8::try_from(message.len()).unwrap()], &message].concat();
        for size in [1, 3, 100, 5000, stream.len()] {
            let mut fields = Fields::default();
            let mut smb = Smb::default();
            for piece in stream.chunks(size) {
                assert!(smb.read(Direction::Originator, piece, &mut fields));
            }
            assert_eq!(fields.texts("smb.share"), ["\\\\s\\a"]);
        }
    }
}
