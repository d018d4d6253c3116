//! RDP (MS-RDPBCGR): who asks for what security, and what the client says of itself before it is encrypted.

use super::{Parser, frames, tpkt};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;
use crate::protocols::ntlm::utf16;

const COOKIE: &[u8] = b"Cookie: mstshash=";
/// X.224 (§13): request, confirm, data.
const REQUEST: u8 = 0xe0;
const CONFIRM: u8 = 0xd0;
const DATA: u8 = 0xf0;
/// Negotiation (§2.2.1.1.1, §2.2.1.2.1).
const ASKS: u8 = 1;
const ANSWERS: u8 = 2;
/// What the client says of itself (§2.2.1.3.2), and the mark before it (T.124 §8.7).
const CORE: u16 = 0xc001;
const MARK: &[u8] = b"Duca";

/// Whether a beginning is a request or its confirmation, with a name or a negotiation.
pub(in super::super) fn is_rdp(data: &[u8]) -> bool {
    matches!(data.get(5), Some(&(REQUEST | CONFIRM)))
        && (data.get(11..).is_some_and(|rest| rest.starts_with(COOKIE)) || matches!(data.get(11), Some(1..=3)))
}

pub(in super::super) fn rdp(_: &Beginning<'_>) -> Box<dyn Parser> {
    frames(tpkt::<7>, |_, data, fields| {
        let _ = packet(data, fields);
        true
    })
}

fn packet(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    r.skip(5)?;
    match r.u8()? {
        REQUEST => {
            r.skip(5)?;
            if let Some(rest) = r.rest().strip_prefix(COOKIE) {
                let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
                let user = rest.get(..end)?;
                if !user.is_empty() {
                    fields.lower("user", user);
                }
                r.skip(COOKIE.len() + end + 2)?;
            }
            security("rdp.requestedProtocols", ASKS, r, fields)
        }
        CONFIRM => {
            r.skip(5)?;
            security("rdp.selectedProtocol", ANSWERS, r, fields)
        }
        DATA => {
            let place = memchr::memmem::find(r.rest(), MARK)?;
            r.skip(place + MARK.len())?;
            loop {
                let (kind, len) = (r.u16_le()?, usize::from(r.u16_le()?));
                let block = r.sub(len.checked_sub(4)?)?;
                if kind == CORE {
                    let _ = core(block, fields);
                }
            }
        }
        _ => None,
    }
}

fn security(path: &'static str, kind: u8, mut r: Reader<'_>, fields: &mut Fields) -> Option<()> {
    if r.u8()? != kind {
        return None;
    }
    r.skip(3)?;
    let protocols = r.u32_le()?;
    if protocols == 0 {
        fields.text(path, b"rdp");
    }
    for (bit, name) in [(1, "ssl"), (2, "nla"), (4, "rdstls"), (8, "nla-ext")] {
        if protocols & bit != 0 {
            fields.text(path, name.as_bytes());
        }
    }
    Some(())
}

fn core(mut r: Reader<'_>, fields: &mut Fields) -> Option<()> {
    r.skip(12)?;
    let (layout, build) = (r.u32_le()?, r.u32_le()?);
    let name = utf16(r.take(32)?);
    if name.first().is_some_and(|byte| *byte != 0) {
        fields.text("rdp.clientName", &name);
    }
    match language(layout) {
        Some(name) => fields.text("rdp.keyboardLayout", name.as_bytes()),
        None if layout > 0 => fields.text("rdp.keyboardLayout", format!("0x{layout:04x}").as_bytes()),
        None => {}
    }
    if build > 0 {
        fields.number("rdp.clientBuild", i64::from(build));
    }
    Some(())
}

const fn language(layout: u32) -> Option<&'static str> {
    Some(match layout {
        0x0401 => "ar-SA",
        0x0404 => "zh-TW",
        0x0405 => "cs-CZ",
        0x0407 => "de-DE",
        0x0408 => "el-GR",
        0x0409 => "en-US",
        0x040c => "fr-FR",
        0x040d => "he-IL",
        0x040e => "hu-HU",
        0x0410 => "it-IT",
        0x0411 => "ja-JP",
        0x0412 => "ko-KR",
        0x0413 => "nl-NL",
        0x0415 => "pl-PL",
        0x0416 => "pt-BR",
        0x0418 => "ro-RO",
        0x0419 => "ru-RU",
        0x041b => "sk-SK",
        0x041e => "th-TH",
        0x041f => "tr-TR",
        0x0422 => "uk-UA",
        0x0429 => "fa-IR",
        0x042a => "vi-VN",
        0x0804 => "zh-CN",
        0x0809 => "en-GB",
        0x0816 => "pt-PT",
        0x0c0a => "es-ES",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_tells_its_user_and_what_security_it_can_do() {
        let body = b"\x00\xe0\x00\x00\x00\x00\x00Cookie: mstshash=Alice\r\n\x01\x00\x08\x00\x03\x00\x00\x00";
        let data = [&[3, 0, 0, 4 + u8::try_from(body.len()).unwrap()][..], body].concat();
        assert!(is_rdp(&data));
        let mut fields = Fields::default();
        packet(&data, &mut fields).unwrap();
        assert_eq!(fields.texts("user"), ["alice"]);
        assert_eq!(fields.texts("rdp.requestedProtocols"), ["ssl", "nla"]);
    }
}
