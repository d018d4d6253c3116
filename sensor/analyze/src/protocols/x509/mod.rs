//! Certificates (RFC 5280) seen on the wire: `x509.log`, with the names and spellings of OpenSSL, which Zeek uses.
//!
//! Reads what the log and the host name check need, and nothing is verified. A certificate that was logged is not
//! logged again for a day.

pub(crate) mod arkime;
mod names;
mod record;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::IpAddr;

use ahash::AHashMap;
use sha2::{Digest, Sha256};

use crate::protocols::der::{self, Element, Elements, tag};
use crate::{Output, Time};

pub(crate) use names::algorithm;
pub use record::{LOG, X509};

/// SHA-256 of a certificate's octets.
pub type Fingerprint = [u8; 32];

/// After this time a certificate is logged again (Zeek's `relog_known_certificates_after`).
const RELOG_AFTER: i64 = 24 * 3600;

/// Logged certificates that are remembered; the table starts anew when it is full. Zeek remembers a million of a
/// whole cluster, this is one worker.
const MAX_KNOWN: usize = 100_000;

/// Alternative names of one kind that are kept of a certificate. Large content networks have some hundred.
const MAX_ALTERNATIVES: usize = 10_000;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const MD5_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const ED448: &[u8] = &[0x2b, 0x65, 0x71];
const ML_DSA_44: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17];
const ML_DSA_65: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18];
const ML_DSA_87: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 19];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];

/// What is read of a certificate; borrows its octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Certificate<'a> {
    version: u64,
    serial: Element<'a>,
    issuer: Element<'a>,
    subject: Element<'a>,
    not_before: Option<i64>,
    not_after: Option<i64>,
    key_algorithm: &'a [u8],
    key_parameters: Option<Element<'a>>,
    key: &'a [u8],
    signature_algorithm: &'a [u8],
    extensions: Elements<'a>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; `None` if it is none.
    pub(crate) fn read(octets: &'a [u8]) -> Option<Self> {
        let mut outer = Elements::new(octets).expect(tag::SEQUENCE)?.inside();
        let mut tbs = outer.expect(tag::SEQUENCE)?.inside();
        let signature_algorithm = outer.expect(tag::SEQUENCE)?.inside().expect(tag::OID)?.body;
        let version = tbs.optional(0xa0).and_then(|v| v.inside().expect(tag::INTEGER)?.uint()).unwrap_or(0);
        let serial = tbs.expect(tag::INTEGER)?;
        tbs.expect(tag::SEQUENCE)?;
        let issuer = tbs.expect(tag::SEQUENCE)?;
        let mut validity = tbs.expect(tag::SEQUENCE)?.inside();
        let mut time = || validity.next().and_then(|t| der::time(t.tag, t.body));
        let (not_before, not_after) = (time(), time());
        let subject = tbs.expect(tag::SEQUENCE)?;
        let mut info = tbs.expect(tag::SEQUENCE)?.inside();
        let mut algorithm = info.expect(tag::SEQUENCE)?.inside();
        let key_algorithm = algorithm.expect(tag::OID)?.body;
        let key_parameters = algorithm.next();
        let key = info.expect(tag::BIT_STRING)?.bits()?;
        // Unique identifiers may stand before the extensions.
        let extensions = tbs.find(|e| e.tag == 0xa3).and_then(|e| e.inside().expect(tag::SEQUENCE));
        Some(Self {
            version: version.saturating_add(1),
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            key_algorithm,
            key_parameters,
            key,
            signature_algorithm,
            extensions: extensions.map_or(Elements::new(&[]), Element::inside),
        })
    }

    fn extension(&self, oid: &[u8]) -> Option<&'a [u8]> {
        self.extensions.into_iter().find_map(|extension| {
            let mut parts = extension.inside();
            let found = parts.expect(tag::OID).is_some_and(|known| known.body == oid);
            found.then(|| parts.find(|part| part.tag == tag::OCTET_STRING)).flatten().map(|value| value.body)
        })
    }

    fn alternatives(&self) -> Option<impl Iterator<Item = Element<'a>> + use<'a>> {
        let names = Elements::new(self.extension(SUBJECT_ALT_NAME)?).expect(tag::SEQUENCE)?;
        Some(names.inside().take(MAX_ALTERNATIVES))
    }

    /// Whether the certificate is for `host`: its alternative names decide if there are any, its common name
    /// otherwise (RFC 6125 §6.4.4).
    pub(crate) fn is_for(&self, host: &[u8]) -> bool {
        const DNS_NAME: u8 = 0x82;
        let mut any = false;
        for name in self.alternatives().into_iter().flatten().filter(|name| name.tag == DNS_NAME) {
            any = true;
            if matches(name.body, host) {
                return true;
            }
        }
        !any && names::common_names(self.subject).any(|name| matches(name, host))
    }

    /// Who it is for, as `x509.log` says it.
    pub(crate) fn subject(&self) -> Vec<u8> {
        names::distinguished(self.subject)
    }

    /// What `x509.log` says of it.
    fn record(&self, at: Time, fingerprint: Fingerprint, host: bool, client: bool) -> X509 {
        let mut record = X509 {
            at,
            fingerprint,
            version: self.version,
            serial: serial(self.serial),
            subject: names::distinguished(self.subject),
            issuer: names::distinguished(self.issuer),
            not_valid_before: Time::from_secs(self.not_before.unwrap_or(0)),
            not_valid_after: Time::from_secs(self.not_after.unwrap_or(0)),
            key_alg: algorithm(self.key_algorithm),
            sig_alg: algorithm(self.signature_algorithm),
            key: Key::default(),
            dns: Vec::new(),
            uri: Vec::new(),
            email: Vec::new(),
            ip: Vec::new(),
            authority: None,
            path_len: None,
            host_cert: host,
            client_cert: client,
        };
        record.key = self.key();
        for name in self.alternatives().into_iter().flatten() {
            // RFC 5280 §4.2.1.6.
            match (name.tag, name.body) {
                (0x81, text) => record.email.push(text.to_vec()),
                (0x82, text) => record.dns.push(text.to_vec()),
                (0x86, text) => record.uri.push(text.to_vec()),
                (0x87, octets) => {
                    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
                    let v6 = <[u8; 16]>::try_from(octets).map(IpAddr::from);
                    record.ip.extend(v4.or(v6).ok());
                }
                _ => {}
            }
        }
        if let Some(constraints) = self.extension(BASIC_CONSTRAINTS).and_then(|v| Elements::new(v).expect(tag::SEQUENCE)) {
            let mut parts = constraints.inside();
            record.authority = Some(parts.optional(tag::BOOLEAN).is_some_and(|ca| ca.body.iter().any(|&o| o != 0)));
            record.path_len = parts.optional(tag::INTEGER).and_then(Element::uint);
        }
        record
    }

    fn key(&self) -> Key {
        match self.key_algorithm {
            // Terminal servers name the signature algorithm as that of their key.
            RSA | MD5_RSA | RSA_PSS => {
                let mut numbers = Elements::new(self.key).expect(tag::SEQUENCE).map_or(Elements::new(&[]), Element::inside);
                let (Some(modulus), Some(exponent)) = (numbers.next(), numbers.next()) else { return Key::default() };
                Key { kind: Some("rsa"), length: bits(modulus), exponent: Some(decimal(exponent.magnitude())), curve: None }
            }
            DSA => {
                let prime = self.key_parameters.and_then(|p| p.inside().next());
                Key { kind: Some("dsa"), length: prime.and_then(bits), exponent: None, curve: None }
            }
            EC => {
                let curve = self.key_parameters.filter(|p| p.tag == tag::OID).and_then(|p| names::curve(p.body));
                let Some((curve, length)) = curve else { return Key::default() };
                Key { kind: Some("ecdsa"), length: Some(length), exponent: None, curve: Some(curve) }
            }
            ED25519 => Key { kind: Some("ED25519"), length: Some(256), exponent: None, curve: None },
            ED448 => Key { kind: Some("ED448"), length: Some(456), exponent: None, curve: None },
            ML_DSA_44 | ML_DSA_65 | ML_DSA_87 => {
                let Cow::Borrowed(kind) = algorithm(self.key_algorithm) else { return Key::default() };
                Key { kind: Some(kind), length: Some((self.key.len() as u64).saturating_mul(8)), exponent: None, curve: None }
            }
            _ => Key::default(),
        }
    }
}

/// The public key, as far as the log shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Key {
    kind: Option<&'static str>,
    length: Option<u64>,
    exponent: Option<String>,
    curve: Option<&'static str>,
}

/// Certificates that were logged, and when.
#[derive(Default)]
struct Known(AHashMap<(Fingerprint, bool, bool), Time>);

/// A certificate was seen: logs it unless it was logged within a day, and returns its fingerprint if it is one.
/// `host` is the first of a chain.
pub(crate) fn seen(octets: &[u8], host: bool, client: bool, out: &mut Output<'_>) -> Option<Fingerprint> {
    let certificate = Certificate::read(octets)?;
    let fingerprint: Fingerprint = Sha256::digest(octets).into();
    let at = out.at;
    let known = &mut out.state::<Known>().0;
    if known.len() >= MAX_KNOWN {
        known.clear();
    }
    let is_new = match known.entry((fingerprint, host, client)) {
        std::collections::hash_map::Entry::Vacant(slot) => {
            slot.insert(at);
            true
        }
        std::collections::hash_map::Entry::Occupied(mut slot) => {
            let expired = at.secs().saturating_sub(slot.get().secs()) >= RELOG_AFTER;
            if expired {
                slot.insert(at);
            }
            expired
        }
    };
    if is_new {
        out.record(certificate.record(at, fingerprint, host, client));
    }
    Some(fingerprint)
}

/// A serial number as OpenSSL prints it: hexadecimal, whole octets, negative ones with a sign.
pub(crate) fn serial(serial: Element<'_>) -> String {
    let negative = serial.body.first().is_some_and(|o| o & 0x80 != 0);
    if negative {
        // Two's complement to magnitude.
        let mut magnitude: Vec<u8> = serial.body.iter().map(|o| !o).collect();
        for octet in magnitude.iter_mut().rev() {
            let (sum, carry) = octet.overflowing_add(1);
            *octet = sum;
            if !carry {
                break;
            }
        }
        let zeros = magnitude.iter().take_while(|&&o| o == 0).count();
        return format!("-{}", hex::encode_upper(magnitude.get(zeros..).unwrap_or_default()));
    }
    match serial.magnitude() {
        [] => "00".to_owned(),
        magnitude => hex::encode_upper(magnitude),
    }
}

/// Bits of a number.
fn bits(number: Element<'_>) -> Option<u64> {
    let magnitude = number.magnitude();
    let first = magnitude.first()?;
    Some((magnitude.len() as u64).saturating_mul(8).saturating_sub(u64::from(first.leading_zeros())))
}

/// A number of any size in decimal. Exponents are short; long ones are cut off where they stop being of use.
fn decimal(magnitude: &[u8]) -> String {
    const MAX: usize = 512;
    let mut digits = vec![0u8];
    for &octet in magnitude.iter().take(MAX) {
        let mut carry = u32::from(octet);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    digits.iter().rev().map(|d| char::from(b'0' + d)).collect()
}

/// Whether a name in a certificate stands for `host`. A star stands for part of the first label, and at least two
/// labels follow it (OpenSSL's `X509_check_host`).
fn matches(pattern: &[u8], host: &[u8]) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return !host.is_empty();
    }
    let Some(star) = pattern.iter().position(|&c| c == b'*') else { return false };
    let (before, after) = (pattern.get(..star).unwrap_or_default(), pattern.get(star.saturating_add(1)..).unwrap_or_default());
    let dots = after.iter().filter(|&&c| c == b'.').count();
    if before.contains(&b'.') || after.contains(&b'*') || dots < 2 || after.ends_with(b".") {
        return false;
    }
    let Some(len) = host.len().checked_sub(before.len() + after.len()) else { return false };
    let (head, rest) = host.split_at_checked(before.len()).unwrap_or_default();
    let (label, tail) = rest.split_at_checked(len).unwrap_or_default();
    // An internationalised label is not for partial stars.
    let partial = !before.is_empty() || !after.starts_with(b".");
    len > 0
        && !label.contains(&b'.')
        && head.eq_ignore_ascii_case(before)
        && tail.eq_ignore_ascii_case(after)
        && !(partial && host.get(..4).is_some_and(|p| p.eq_ignore_ascii_case(b"xn--")))
}
