//! SNMP messages (RFC 1157, RFC 3416, RFC 3412).

use crate::protocols::der::{Element, Elements, dotted, tag};

/// Bytes of a part of an object identifier that fit 64 bits.
const MAX_SUBIDENTIFIER: usize = 10;

/// Tags of values that are not signed (RFC 2578 §7.1): counters, gauges and ticks.
const UNSIGNED: [u8; 4] = [0x41, 0x42, 0x43, 0x46];

/// What a message asks or says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Get,
    GetBulk,
    Response,
    Set,
    /// Traps, reports, and what cannot be read.
    Other,
}

/// A message.
pub(super) struct Message<'a> {
    pub(super) version: u64,
    pub(super) community: Option<&'a [u8]>,
    pub(super) kind: Kind,
    bindings: Option<Elements<'a>>,
}

/// What the bindings of a message hold.
#[derive(Default)]
pub(super) struct Bindings {
    pub(super) count: u64,
    pub(super) description: Option<Vec<u8>>,
    /// Hundredths of seconds that the system is up.
    pub(super) up: Option<u64>,
    /// Bytes of overlong parts of object identifiers.
    pub(super) too_long: Vec<usize>,
}

impl<'a> Message<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut parts = Elements::new(bytes).expect(tag::SEQUENCE)?.inside();
        let version = parts.expect(tag::INTEGER)?.uint()?;
        let (community, data) = match version {
            0 | 1 => (Some(parts.expect(tag::OCTET_STRING)?.body), parts.next()?),
            3 => {
                parts.expect(tag::SEQUENCE)?;
                parts.expect(tag::OCTET_STRING)?;
                let scoped = parts.next()?;
                if scoped.tag != tag::SEQUENCE {
                    // It is encrypted.
                    return Some(Self { version, community: None, kind: Kind::Other, bindings: None });
                }
                let mut inner = scoped.inside();
                inner.expect(tag::OCTET_STRING)?;
                inner.expect(tag::OCTET_STRING)?;
                (None, inner.next()?)
            }
            _ => return Some(Self { version, community: None, kind: Kind::Other, bindings: None }),
        };
        let kind = match data.tag {
            0xa0 | 0xa1 => Kind::Get,
            0xa2 => Kind::Response,
            0xa3 => Kind::Set,
            0xa5 => Kind::GetBulk,
            _ => Kind::Other,
        };
        let mut inner = data.inside();
        let bindings = if (0xa0..=0xa8).contains(&data.tag) && data.tag != 0xa4 {
            for _ in ["request", "error or non-repeaters", "index or repetitions"] {
                inner.expect(tag::INTEGER)?;
            }
            Some(inner.expect(tag::SEQUENCE)?.inside())
        } else {
            None
        };
        Some(Self { version, community, kind, bindings })
    }

    pub(super) fn bindings(&self) -> Bindings {
        let mut all = Bindings::default();
        for binding in self.bindings.into_iter().flatten() {
            let mut parts = binding.inside();
            let Some(name) = parts.expect(tag::OID) else { continue };
            all.count = all.count.saturating_add(1);
            if let Some(len) = too_long(name.body) {
                all.too_long.push(len);
                continue;
            }
            let Some(value) = parts.next() else { continue };
            if self.kind != Kind::Response {
                continue;
            }
            match &dotted(name.body)[..] {
                "1.3.6.1.2.1.1.1.0" if value.tag == tag::OCTET_STRING => all.description = Some(value.body.to_vec()),
                "1.3.6.1.2.1.1.3.0" if UNSIGNED.contains(&value.tag) => all.up = Element::uint(value),
                _ => {}
            }
        }
        all
    }
}

/// Bytes of the first part that is too long.
fn too_long(oid: &[u8]) -> Option<usize> {
    oid.split_inclusive(|byte| byte & 0x80 == 0).map(<[u8]>::len).find(|&len| len > MAX_SUBIDENTIFIER)
}

/// Name of a version.
pub(super) const fn version(number: u64) -> &'static str {
    match number {
        0 => "1",
        1 => "2c",
        3 => "3",
        _ => "unknown",
    }
}
