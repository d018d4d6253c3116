//! Names of object identifiers as OpenSSL prints them, and distinguished names in the order of RFC 2253.

use std::borrow::Cow;

use crate::protocols::der::{self, Element, Elements, tag};

/// Long name of an algorithm, or its identifier in dotted form.
pub(crate) fn algorithm(oid: &[u8]) -> Cow<'static, str> {
    find(ALGORITHMS, oid).map_or_else(|| Cow::Owned(der::dotted(oid)), |&name| Cow::Borrowed(name))
}

/// Short name of an elliptic curve and the bits of its order.
pub(super) fn curve(oid: &[u8]) -> Option<(&'static str, u64)> {
    find(CURVES, oid).copied()
}

fn find<T>(table: &'static [(&'static [u8], T)], oid: &[u8]) -> Option<&'static T> {
    table.iter().find(|(known, _)| *known == oid).map(|(_, value)| value)
}

/// A `Name` (RFC 5280 §4.1.2.4) as RFC 2253 writes it: the last attribute first.
pub(super) fn distinguished(name: Element<'_>) -> Vec<u8> {
    let mut entries: Vec<(usize, Element<'_>, Element<'_>)> = Vec::new();
    for (rdn, set) in name.inside().enumerate() {
        for attribute in set.inside() {
            let mut parts = attribute.inside();
            if let (Some(kind), Some(value)) = (parts.next(), parts.next()) {
                entries.push((rdn, kind, value));
            }
        }
    }
    let mut text = Vec::new();
    let mut last = None;
    for (rdn, kind, value) in entries.into_iter().rev() {
        match last {
            None => {}
            // RFC 2253 §2.2: attributes of one relative name are joined by a plus.
            Some(before) if before == rdn => text.push(b'+'),
            Some(_) => text.push(b','),
        }
        last = Some(rdn);
        match find(ATTRIBUTES, kind.body) {
            Some(name) => {
                text.extend_from_slice(name.as_bytes());
                text.push(b'=');
                match characters(value) {
                    Some(value) => escape(&mut text, &value),
                    None => dump(&mut text, value),
                }
            }
            None => {
                text.extend_from_slice(der::dotted(kind.body).as_bytes());
                text.push(b'=');
                dump(&mut text, value);
            }
        }
    }
    text
}

/// The common names of a name, the last one last.
pub(super) fn common_names<'a>(name: Element<'a>) -> impl Iterator<Item = &'a [u8]> {
    name.inside().flat_map(Element::inside).filter_map(|attribute| {
        let mut parts: Elements<'a> = attribute.inside();
        let (kind, value) = (parts.next()?, parts.next()?);
        (kind.body == COMMON_NAME).then_some(value.body)
    })
}

/// A string type as UTF-8; `None` if it is not a string.
fn characters(value: Element<'_>) -> Option<Cow<'_, [u8]>> {
    let chars = |units: &mut dyn Iterator<Item = u32>| -> Cow<'static, [u8]> {
        let text: String = units.map(|u| char::from_u32(u).unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Cow::Owned(text.into_bytes())
    };
    match value.tag {
        tag::UTF8_STRING => Some(Cow::Borrowed(value.body)),
        tag::BMP_STRING => Some(chars(&mut value.body.chunks_exact(2).map(|c| c.iter().fold(0, |u, &o| u << 8 | u32::from(o))))),
        tag::UNIVERSAL_STRING => Some(chars(&mut value.body.chunks_exact(4).map(|c| c.iter().fold(0, |u, &o| u << 8 | u32::from(o))))),
        // NumericString to VisibleString: one octet a character, taken as Latin-1.
        0x12 | tag::PRINTABLE_STRING | tag::T61_STRING | tag::IA5_STRING | tag::VISIBLE_STRING if value.body.is_ascii() => {
            Some(Cow::Borrowed(value.body))
        }
        0x12 | tag::PRINTABLE_STRING | tag::T61_STRING | tag::IA5_STRING | tag::VISIBLE_STRING => {
            Some(chars(&mut value.body.iter().map(|&o| u32::from(o))))
        }
        _ => None,
    }
}

/// RFC 2253 §2.4, with control characters and all octets above 127 as `\XX`.
fn escape(text: &mut Vec<u8>, value: &[u8]) {
    let last = value.len().saturating_sub(1);
    for (i, &octet) in value.iter().enumerate() {
        match octet {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => text.extend_from_slice(&[b'\\', octet]),
            b' ' if i == 0 || i == last => text.extend_from_slice(b"\\ "),
            b'#' if i == 0 => text.extend_from_slice(b"\\#"),
            0..32 | 127.. => {
                text.push(b'\\');
                text.extend_from_slice(hex::encode_upper([octet]).as_bytes());
            }
            _ => text.push(octet),
        }
    }
}

fn dump(text: &mut Vec<u8>, value: Element<'_>) {
    text.push(b'#');
    text.extend_from_slice(hex::encode_upper(value.whole).as_bytes());
}

const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// Short names of attributes (OpenSSL's `SN`).
const ATTRIBUTES: &[(&[u8], &str)] = &[
    (COMMON_NAME, "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 13], "description"),
    (&[0x55, 4, 15], "businessCategory"),
    (&[0x55, 4, 16], "postalAddress"),
    (&[0x55, 4, 17], "postalCode"),
    (&[0x55, 4, 18], "postOfficeBox"),
    (&[0x55, 4, 19], "physicalDeliveryOfficeName"),
    (&[0x55, 4, 20], "telephoneNumber"),
    (&[0x55, 4, 41], "name"),
    (&[0x55, 4, 42], "GN"),
    (&[0x55, 4, 43], "initials"),
    (&[0x55, 4, 44], "generationQualifier"),
    (&[0x55, 4, 45], "x500UniqueIdentifier"),
    (&[0x55, 4, 46], "dnQualifier"),
    (&[0x55, 4, 65], "pseudonym"),
    (&[0x55, 4, 72], "role"),
    (&[0x55, 4, 97], "organizationIdentifier"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 2], "unstructuredName"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 8], "unstructuredAddress"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 1], "jurisdictionL"),
    (&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 2], "jurisdictionST"),
    (&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 3], "jurisdictionC"),
];

/// Long names of algorithms (OpenSSL's `LN`).
const ALGORITHMS: &[(&[u8], &str)] = &[
    (super::RSA, "rsaEncryption"),
    (super::EC, "id-ecPublicKey"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], "sha256WithRSAEncryption"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], "ecdsa-with-SHA256"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], "ecdsa-with-SHA384"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], "sha1WithRSAEncryption"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12], "sha384WithRSAEncryption"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13], "sha512WithRSAEncryption"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 14], "sha224WithRSAEncryption"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 2], "md2WithRSAEncryption"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 3], "md4WithRSAEncryption"),
    (super::MD5_RSA, "md5WithRSAEncryption"),
    (super::RSA_PSS, "rsassaPss"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 3, 1], "dhKeyAgreement"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ecdsa-with-SHA1"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 1], "ecdsa-with-SHA224"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4], "ecdsa-with-SHA512"),
    (super::DSA, "dsaEncryption"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3], "dsaWithSHA1"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 1], "dsa_with_SHA224"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 2], "dsa_with_SHA256"),
    (super::ML_DSA_44, "ML-DSA-44"),
    (super::ML_DSA_65, "ML-DSA-65"),
    (super::ML_DSA_87, "ML-DSA-87"),
    (super::ED25519, "ED25519"),
    (super::ED448, "ED448"),
    (&[0x2b, 14, 3, 2, 3], "md5WithRSA"),
    (&[0x2b, 14, 3, 2, 15], "shaWithRSAEncryption"),
    (&[0x2b, 14, 3, 2, 26], "sha1"),
    (&[0x2b, 14, 3, 2, 27], "dsaWithSHA1-old"),
    (&[0x2b, 14, 3, 2, 29], "sha1WithRSA"),
    (&[0x2b, 0x24, 3, 3, 1, 2], "ripemd160WithRSA"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1], "sha256"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2], "sha384"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3], "sha512"),
    (&[0x2a, 0x85, 0x03, 2, 2, 19], "GOST R 34.10-2001"),
    (&[0x2a, 0x85, 0x03, 2, 2, 3], "GOST R 34.11-94 with GOST R 34.10-2001"),
    (&[0x2a, 0x85, 0x03, 7, 1, 1, 1, 1], "GOST R 34.10-2012 with 256 bit modulus"),
    (&[0x2a, 0x85, 0x03, 7, 1, 1, 3, 2], "GOST R 34.10-2012 with GOST R 34.11-2012 (256 bit)"),
    (&[0x2a, 0x81, 0x1c, 0xcf, 0x55, 1, 0x83, 0x75], "SM2-with-SM3"),
];

/// Curves: short name, bits of the order.
const CURVES: &[(&[u8], (&str, u64))] = &[
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], ("prime256v1", 256)),
    (&[0x2b, 0x81, 4, 0, 34], ("secp384r1", 384)),
    (&[0x2b, 0x81, 4, 0, 35], ("secp521r1", 521)),
    (&[0x2b, 0x81, 4, 0, 10], ("secp256k1", 256)),
    (&[0x2b, 0x81, 4, 0, 33], ("secp224r1", 224)),
    (&[0x2b, 0x81, 4, 0, 32], ("secp224k1", 225)),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1], ("prime192v1", 192)),
    (&[0x2b, 0x81, 4, 0, 31], ("secp192k1", 192)),
    (&[0x2b, 0x81, 4, 0, 8], ("secp160r1", 161)),
    (&[0x2b, 0x81, 4, 0, 26], ("sect233k1", 232)),
    (&[0x2b, 0x81, 4, 0, 27], ("sect233r1", 233)),
    (&[0x2b, 0x81, 4, 0, 16], ("sect283k1", 281)),
    (&[0x2b, 0x81, 4, 0, 17], ("sect283r1", 282)),
    (&[0x2b, 0x81, 4, 0, 36], ("sect409k1", 407)),
    (&[0x2b, 0x81, 4, 0, 37], ("sect409r1", 409)),
    (&[0x2b, 0x81, 4, 0, 38], ("sect571k1", 570)),
    (&[0x2b, 0x81, 4, 0, 39], ("sect571r1", 570)),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7], ("brainpoolP256r1", 256)),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 11], ("brainpoolP384r1", 384)),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 13], ("brainpoolP512r1", 512)),
];
