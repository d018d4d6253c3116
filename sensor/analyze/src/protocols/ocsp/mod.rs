//! OCSP responses (RFC 6960 §4.2): what servers say of certificates, in `ocsp.log`.
//!
//! They come as files over HTTP, and within TLS. Signatures are not checked.

mod record;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::protocols::der::{self, Element, Elements, tag};
use crate::protocols::x509;
use crate::{Output, Time, Uid};

pub use record::{LOG, Ocsp};

/// `id-pkix-ocsp-basic`.
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];

/// Certificates of one response.
const MAX_CERTIFICATES: usize = 1000;

/// Reasons of revocation (RFC 5280 §5.3.1).
const REASONS: [&str; 11] = [
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "certificateHold",
    "",
    "removeFromCRL",
    "privilegeWithdrawn",
    "aACompromise",
];

/// Writes a row for each certificate of a response.
pub(crate) fn log(at: Time, fuid: Uid, response: &[u8], out: &mut Output<'_>) {
    for single in responses(response).into_iter().flatten().take(MAX_CERTIFICATES) {
        if let Some(row) = row(at, fuid, single) {
            out.record(row);
        }
    }
}

/// The parts of a response that are about one certificate each.
fn responses(response: &[u8]) -> Option<Elements<'_>> {
    let mut outer = Elements::new(response).expect(tag::SEQUENCE)?.inside();
    // The status of the response.
    outer.next()?;
    let mut bytes = outer.expect(0xa0)?.inside().expect(tag::SEQUENCE)?.inside();
    if bytes.expect(tag::OID)?.body != BASIC {
        return None;
    }
    let mut basic = Elements::new(bytes.expect(tag::OCTET_STRING)?.body).expect(tag::SEQUENCE)?.inside();
    let mut data = basic.expect(tag::SEQUENCE)?.inside();
    data.optional(0xa0);
    // Who answers, and when.
    data.next()?;
    data.expect(tag::GENERALIZED_TIME)?;
    Some(data.expect(tag::SEQUENCE)?.inside())
}

fn row(at: Time, fuid: Uid, single: Element<'_>) -> Option<Ocsp> {
    let mut parts = single.inside();
    let mut id = parts.expect(tag::SEQUENCE)?.inside();
    let algorithm = id.expect(tag::SEQUENCE)?.inside().expect(tag::OID)?.body;
    let (name, key) = (id.expect(tag::OCTET_STRING)?.body, id.expect(tag::OCTET_STRING)?.body);
    let serial = id.expect(tag::INTEGER)?;
    let state = parts.next()?;
    let time = |element: Element<'_>| der::time(element.tag, element.body).map(Time::from_secs);
    let this_update = time(parts.expect(tag::GENERALIZED_TIME)?)?;
    let next_update = parts.optional(0xa0).and_then(|next| time(next.inside().next()?));
    let mut revocation = state.inside();
    let (status, revoked, reason) = match state.tag & 0x1f {
        0 => ("good", None, None),
        1 => {
            let when = revocation.next().and_then(time);
            let reason = revocation.next().and_then(|reason| reason.inside().next()?.uint());
            ("revoked", when, reason)
        }
        _ => ("unknown", None, None),
    };
    Some(Ocsp {
        at,
        fuid,
        algorithm: x509::algorithm(algorithm),
        name_hash: hex::encode_upper(name),
        key_hash: hex::encode_upper(key),
        serial: x509::serial(serial),
        status,
        revoked,
        reason: reason.map(|reason| {
            let known = usize::try_from(reason).ok().and_then(|at| REASONS.get(at)).filter(|name| !name.is_empty());
            known.map_or(Cow::Borrowed("(UNKNOWN)"), |name| Cow::Borrowed(*name))
        }),
        this_update,
        next_update,
    })
}
