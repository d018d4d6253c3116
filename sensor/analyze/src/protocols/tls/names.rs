//! Names of versions, groups and alerts, as `ssl.log` prints them (scripts/base/protocols/ssl/consts.zeek; IANA
//! "Transport Layer Security (TLS) Parameters").

use std::borrow::Cow;

/// Versions on the wire.
pub(crate) mod version {
    pub(crate) const SSL2: u16 = 0x0002;
    pub(crate) const SSL3: u16 = 0x0300;
    pub(crate) const TLS10: u16 = 0x0301;
    pub(crate) const TLS11: u16 = 0x0302;
    pub(crate) const TLS12: u16 = 0x0303;
    pub(crate) const TLS13: u16 = 0x0304;
    pub(crate) const DTLS10: u16 = 0xfeff;
    pub(crate) const DTLS12: u16 = 0xfefd;
    pub(crate) const DTLS13: u16 = 0xfefc;

    /// Whether it is a draft of TLS 1.3.
    pub(crate) const fn is_draft(version: u16) -> bool {
        version >> 8 == 0x7f
    }

    /// Whether a hello may have it.
    pub(crate) const fn is_known(version: u16) -> bool {
        matches!(version, SSL2 | SSL3 | TLS10 | TLS11 | TLS12 | TLS13 | DTLS10 | DTLS12 | DTLS13) || is_draft(version)
    }
}

/// Name of a version.
pub(super) fn version_name(n: u16) -> Cow<'static, str> {
    Cow::Borrowed(match n {
        version::SSL2 => "SSLv2",
        version::SSL3 => "SSLv3",
        version::TLS10 => "TLSv10",
        version::TLS11 => "TLSv11",
        version::TLS12 => "TLSv12",
        version::TLS13 => "TLSv13",
        version::DTLS10 => "DTLSv10",
        version::DTLS12 => "DTLSv12",
        version::DTLS13 => "DTLSv13",
        // Zeek divides by 255 where it means 256, which only differs far outside of the drafts.
        n if n / 0xff == 0x7f => return Cow::Owned(format!("TLSv13-draft{}", n % 0x7f)),
        n => return Cow::Owned(format!("unknown-{n}")),
    })
}

/// Name of a group for key exchange.
pub(super) fn group(n: u16) -> Cow<'static, str> {
    named(GROUPS, n)
}

/// Name of an alert's description.
pub(super) fn alert(n: u8) -> Cow<'static, str> {
    named(ALERTS, u16::from(n))
}

/// RFC 8701: values that clients send to keep servers tolerant.
pub(super) const fn is_grease(n: u16) -> bool {
    n & 0x0f0f == 0x0a0a && n >> 8 == n & 0xff
}

fn named(table: &'static [(u16, &'static str)], n: u16) -> Cow<'static, str> {
    match table.binary_search_by_key(&n, |&(n, _)| n).ok().and_then(|i| table.get(i)) {
        Some(&(_, name)) => Cow::Borrowed(name),
        None if is_grease(n) => Cow::Owned(format!("grease_0x{n:04X}")),
        None => Cow::Owned(format!("unknown-{n}")),
    }
}

#[rustfmt::skip]
const ALERTS: &[(u16, &str)] = &[
    (0, "close_notify"), (10, "unexpected_message"), (20, "bad_record_mac"), (21, "decryption_failed"),
    (22, "record_overflow"), (30, "decompression_failure"), (40, "handshake_failure"), (41, "no_certificate"),
    (42, "bad_certificate"), (43, "unsupported_certificate"), (44, "certificate_revoked"), (45, "certificate_expired"),
    (46, "certificate_unknown"), (47, "illegal_parameter"), (48, "unknown_ca"), (49, "access_denied"),
    (50, "decode_error"), (51, "decrypt_error"), (60, "export_restriction"), (70, "protocol_version"),
    (71, "insufficient_security"), (80, "internal_error"), (86, "inappropriate_fallback"), (90, "user_canceled"),
    (100, "no_renegotiation"), (110, "unsupported_extension"), (111, "certificate_unobtainable"),
    (112, "unrecognized_name"), (113, "bad_certificate_status_response"), (114, "bad_certificate_hash_value"),
    (115, "unknown_psk_identity"), (116, "certificate_required"), (117, "general_error"),
    (120, "no_application_protocol"), (121, "ech_required"),
];

#[rustfmt::skip]
const GROUPS: &[(u16, &str)] = &[
    (1, "sect163k1"), (2, "sect163r1"), (3, "sect163r2"), (4, "sect193r1"), (5, "sect193r2"), (6, "sect233k1"),
    (7, "sect233r1"), (8, "sect239k1"), (9, "sect283k1"), (10, "sect283r1"), (11, "sect409k1"), (12, "sect409r1"),
    (13, "sect571k1"), (14, "sect571r1"), (15, "secp160k1"), (16, "secp160r1"), (17, "secp160r2"), (18, "secp192k1"),
    (19, "secp192r1"), (20, "secp224k1"), (21, "secp224r1"), (22, "secp256k1"), (23, "secp256r1"), (24, "secp384r1"),
    (25, "secp521r1"), (26, "brainpoolP256r1"), (27, "brainpoolP384r1"), (28, "brainpoolP512r1"), (29, "x25519"),
    (30, "x448"), (31, "brainpoolP256r1tls13"), (32, "brainpoolP384r1tls13"), (33, "brainpoolP512r1tls13"),
    (34, "GC256A"), (35, "GC256B"), (36, "GC256C"), (37, "GC256D"), (38, "GC512A"), (39, "GC512B"), (40, "GC512C"),
    (41, "curveSM2"), (256, "ffdhe2048"), (257, "ffdhe3072"), (258, "ffdhe4096"), (259, "ffdhe6144"),
    (260, "ffdhe8192"), (512, "MLKEM512"), (513, "MLKEM768"), (514, "MLKEM1024"), (4587, "SecP256r1MLKEM768"),
    (4588, "X25519MLKEM768"), (4589, "SecP384r1MLKEM1024"), (4590, "curveSM2MLKEM768"), (16696, "CECPQ2"),
    (25497, "X25519Kyber768Draft00"), (25498, "SecP256r1Kyber768Draft00"),
    (0xff01, "arbitrary_explicit_prime_curves"), (0xff02, "arbitrary_explicit_char2_curves"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_unknown_numbers_survive() {
        assert!(ALERTS.is_sorted() && GROUPS.is_sorted());
        assert_eq!(group(0x1a1a), "grease_0x1A1A");
        assert_eq!(group(77), "unknown-77");
        assert_eq!(version_name(0x7f1c), "TLSv13-draft28");
        assert_eq!(version_name(0x7e01), "unknown-32257");
    }
}
