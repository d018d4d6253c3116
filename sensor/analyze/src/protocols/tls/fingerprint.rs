//! Fingerprints of a ClientHello: JA3 (Salesforce, BSD) and JA4 (FoxIO, BSD; the other fingerprints of that family are
//! under a licence that forbids selling them, and are not here).

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::names::{is_grease, version};
use super::wire::{ClientHello, extension, numbers16, pairs, protocols};

/// What carries the handshake, as JA4 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// TLS over TCP.
    Tcp,
    /// DTLS.
    Datagrams,
    /// QUIC.
    Quic,
}

/// JA3's text: version, ciphers, extensions, groups and point formats in decimal; and its MD5 in hexadecimal.
pub(crate) fn ja3(hello: &ClientHello<'_>) -> (String, String) {
    let mut text = hello.version.to_string();
    let mut list = |numbers: &mut dyn Iterator<Item = u16>| {
        text.push(',');
        for (i, n) in numbers.filter(|&n| !is_grease(n)).enumerate() {
            let dash = if i == 0 { "" } else { "-" };
            // A string never fails to take text.
            let _ = write!(text, "{dash}{n}");
        }
    };
    list(&mut hello.ciphers());
    list(&mut hello.extensions.iter().map(|(kind, _)| kind));
    list(&mut numbers16(hello.extensions.get(extension::SUPPORTED_GROUPS).unwrap_or_default()));
    let formats = hello.extensions.get(extension::POINT_FORMATS).and_then(|data| data.get(1..)).unwrap_or_default();
    list(&mut formats.iter().map(|&n| u16::from(n)));
    let hash = hex::encode(Md5::digest(text.as_bytes()));
    (text, hash)
}

/// JA4, `t13d1516h2_8daaf6152771_b186095e22b6`, and its raw form, in which the hashed lists are shown.
pub(crate) fn ja4(hello: &ClientHello<'_>, carrier: Carrier) -> (String, String) {
    let mut ciphers: Vec<u16> = hello.ciphers().filter(|&n| !is_grease(n)).collect();
    let mut extensions: Vec<u16> = hello.extensions.iter().map(|(kind, _)| kind).filter(|&n| !is_grease(n)).collect();
    let has_name = extensions.contains(&extension::SERVER_NAME);
    let highest = hello
        .extensions
        .get(extension::SUPPORTED_VERSIONS)
        .and_then(|data| pairs(data.get(1..)?).filter(|&v| !is_grease(v)).max())
        .unwrap_or(hello.version);
    let alpn = hello.extensions.get(extension::ALPN).and_then(|data| protocols(data).next());
    let mut text = String::with_capacity(36);
    text.push(match carrier {
        Carrier::Tcp => 't',
        Carrier::Datagrams => 'd',
        Carrier::Quic => 'q',
    });
    text.push_str(match highest {
        version::TLS13 => "13",
        version::TLS12 => "12",
        version::TLS11 => "11",
        version::TLS10 => "10",
        version::SSL3 => "s3",
        version::SSL2 => "s2",
        version::DTLS10 => "d1",
        version::DTLS12 => "d2",
        version::DTLS13 => "d3",
        _ => "00",
    });
    text.push(if has_name { 'd' } else { 'i' });
    let _ = write!(text, "{:02}{:02}", ciphers.len().min(99), extensions.len().min(99));
    text.push_str(&ends(alpn.unwrap_or_default()));
    ciphers.sort_unstable();
    let offered = hexadecimal(&ciphers);
    extensions.retain(|kind| !matches!(*kind, extension::SERVER_NAME | extension::ALPN));
    extensions.sort_unstable();
    let mut listed = hexadecimal(&extensions);
    let algorithms: Vec<u16> =
        numbers16(hello.extensions.get(extension::SIGNATURE_ALGORITHMS).unwrap_or_default()).filter(|&n| !is_grease(n)).collect();
    if !algorithms.is_empty() {
        listed.push('_');
        listed.push_str(&hexadecimal(&algorithms));
    }
    let raw = format!("{text}_{offered}_{listed}");
    (format!("{text}_{}_{}", short_hash(&offered), short_hash(&listed)), raw)
}

/// First and last character of the first application protocol; of its hexadecimal form if one is not alphanumeric.
fn ends(alpn: &[u8]) -> String {
    let (Some(&first), Some(&last)) = (alpn.first(), alpn.last()) else { return "00".to_owned() };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [first, last].iter().map(|&c| char::from(c)).collect();
    }
    let hex = hex::encode(alpn);
    hex.chars().take(1).chain(hex.chars().last()).collect()
}

fn hexadecimal(numbers: &[u16]) -> String {
    let all: Vec<String> = numbers.iter().map(|n| format!("{n:04x}")).collect();
    all.join(",")
}

fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let mut hash = hex::encode(Sha256::digest(text.as_bytes()));
    hash.truncate(12);
    hash
}
