//! IKE, versions 1 (RFC 2408, RFC 2409) and 2 (RFC 7296): what is proposed, and certificates.

use super::{Parser, pieces};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;
use crate::protocols::x509::arkime as x509;

const SA: u8 = 1;
const SA_2: u8 = 33;
const CERTIFICATE: u8 = 6;
const CERTIFICATE_2: u8 = 37;
const VENDOR: u8 = 13;
const ENCRYPTED: u8 = 46;
const VENDOR_2: u8 = 43;
/// An X.509 certificate that signs (RFC 2408 §3.9, RFC 7296 §3.6).
const X509_SIGNATURE: u8 = 4;
/// RFC 2407 §6.1.
const IPSEC: u32 = 1;
/// Bytes of an unknown vendor's mark that are shown.
const VENDOR_BYTES: usize = 16;

/// Marks that vendors are known by, of eight bytes at least.
const VENDORS: [([u8; 8], &str); 17] = [
    ([0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45], "rfc3947-nat-t"),
    ([0x90, 0xcb, 0x80, 0x91, 0x3e, 0xbb, 0x69, 0x6e], "draft-ietf-nat-t-02"),
    ([0xcd, 0x60, 0x46, 0x43, 0x35, 0xdf, 0x21, 0xf8], "draft-ietf-nat-t-03"),
    ([0x7d, 0x94, 0x19, 0xa6, 0x53, 0x10, 0xca, 0x6f], "draft-ietf-nat-t-rfc"),
    ([0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9], "dpd"),
    ([0x12, 0xf5, 0xf2, 0x8c, 0x45, 0x71, 0x68, 0xa9], "cisco-unity"),
    ([0x09, 0x00, 0x26, 0x89, 0xdf, 0xd6, 0xb7, 0x12], "xauth"),
    ([0x1f, 0x07, 0xf7, 0x0e, 0xaa, 0x65, 0x14, 0xd3], "cisco-concentrator"),
    ([0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85], "ikev2"),
    (*b"MS-Mamie", "ms-ikev2"),
    ([0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d], "windows"),
    (*b"OE.HJRAN", "fortigate"),
    ([0x16, 0x6f, 0x93, 0x2d, 0x55, 0xeb, 0x64, 0xd8], "strongswan"),
    ([0x69, 0x93, 0x69, 0x22, 0x87, 0x41, 0xc6, 0xd4], "openswan"),
    (*b"OPENSwan", "openswan2"),
    ([0xfb, 0xf4, 0x76, 0x14, 0x98, 0x40, 0x31, 0xfa], "checkpoint"),
    ([0xf4, 0xed, 0x19, 0xe0, 0xc1, 0x14, 0xeb, 0x51], "checkpoint-ng"),
];

pub(in super::super) fn isakmp(beginning: &Beginning<'_>) -> Box<dyn Parser> {
    if beginning.has_port(4500) {
        // RFC 3948 §2.2: without four bytes of nothing it is ESP.
        return pieces(|_, data, fields| {
            let _ = data.strip_prefix(&[0; 4]).and_then(|data| message(data, fields));
            true
        });
    }
    pieces(|_, data, fields| {
        let _ = message(data, fields);
        true
    })
}

fn message(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    let (initiator, responder) = (r.take(8)?, r.take(8)?);
    let (mut next, version, exchange, flags) = (r.u8()?, r.u8()?, r.u8()?, r.u8()?);
    r.skip(8)?;
    fields.text("isakmp.initiatorSpi", hex::encode(initiator).as_bytes());
    if responder != [0; 8] {
        fields.text("isakmp.responderSpi", hex::encode(responder).as_bytes());
    }
    fields.text("isakmp.version", format!("{}.{}", version >> 4, version & 0xf).as_bytes());
    let is_2 = version >> 4 == 2;
    if let Some(exchange) = exchange_name(is_2, exchange) {
        fields.text("isakmp.exchangeType", exchange.as_bytes());
    }
    // Version 1 has a flag for what is encrypted, version 2 a payload around it.
    if !is_2 && flags & 0x01 != 0 {
        return None;
    }
    while !matches!(next, 0 | ENCRYPTED) {
        let kind = next;
        next = r.u8()?;
        r.skip(1)?;
        let len = usize::from(r.u16()?).checked_sub(4)?;
        let body = r.sub(len)?;
        let _ = match kind {
            SA if !is_2 => proposals(body, fields),
            SA_2 if is_2 => proposals_2(body, fields),
            VENDOR | VENDOR_2 => vendor(body.rest(), fields),
            CERTIFICATE | CERTIFICATE_2 => match body.rest() {
                [X509_SIGNATURE, octets @ ..] if !octets.is_empty() => {
                    x509::tell(octets, fields);
                    Some(())
                }
                _ => None,
            },
            _ => None,
        };
    }
    Some(())
}

fn vendor(mark: &[u8], fields: &mut Fields) -> Option<()> {
    let known = VENDORS.iter().find(|(start, _)| mark.starts_with(start));
    match known {
        Some((_, name)) => fields.text("isakmp.vendorId", name.as_bytes()),
        None if mark.is_empty() => {}
        None => fields.text("isakmp.vendorId", hex::encode(mark.get(..VENDOR_BYTES).unwrap_or(mark)).as_bytes()),
    }
    Some(())
}

/// RFC 2408 §3.4 to §3.6, RFC 2409 appendix A.
fn proposals(mut r: Reader<'_>, fields: &mut Fields) -> Option<()> {
    let domain = r.u32()?;
    r.skip(4)?;
    if domain != IPSEC {
        return None;
    }
    loop {
        let (is_last, mut proposal) = part(&mut r)?;
        proposal.skip(2)?;
        let (spi, transforms) = (proposal.u8()?, proposal.u8()?);
        proposal.skip(usize::from(spi))?;
        for _ in 0..transforms {
            let Some((_, mut transform)) = part(&mut proposal) else { break };
            let _ = attributes(&mut transform, fields);
        }
        if is_last {
            return Some(());
        }
    }
}

fn attributes(r: &mut Reader<'_>, fields: &mut Fields) -> Option<()> {
    r.skip(4)?;
    while r.remaining() >= 4 {
        let (kind, value) = (r.u16()?, r.u16()?);
        if kind & 0x8000 == 0 {
            r.skip(usize::from(value))?;
            continue;
        }
        let (path, name) = match kind & 0x7fff {
            1 => ("isakmp.encryption", encryption(value)),
            2 => ("isakmp.hash", hash(value)),
            3 => ("isakmp.authMethod", method(value)),
            4 => ("isakmp.dhGroup", group(value)),
            _ => continue,
        };
        if let Some(name) = name {
            fields.text(path, name.as_bytes());
        }
    }
    Some(())
}

/// RFC 7296 §3.3.
fn proposals_2(mut r: Reader<'_>, fields: &mut Fields) -> Option<()> {
    loop {
        let (is_last, mut proposal) = part(&mut r)?;
        proposal.skip(2)?;
        let (spi, transforms) = (proposal.u8()?, proposal.u8()?);
        proposal.skip(usize::from(spi))?;
        for _ in 0..transforms {
            let Some((_, mut transform)) = part(&mut proposal) else { break };
            let kind = transform.u8()?;
            transform.skip(1)?;
            let id = transform.u16()?;
            let (path, name) = match kind {
                1 => ("isakmp.encryption", encryption(id)),
                2 => ("isakmp.hash", pseudo_random(id)),
                4 => ("isakmp.dhGroup", group(id)),
                _ => continue,
            };
            if let Some(name) = name {
                fields.text(path, name.as_bytes());
            }
        }
        if is_last {
            return Some(());
        }
    }
}

/// One part of a list, and whether it is the last.
fn part<'a>(r: &mut Reader<'a>) -> Option<(bool, Reader<'a>)> {
    let next = r.u8()?;
    r.skip(1)?;
    let len = usize::from(r.u16()?).checked_sub(4)?;
    Some((next == 0, r.sub(len)?))
}

const fn exchange_name(is_2: bool, kind: u8) -> Option<&'static str> {
    Some(match (is_2, kind) {
        (false, 0) => "none",
        (false, 1) => "base",
        (false, 2) => "identity-protection",
        (false, 3) => "authentication-only",
        (false, 4) => "aggressive",
        (false, 5) | (true, 37) => "informational",
        (false, 32) => "quick-mode",
        (false, 33) => "new-group-mode",
        (true, 34) => "ike-sa-init",
        (true, 35) => "ike-auth",
        (true, 36) => "create-child-sa",
        _ => return None,
    })
}

const fn encryption(id: u16) -> Option<&'static str> {
    Some(match id {
        1 => "des-cbc",
        2 => "idea-cbc",
        3 => "blowfish-cbc",
        4 => "rc5-r16-b64-cbc",
        5 => "3des-cbc",
        6 => "cast-cbc",
        7 => "aes-cbc",
        8 => "camellia-cbc",
        12 => "aes-ctr",
        13 => "aes-ccm-8",
        14 => "aes-ccm-12",
        15 => "aes-ccm-16",
        18 => "aes-gcm-8",
        19 => "aes-gcm-12",
        20 => "aes-gcm-16",
        23 => "chacha20-poly1305",
        _ => return None,
    })
}

const fn hash(id: u16) -> Option<&'static str> {
    Some(match id {
        1 => "md5",
        2 => "sha1",
        3 => "tiger",
        4 => "sha2-256",
        5 => "sha2-384",
        6 => "sha2-512",
        _ => return None,
    })
}

const fn pseudo_random(id: u16) -> Option<&'static str> {
    Some(match id {
        1 => "prf-hmac-md5",
        2 => "prf-hmac-sha1",
        3 => "prf-hmac-tiger",
        4 => "prf-aes128-xcbc",
        5 => "prf-hmac-sha2-256",
        6 => "prf-hmac-sha2-384",
        7 => "prf-hmac-sha2-512",
        _ => return None,
    })
}

const fn method(id: u16) -> Option<&'static str> {
    Some(match id {
        1 => "psk",
        2 => "dss-sig",
        3 => "rsa-sig",
        4 | 5 => "rsa-enc",
        64_221 => "hybrid-rsa",
        65_001 => "xauth-psk",
        65_005 => "xauth-rsa",
        _ => return None,
    })
}

const fn group(id: u16) -> Option<&'static str> {
    Some(match id {
        1 => "modp768",
        2 => "modp1024",
        5 => "modp1536",
        14 => "modp2048",
        15 => "modp3072",
        16 => "modp4096",
        17 => "modp6144",
        18 => "modp8192",
        19 => "ecp256",
        20 => "ecp384",
        21 => "ecp521",
        22 => "modp1024s160",
        23 => "modp2048s224",
        24 => "modp2048s256",
        25 => "ecp192",
        26 => "ecp224",
        27 => "brainpoolp224",
        28 => "brainpoolp256",
        29 => "brainpoolp384",
        30 => "brainpoolp512",
        31 => "curve25519",
        32 => "curve448",
        _ => return None,
    })
}
