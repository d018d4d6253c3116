//! Elements of ASN.1 as Arkime reads them: what ends before its element does is taken for the whole of it.

use crate::Reader;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) is_constructed: bool,
    pub(super) is_application: bool,
    pub(super) number: u8,
    pub(super) body: &'a [u8],
}

/// The next element.
pub(super) fn next<'a>(r: &mut Reader<'a>) -> Option<Element<'a>> {
    let first = r.u8()?;
    let len = match r.u8()? {
        len @ 0..0x80 => usize::from(len),
        of => {
            let octets = usize::from(of & 0x7f);
            if octets > 4 {
                return None;
            }
            r.take(octets)?.iter().fold(0, |len, octet| len << 8 | usize::from(*octet))
        }
    };
    Some(Element { is_constructed: first & 0x20 != 0, is_application: first & 0xc0 == 0x40, number: first & 0x1f, body: r.take_up_to(len) })
}

impl<'a> Element<'a> {
    pub(super) const fn inside(self) -> Reader<'a> {
        Reader::new(self.body)
    }
}
