//! The data of resource records, as `dns.log` prints it.

use std::io::Write as _;
use std::net::IpAddr;

use super::consts::kind;
use super::wire::{Head, Sections};

/// What came of a record's data.
pub(super) enum Data {
    /// Text for the log; may be empty, and then is not logged but counts as an answer.
    Text(Vec<u8>),
    /// Nothing that is logged.
    Silent,
    /// The rest of the message cannot be read.
    Broken,
}

/// Reads the data of a record. `owner` is the record's name; `wanted` is whether its text is of use.
pub(super) fn read(sections: &mut Sections<'_>, head: Head, owner: &[u8], wanted: bool) -> Data {
    let start = sections.position();
    let end = start.saturating_add(head.len);
    let unread = |sections: &mut Sections<'_>| {
        sections.seek(end);
        Data::Silent
    };
    match head.kind {
        kind::A if head.len != 4 => {
            sections.odd("DNS_RR_bad_length", None);
            Data::Broken
        }
        kind::A => Data::Text(IpAddr::from(sections.u32().to_be_bytes()).to_string().into_bytes()),
        kind::AAAA | kind::A6 => {
            let words = [sections.u32(), sections.u32(), sections.u32(), sections.u32()];
            let value = words.iter().fold(0u128, |all, &word| all << 32 | u128::from(word));
            Data::Text(IpAddr::from(value.to_be_bytes()).to_string().into_bytes())
        }
        kind::NS | kind::CNAME | kind::PTR => name(sections, end),
        kind::MX => {
            sections.u16();
            name(sections, end)
        }
        kind::SRV if sections.is_netbios() => Data::Silent,
        kind::SRV => {
            sections.bytes(6);
            name(sections, end)
        }
        kind::SOA => {
            let mut primary = Vec::new();
            sections.name(&mut primary);
            primary.make_ascii_lowercase();
            sections.name(&mut Vec::new());
            if sections.remaining() < 20 {
                return Data::Broken;
            }
            sections.bytes(20);
            mismatch(sections, end);
            Data::Text(primary)
        }
        kind::NAPTR => naptr(sections, end),
        kind::WKS => {
            sections.seek(end);
            Data::Text(Vec::new())
        }
        kind::HINFO | kind::NB | kind::CAA | kind::OPT | kind::TKEY | kind::TSIG => unread(sections),
        kind::TXT if wanted => strings(sections, end, "TXT"),
        kind::SPF if wanted => strings(sections, end, "SPF"),
        kind::SVCB | kind::HTTPS => service(sections, start, end),
        kind::TXT
        | kind::SPF
        | kind::RRSIG
        | kind::DNSKEY
        | kind::NSEC
        | kind::NSEC3
        | kind::NSEC3PARAM
        | kind::DS
        | kind::BINDS
        | kind::SSHFP
        | kind::LOC
            if !wanted =>
        {
            unread(sections)
        }
        kind::RRSIG => signature(sections, end),
        kind::DNSKEY => key(sections, end),
        kind::NSEC => next_secure(sections, end, owner),
        kind::NSEC3 => next_secure_hashed(sections, end),
        kind::NSEC3PARAM if sections.remaining() < 5 => Data::Broken,
        kind::NSEC3PARAM => fixed(sections, end, "NSEC3PARAM"),
        kind::DS => delegation(sections, end),
        kind::BINDS if sections.remaining() < 5 => Data::Broken,
        kind::BINDS => fixed(sections, end, "BIND9 signing signal"),
        kind::SSHFP => {
            if sections.remaining() < 2 {
                return Data::Broken;
            }
            sections.u16();
            let print = sections.bytes(head.len.saturating_sub(2));
            Data::Text(format!("SSHFP: {}", hex::encode(print)).into_bytes())
        }
        kind::LOC => location(sections, end),
        unknown => {
            sections.odd("DNS_RR_unknown_type", Some(u32::from(unknown)));
            sections.seek(end);
            Data::Text(format!("<unknown type={unknown}>").into_bytes())
        }
    }
}

fn fixed(sections: &mut Sections<'_>, end: usize, text: &str) -> Data {
    sections.seek(end);
    Data::Text(text.as_bytes().to_vec())
}

fn mismatch(sections: &mut Sections<'_>, end: usize) {
    if sections.position() != end {
        sections.odd("DNS_RR_length_mismatch", None);
    }
}

fn name(sections: &mut Sections<'_>, end: usize) -> Data {
    let mut name = Vec::new();
    sections.name(&mut name);
    name.make_ascii_lowercase();
    mismatch(sections, end);
    Data::Text(name)
}

/// A character-string (RFC 1035 §3.3) of data that ends at `end`.
fn string<'a>(sections: &mut Sections<'a>, end: usize) -> Option<&'a [u8]> {
    if sections.position() >= end {
        return None;
    }
    let len = usize::from(sections.u8());
    if sections.position().saturating_add(len) > end {
        sections.odd("DNS_TXT_char_str_past_rdlen", None);
        return None;
    }
    Some(sections.bytes(len))
}

fn strings(sections: &mut Sections<'_>, end: usize, label: &str) -> Data {
    let mut text = Vec::new();
    while let Some(string) = string(sections, end) {
        if !text.is_empty() {
            text.push(b' ');
        }
        // A vector never fails to take bytes.
        drop(write!(text, "{label} {} ", string.len()));
        text.extend_from_slice(string);
    }
    // What is past a broken string is not read, but what is before it is logged.
    sections.seek(end);
    Data::Text(text)
}

/// NAPTR (RFC 3403 §4.1).
fn naptr(sections: &mut Sections<'_>, end: usize) -> Data {
    let (order, preference) = (sections.u16(), sections.u16());
    let (Some(flags), Some(service), Some(regexp)) = (string(sections, end), string(sections, end), string(sections, end)) else {
        return Data::Broken;
    };
    let mut replacement = Vec::new();
    sections.name(&mut replacement);
    mismatch(sections, end);
    let mut text = format!("NAPTR {order} {preference} ").into_bytes();
    text.extend_from_slice(flags);
    text.push(b' ');
    text.extend_from_slice(service);
    text.push(b' ');
    text.extend_from_slice(regexp);
    if !regexp.is_empty() && !replacement.is_empty() {
        text.push(b' ');
    }
    text.extend_from_slice(&replacement);
    Data::Text(text)
}

/// SVCB and HTTPS (RFC 9460 §2.2): read for their oddities alone.
fn service(sections: &mut Sections<'_>, start: usize, end: usize) -> Data {
    const PORT: u16 = 3;
    if end.saturating_sub(start) < 3 {
        sections.odd("DNS_SVCB_wrong_length", None);
        return Data::Broken;
    }
    sections.u16();
    sections.name(&mut Vec::new());
    while sections.position() < end {
        let (key, len) = (sections.u16(), usize::from(sections.u16()));
        if sections.position().saturating_add(len) > end {
            sections.odd("DNS_SVCB_wrong_length", None);
            return Data::Broken;
        }
        if key == PORT && len != 2 {
            sections.odd("DNS_SVCB_port_length_invalid", None);
            return Data::Broken;
        }
        sections.bytes(len);
    }
    if sections.position() != end {
        sections.odd("DNS_SVCB_wrong_length", None);
        return Data::Broken;
    }
    Data::Silent
}

/// RRSIG (RFC 4034 §3.1).
fn signature(sections: &mut Sections<'_>, end: usize) -> Data {
    if sections.remaining() < 18 {
        return Data::Broken;
    }
    let covered = sections.u16();
    let algorithm = sections.u8();
    sections.bytes(15);
    let mut signer = Vec::new();
    sections.name(&mut signer);
    signer.make_ascii_lowercase();
    sections.seek(end);
    algorithm_oddity(
        sections,
        algorithm,
        [
            "DNSSEC_RRSIG_NotRecommended_ZoneSignAlgo",
            "DNSSEC_RRSIG_Indirect_ZoneSignAlgo",
            "DNSSEC_RRSIG_PrivateDNS_ZoneSignAlgo",
            "DNSSEC_RRSIG_PrivateOID_ZoneSignAlgo",
            "DNSSEC_RRSIG_unknown_ZoneSignAlgo",
        ],
    );
    let mut text = format!("RRSIG {covered} ").into_bytes();
    text.extend_from_slice(if signer.is_empty() { b"<Root>" } else { &signer });
    Data::Text(text)
}

/// DNSKEY (RFC 4034 §2.1).
fn key(sections: &mut Sections<'_>, end: usize) -> Data {
    if sections.remaining() < 4 {
        return Data::Broken;
    }
    let flags = sections.u16();
    let (protocol, algorithm) = (sections.u8(), sections.u8());
    sections.seek(end);
    // RFC 4034 §2.1.1: bits 7 (zone key) and 15 (secure entry point); RFC 5011 §7 adds 8 (revoked).
    if flags & 0xfe7e != 0 {
        sections.odd("DNSSEC_DNSKEY_Invalid_Flag", Some(u32::from(flags)));
    }
    if flags & 0x0181 == 0x0181 {
        sections.odd("DNSSEC_DNSKEY_Revoked_KSK", Some(u32::from(flags)));
    }
    if protocol != 3 {
        sections.odd("DNSSEC_DNSKEY_Invalid_Protocol", Some(u32::from(protocol)));
    }
    algorithm_oddity(
        sections,
        algorithm,
        [
            "DNSSEC_DNSKEY_NotRecommended_ZoneSignAlgo",
            "DNSSEC_DNSKEY_Indirect_ZoneSignAlgo",
            "DNSSEC_DNSKEY_PrivateDNS_ZoneSignAlgo",
            "DNSSEC_DNSKEY_PrivateOID_ZoneSignAlgo",
            "DNSSEC_DNSKEY_unknown_ZoneSignAlgo",
        ],
    );
    Data::Text(format!("DNSKEY {algorithm}").into_bytes())
}

/// IANA "DNS Security Algorithm Numbers": `names` for RSA/MD5, indirect, private by name, private by OID, unknown.
fn algorithm_oddity(sections: &mut Sections<'_>, algorithm: u8, names: [&'static str; 5]) {
    let [md5, indirect, by_name, by_oid, unknown] = names;
    let name = match algorithm {
        2..=8 | 10 | 12..=16 => return,
        1 => md5,
        252 => indirect,
        253 => by_name,
        254 => by_oid,
        _ => unknown,
    };
    sections.odd(name, Some(u32::from(algorithm)));
}

/// NSEC (RFC 4034 §4.1).
fn next_secure(sections: &mut Sections<'_>, end: usize, owner: &[u8]) -> Data {
    let mut next = Vec::new();
    sections.name(&mut next);
    next.make_ascii_lowercase();
    bitmaps(sections, end, "DNSSEC_NSEC_bitmapLen0");
    let mut text = b"NSEC ".to_vec();
    text.extend_from_slice(owner);
    text.push(b' ');
    text.extend_from_slice(&next);
    Data::Text(text)
}

/// NSEC3 (RFC 5155 §3.2).
fn next_secure_hashed(sections: &mut Sections<'_>, end: usize) -> Data {
    if sections.remaining() < 6 {
        return Data::Broken;
    }
    sections.u32();
    for _ in ["salt", "hash"] {
        let len = usize::from(sections.u8());
        sections.bytes(len);
    }
    bitmaps(sections, end, "DNSSEC_NSEC3_bitmapLen0");
    Data::Text(b"NSEC3".to_vec())
}

fn bitmaps(sections: &mut Sections<'_>, end: usize, empty: &'static str) {
    while sections.position() < end && sections.remaining() > 0 {
        let (window, len) = (sections.u8(), usize::from(sections.u8()));
        if len == 0 {
            sections.odd(empty, Some(u32::from(window)));
            return;
        }
        sections.bytes(len);
    }
}

/// DS (RFC 4034 §5.1).
fn delegation(sections: &mut Sections<'_>, end: usize) -> Data {
    if sections.remaining() < 4 {
        return Data::Broken;
    }
    sections.u16();
    let (algorithm, digest) = (sections.u8(), sections.u8());
    sections.seek(end);
    match digest {
        1..=4 => {}
        // Zeek's spelling.
        0 => sections.odd("DNSSEC_DS_ResrevedDigestType", Some(u32::from(digest))),
        _ => sections.odd("DNSSEC_DS_unknown_DigestType", Some(u32::from(digest))),
    }
    Data::Text(format!("DS {algorithm} {digest}").into_bytes())
}

/// LOC (RFC 1876 §2).
fn location(sections: &mut Sections<'_>, end: usize) -> Data {
    if sections.remaining() < 15 {
        return Data::Broken;
    }
    let version = sections.u8();
    let (size, horizontal, vertical) = (sections.u8(), sections.u8(), sections.u8());
    sections.seek(end);
    if version != 0 {
        sections.odd("DNS_LOC_version_unrecognized", Some(u32::from(version)));
    }
    Data::Text(format!("LOC:  {size} {horizontal} {vertical}").into_bytes())
}
