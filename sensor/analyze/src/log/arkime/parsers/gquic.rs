//! Google's QUIC before it was a standard, up to version Q045: its client's hello was not encrypted.

use super::{Parser, pieces};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;

/// Message of the client's hello in QUIC's crypto (Langley and Chang, 2016): a mark, the number of tags, two bytes of
/// nothing, and each tag with where its value ends.
const HELLO: &[u8] = b"CHLO";
const MAX_TAGS: u16 = 64;

/// Version of a client's datagram: flags that say there is one, an eight-byte connection and the version's name.
pub(in super::super) fn gquic_version(data: &[u8]) -> Option<&[u8]> {
    let &flags = data.first()?;
    let version = data.get(9..13)?;
    let number = version.strip_prefix(b"Q0").and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u8>().ok())?;
    (flags & 0x83 == 0x01 && flags & 0x08 != 0 && data.len() > 100 && (24..=45).contains(&number)).then_some(version)
}

pub(in super::super) fn gquic(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        if let Some(version) = gquic_version(data) {
            fields.text("quic.version", version);
            let _ = hello(data, fields);
        }
        true
    })
}

fn hello(data: &[u8], fields: &mut Fields) -> Option<()> {
    let place = memchr::memmem::find(data, HELLO)?;
    let mut r = Reader::new(data.get(place + HELLO.len()..)?);
    let count = r.u16_le().filter(|count| *count <= MAX_TAGS)?;
    r.skip(2)?;
    let mut tags = Reader::new(r.take(usize::from(count) * 8)?);
    let values = r.rest();
    let mut from = 0;
    while let (Some(tag), Some(until)) = (tags.array::<4>(), tags.u32_le()) {
        let until = until as usize;
        let value = values.get(from..until)?;
        from = until;
        match &tag {
            b"SNI\0" if !value.is_empty() => fields.text("quic.host", value),
            b"UAID" if !value.is_empty() => fields.text("quic.useragent", value),
            _ => {}
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_tells_its_host() {
        let mut data = b"\x0d12345678Q043\x01____________".to_vec();
        data.extend_from_slice(b"\xa0\x01CHLO\x02\x00\x00\x00PAD\0\x02\x00\x00\x00SNI\0\x0d\x00\x00\x00--example.org");
        data.resize(200, 0);
        assert_eq!(gquic_version(&data), Some(&b"Q043"[..]));
        let mut fields = Fields::default();
        hello(&data, &mut fields).unwrap();
        assert_eq!(fields.texts("quic.host"), ["example.org"]);
    }
}
