//! Names of DNS numbers, as `dns.log` prints them (scripts/base/protocols/dns/consts.zeek).

use std::borrow::Cow;

/// Record types that the analyzer knows the layout of (IANA "Resource Record (RR) TYPEs").
pub(super) mod kind {
    pub(crate) const A: u16 = 1;
    pub(crate) const NS: u16 = 2;
    pub(crate) const CNAME: u16 = 5;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const WKS: u16 = 11;
    pub(crate) const PTR: u16 = 12;
    pub(crate) const HINFO: u16 = 13;
    pub(crate) const MX: u16 = 15;
    pub(crate) const TXT: u16 = 16;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const LOC: u16 = 29;
    /// NetBIOS general name service (RFC 1002), a number that DNS gave to NIMLOC.
    pub(crate) const NB: u16 = 32;
    pub(crate) const SRV: u16 = 33;
    pub(crate) const NAPTR: u16 = 35;
    pub(crate) const A6: u16 = 38;
    pub(crate) const OPT: u16 = 41;
    pub(crate) const DS: u16 = 43;
    pub(crate) const SSHFP: u16 = 44;
    pub(crate) const RRSIG: u16 = 46;
    pub(crate) const NSEC: u16 = 47;
    pub(crate) const DNSKEY: u16 = 48;
    pub(crate) const NSEC3: u16 = 50;
    pub(crate) const NSEC3PARAM: u16 = 51;
    pub(crate) const SVCB: u16 = 64;
    pub(crate) const HTTPS: u16 = 65;
    pub(crate) const SPF: u16 = 99;
    pub(crate) const TKEY: u16 = 249;
    pub(crate) const TSIG: u16 = 250;
    pub(crate) const ANY: u16 = 255;
    pub(crate) const CAA: u16 = 257;
    /// BIND 9's private signing signal.
    pub(crate) const BINDS: u16 = 65534;
}

/// Classes.
pub(super) mod class {
    pub(crate) const NONE: u16 = 254;
    pub(crate) const ANY: u16 = 255;
}

/// Opcodes.
pub(super) mod opcode {
    pub(crate) const QUERY: u8 = 0;
    pub(crate) const NOTIFY: u8 = 4;
    pub(crate) const UPDATE: u8 = 5;
}

/// Name of a query type.
pub(super) fn query_type(n: u16) -> Cow<'static, str> {
    named(TYPES, n, "query")
}

/// Name of a response code.
pub(super) fn rcode(n: u8) -> Cow<'static, str> {
    named(RCODES, u16::from(n), "rcode")
}

/// Name of a query class.
pub(super) fn query_class(n: u16) -> Cow<'static, str> {
    named(CLASSES, n, "qclass")
}

/// Name of an opcode; the NetBIOS name service has its own (RFC 1002 §4.2.1.1).
pub(super) fn opcode_name(n: u8, netbios: bool) -> Cow<'static, str> {
    if netbios { named(NETBIOS_OPCODES, u16::from(n), "netbios-opcode") } else { named(OPCODES, u16::from(n), "opcode") }
}

fn named(table: &'static [(u16, &'static str)], n: u16, unknown: &str) -> Cow<'static, str> {
    match table.binary_search_by_key(&n, |&(n, _)| n).ok().and_then(|i| table.get(i)) {
        Some(&(_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(format!("{unknown}-{n}")),
    }
}

const OPCODES: &[(u16, &str)] = &[(0, "query"), (1, "iquery"), (2, "server-status"), (4, "notify"), (5, "dynamic-update"), (6, "dso")];

const NETBIOS_OPCODES: &[(u16, &str)] =
    &[(0, "netbios-query"), (5, "netbios-registration"), (6, "netbios-release"), (7, "netbios-wack"), (8, "netbios-refresh")];

const CLASSES: &[(u16, &str)] = &[(1, "C_INTERNET"), (2, "C_CSNET"), (3, "C_CHAOS"), (4, "C_HESIOD"), (254, "C_NONE"), (255, "C_ANY")];

const RCODES: &[(u16, &str)] = &[
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSet"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
    (11, "unassigned-11"),
    (12, "unassigned-12"),
    (13, "unassigned-13"),
    (14, "unassigned-14"),
    (15, "unassigned-15"),
];

#[rustfmt::skip]
const TYPES: &[(u16, &str)] = &[
    (1, "A"), (2, "NS"), (3, "MD"), (4, "MF"), (5, "CNAME"), (6, "SOA"), (7, "MB"), (8, "MG"), (9, "MR"), (10, "NULL"),
    (11, "WKS"), (12, "PTR"), (13, "HINFO"), (14, "MINFO"), (15, "MX"), (16, "TXT"), (17, "RP"), (18, "AFSDB"),
    (19, "X25"), (20, "ISDN"), (21, "RT"), (22, "NSAP"), (23, "NSAP-PTR"), (24, "SIG"), (25, "KEY"), (26, "PX"),
    (27, "GPOS"), (28, "AAAA"), (29, "LOC"), (30, "NXT"), (31, "EID"), (32, "NIMLOC"), (33, "SRV"), (34, "ATMA"),
    (35, "NAPTR"), (36, "KX"), (37, "CERT"), (38, "A6"), (39, "DNAME"), (40, "SINK"), (41, "OPT"), (42, "APL"),
    (43, "DS"), (44, "SSHFP"), (45, "IPSECKEY"), (46, "RRSIG"), (47, "NSEC"), (48, "DNSKEY"), (49, "DHCID"),
    (50, "NSEC3"), (51, "NSEC3PARAM"), (52, "TLSA"), (53, "SMIMEA"), (55, "HIP"), (56, "NINFO"), (57, "RKEY"),
    (58, "TALINK"), (59, "CDS"), (60, "CDNSKEY"), (61, "OPENPGPKEY"), (62, "CSYNC"), (63, "ZONEMD"), (64, "SVCB"),
    (65, "HTTPS"), (99, "SPF"), (100, "UINFO"), (101, "UID"), (102, "GID"), (103, "UNSPEC"), (104, "NID"), (105, "L32"),
    (106, "L64"), (107, "LP"), (108, "EUI48"), (109, "EUI64"), (249, "TKEY"), (250, "TSIG"), (251, "IXFR"),
    (252, "AXFR"), (253, "MAILB"), (254, "MAILA"), (255, "*"), (256, "URI"), (257, "CAA"), (32768, "TA"),
    (32769, "DLV"), (65281, "WINS"), (65282, "WINS-R"), (65422, "XPF"), (65521, "INTEGRITY"),
];
