//! ASN.1 in its basic and distinguished encodings (X.690): what certificates, OCSP, LDAP, Kerberos and SNMP are
//! written in. Borrows; definite lengths alone (X.690 §8.1.3.3), as all of these prescribe or practise.

use crate::Reader;

/// Tag numbers of universal types (X.680 §8.6).
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const PRINTABLE_STRING: u8 = 0x13;
    pub(crate) const T61_STRING: u8 = 0x14;
    pub(crate) const IA5_STRING: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const VISIBLE_STRING: u8 = 0x1a;
    pub(crate) const UNIVERSAL_STRING: u8 = 0x1c;
    pub(crate) const BMP_STRING: u8 = 0x1e;
    pub(crate) const SEQUENCE: u8 = 0x30;
}

/// One element: identifier octet, contents, and the octets of both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    /// Identifier octet: class, constructed bit, number. Numbers above 30 do not occur in these protocols.
    pub(crate) tag: u8,
    /// Contents octets.
    pub(crate) body: &'a [u8],
    /// All octets.
    pub(crate) whole: &'a [u8],
}

/// Why an element could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The input ends inside it.
    Incomplete,
    /// It is not in an encoding that is read here.
    Malformed,
}

impl<'a> Element<'a> {
    /// Reads the element at the start of `bytes`.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        let (head, len) = Self::extent(&mut reader)?;
        let body = reader.take(len).ok_or(Unreadable::Incomplete)?;
        let whole = bytes.get(..reader.position()).ok_or(Unreadable::Incomplete)?;
        Ok(Self { tag: head, body, whole })
    }

    /// Identifier and length of contents of the element at the start of `bytes`, and how many octets these two take.
    pub(crate) fn head(bytes: &[u8]) -> Result<(u8, usize, usize), Unreadable> {
        let mut reader = Reader::new(bytes);
        let (tag, len) = Self::extent(&mut reader)?;
        Ok((tag, len, reader.position()))
    }

    fn extent(reader: &mut Reader<'_>) -> Result<(u8, usize), Unreadable> {
        let tag = reader.u8().ok_or(Unreadable::Incomplete)?;
        if tag & 0x1f == 0x1f {
            return Err(Unreadable::Malformed);
        }
        let first = reader.u8().ok_or(Unreadable::Incomplete)?;
        if first < 0x80 {
            return Ok((tag, usize::from(first)));
        }
        let octets = usize::from(first & 0x7f);
        // 0 would be the indefinite form; four octets say more than any message here may hold.
        if octets == 0 || octets > 4 {
            return Err(Unreadable::Malformed);
        }
        let octets = reader.take(octets).ok_or(Unreadable::Incomplete)?;
        let len = octets.iter().fold(0usize, |len, &o| len << 8 | usize::from(o));
        Ok((tag, len))
    }

    /// The elements inside.
    pub(crate) const fn inside(self) -> Elements<'a> {
        Elements { rest: self.body }
    }

    /// An integer that fits 64 bits.
    pub(crate) fn int(self) -> Option<i64> {
        let first = *self.body.first()?;
        if self.body.len() > 8 {
            return None;
        }
        let start = if first & 0x80 != 0 { -1i64 } else { 0 };
        Some(self.body.iter().fold(start, |value, &o| value << 8 | i64::from(o)))
    }

    /// A non-negative integer that fits 64 bits.
    pub(crate) fn uint(self) -> Option<u64> {
        self.int().and_then(|n| u64::try_from(n).ok())
    }

    /// The magnitude of an integer without leading zeros.
    pub(crate) fn magnitude(self) -> &'a [u8] {
        let zeros = self.body.iter().take_while(|&&o| o == 0).count();
        self.body.get(zeros..).unwrap_or_default()
    }

    /// The octets of a bit string whose bits fill them.
    pub(crate) fn bits(self) -> Option<&'a [u8]> {
        self.body.split_first().map(|(_, bits)| bits)
    }
}

/// Elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Over these octets.
    pub(crate) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// The next element if its identifier is `tag`.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.optional(tag)
    }

    /// The next element if its identifier is `tag`; stays before it otherwise.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Element<'a>> {
        let element = Element::read(self.rest).ok().filter(|e| e.tag == tag)?;
        self.next()?;
        Some(element)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let element = Element::read(self.rest).ok()?;
        self.rest = self.rest.get(element.whole.len()..)?;
        Some(element)
    }
}

/// An object identifier in dotted form.
pub(crate) fn dotted(oid: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut arc = 0u64;
    for &octet in oid {
        arc = arc << 7 | u64::from(octet & 0x7f);
        if octet & 0x80 != 0 {
            continue;
        }
        // X.690 §8.19.4: the first two arcs share an octet. A string never fails to take text.
        if text.is_empty() {
            let first = (arc / 40).min(2);
            let _ = write!(text, "{first}.{}", arc.saturating_sub(first.saturating_mul(40)));
        } else {
            let _ = write!(text, ".{arc}");
        }
        arc = 0;
    }
    text
}

/// Seconds since the epoch of a `UTCTime` or `GeneralizedTime` (X.680 §46, §47), fractions dropped.
pub(crate) fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let mut reader = Reader::new(text);
    let mut two = || -> Option<i64> {
        let [a, b] = reader.array::<2>()?;
        (a.is_ascii_digit() && b.is_ascii_digit()).then(|| i64::from(a - b'0') * 10 + i64::from(b - b'0'))
    };
    // RFC 5280 §4.1.2.5.1: two digits from 50 on are of the last century.
    let year = match (tag, two()?) {
        (tag::UTC_TIME, year) if year < 50 => 2000 + year,
        (tag::UTC_TIME, year) => 1900 + year,
        (_, century) => century * 100 + two()?,
    };
    let (month, day, hour, minute) = (two()?, two()?, two()?, two()?);
    let second = two().unwrap_or(0);
    let rest = reader.rest();
    let zone = rest.iter().position(|c| matches!(c, b'Z' | b'+' | b'-')).and_then(|at| rest.get(at..)).unwrap_or_default();
    let mut offset = 0;
    if let [sign @ (b'+' | b'-'), h1, h2, m1, m2, ..] = *zone {
        let digit = |c: u8| i64::from(c.wrapping_sub(b'0').min(9));
        offset = (digit(h1) * 10 + digit(h2)) * 3600 + (digit(m1) * 10 + digit(m2)) * 60;
        if sign == b'-' {
            offset = -offset;
        }
    }
    if !(1..=12).contains(&month) {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar. Years start in March here, so that the leap day is last.
pub(crate) const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_the_epoch() {
        assert_eq!(time(tag::UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(time(tag::UTC_TIME, b"120410235957Z"), Some(1_334_102_397));
        assert_eq!(time(0x18, b"20000229120000.5Z"), Some(951_825_600));
        assert_eq!(time(tag::UTC_TIME, b"700101010000+0100"), Some(0));
        assert_eq!(time(tag::UTC_TIME, b"7001"), None);
    }

    #[test]
    fn identifiers_are_dotted() {
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]), "1.2.840.113549.1.1.1");
        assert_eq!(dotted(&[0x55, 4, 3]), "2.5.4.3");
    }

    #[test]
    fn lengths_past_the_end_are_incomplete_and_indefinite_ones_malformed() {
        assert_eq!(Element::read(&[4, 2, 0]).err(), Some(Unreadable::Incomplete));
        assert_eq!(Element::read(&[0x30, 0x80, 0, 0]).err(), Some(Unreadable::Malformed));
        assert_eq!(Element::read(&[2, 1, 0xff]).unwrap().int(), Some(-1));
    }
}
