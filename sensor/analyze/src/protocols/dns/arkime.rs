//! What a session of Arkime's is told of DNS: one object a query, with all that its replies said.
//!
//! Reading follows Arkime's dns.c: one question, names as Unicode in lower case, records of class IN alone, and the
//! addresses put to the hosts, name servers and mail servers that they belong to.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::consts::kind;
use super::punycode;
use super::wire::Sections;
use crate::log::{Fields, Json};
use crate::{Reader, Transport};

/// Queries of one flow whose replies are waited for; the oldest is no longer added to.
const MAX_QUERIES: usize = 64;
/// Records of one query.
const MAX_ANSWERS: usize = 512;
/// The shortest message that has a question.
const MIN_MESSAGE: usize = 17;

/// The queries of one flow.
#[derive(Default)]
pub(super) struct Queries(Vec<Query>);

/// One query, known by its transaction, name, type and class.
#[derive(Default)]
struct Query {
    id: u16,
    opcode: u8,
    kind: u16,
    class: u16,
    name: String,
    status: Option<u16>,
    flags: u8,
    hosts: Vec<String>,
    name_servers: Vec<String>,
    mail_servers: Vec<String>,
    punycode: Vec<String>,
    addresses: [Vec<String>; 3],
    /// Each already JSON.
    answers: Vec<Vec<u8>>,
}

impl Queries {
    /// Reads a message and tells the session what it adds.
    pub(super) fn read(&mut self, message: &[u8], transport: Transport, ports: [u16; 2], fields: &mut Fields) {
        let uses = |port| ports.contains(&port);
        let name = match transport {
            Transport::Udp if uses(53) => "dns",
            Transport::Udp if uses(5353) => "mdns",
            Transport::Udp if uses(5355) => "llmnr",
            Transport::Tcp => "dns",
            _ => return,
        };
        let mut head = Reader::new(message);
        let (Some(id), Some([first, second])) = (head.u16(), head.array::<2>()) else { return };
        let opcode = first >> 3 & 15;
        if message.len() < MIN_MESSAGE || usize::from(opcode) >= OPCODES.len() {
            return;
        }
        fields.protocol(name);
        if head.u16() != Some(1) {
            return fields.tag("dns:qdcount-not-1");
        }
        let counts = [head.u16(), head.u16(), head.u16()].map(Option::unwrap_or_default);
        let mut sections = Sections::new(message, false);
        let mut asked = Vec::new();
        let Some((kind, class)) = sections.question(&mut asked) else { return };
        let Some(name) = unicode(&asked, fields) else { return };
        let query = self.of(id, opcode, kind, class, &name);
        if name != ROOT {
            remember(&mut query.hosts, &name);
        }
        query.note_punycode(&asked);
        if first & 0x80 != 0 {
            query.status = Some(u16::from(second & 15));
            for count in counts {
                query.records(&mut sections, count, fields);
            }
            query.flags = (first & 7) << 4 | second >> 4;
        }
        let key = format!("{id} {opcode} {kind} {class} {name}");
        fields.object_as("dns", query.hash(), key.as_bytes(), |json| query.write(json));
    }

    fn of(&mut self, id: u16, opcode: u8, kind: u16, class: u16, name: &str) -> &mut Query {
        let known = |query: &Query| (query.id, query.opcode, query.kind, query.class) == (id, opcode, kind, class) && query.name == name;
        let place = match self.0.iter().position(known) {
            Some(place) => place,
            None => {
                if self.0.len() >= MAX_QUERIES {
                    self.0.remove(0);
                }
                self.0.push(Query { id, opcode, kind, class, name: name.to_owned(), ..Query::default() });
                self.0.len() - 1
            }
        };
        let Some(query) = self.0.get_mut(place) else { unreachable!("the place was just found or made") };
        query
    }
}

impl Query {
    fn records(&mut self, sections: &mut Sections<'_>, count: u16, fields: &mut Fields) {
        let mut owner = Vec::new();
        for _ in 0..count {
            if sections.remaining() == 0 {
                return;
            }
            let Some(head) = sections.head(&mut owner) else { return };
            let start = sections.position();
            let end = start.saturating_add(head.len);
            if head.kind == kind::OPT {
                // RFC 6891 §6.1.3: the upper bits of the status stand where other records have their time to live.
                if let Some(status) = &mut self.status {
                    *status |= u16::try_from(head.ttl >> 24).unwrap_or(0) << 4;
                }
            }
            if head.class == 1 && self.answers.len() < MAX_ANSWERS {
                let name = unicode(&owner, fields).unwrap_or_else(|| String::from_utf8_lossy(&owner).into_owned());
                self.note_punycode(&owner);
                if let Some(data) = self.data(sections, head.kind, end, &name, fields) {
                    let mut answer = Vec::new();
                    Json::object(&mut answer, |json| {
                        data.write(json);
                        json.str("class", "IN");
                        json.some_str("type", kind_name(head.kind));
                        json.number("ttl", u64::from(head.ttl));
                        json.str("name", &name);
                    });
                    self.answers.push(answer);
                }
            }
            sections.seek(end);
        }
    }

    fn data(&mut self, sections: &mut Sections<'_>, kind: u16, end: usize, owner: &str, fields: &mut Fields) -> Option<Data> {
        let len = end.saturating_sub(sections.position());
        match kind {
            kind::A => {
                let bytes: [u8; 4] = if len == 4 { sections.bytes(4).try_into().ok()? } else { return None };
                Some(self.address(IpAddr::from(bytes), owner))
            }
            kind::AAAA => {
                let bytes: [u8; 16] = if len == 16 { sections.bytes(16).try_into().ok()? } else { return None };
                // As Arkime does, a mapped address is shown as the one that it maps.
                Some(self.address(IpAddr::from(bytes).to_canonical(), owner))
            }
            kind::NS => self.host(sections, fields, |query| &mut query.name_servers).map(|name| Data::Text("nameserver", name)),
            kind::CNAME => self.host(sections, fields, |query| &mut query.hosts).map(|name| Data::Text("cname", name)),
            kind::MX => {
                let priority = sections.u16();
                self.host(sections, fields, |query| &mut query.mail_servers).map(|name| Data::Mail(priority, name))
            }
            kind::TXT => {
                let mut texts = Vec::new();
                while sections.position() < end {
                    let len = usize::from(sections.u8());
                    texts.push(sections.bytes(len.min(end.saturating_sub(sections.position()))).to_vec());
                }
                Some(Data::Texts(texts))
            }
            kind::CAA => Some(Data::Text("caa", authority(sections, end)?)),
            kind::HTTPS => Some(Data::Text("https", service(sections, end)?)),
            kind::RRSIG => Some(Data::Text("rrsig", signature(sections, end)?)),
            kind::DS => Some(Data::Text("ds", delegation(sections, end)?)),
            kind::NSEC => Some(Data::Text("nsec", next_secure(sections, end)?)),
            _ => Some(Data::None),
        }
    }

    fn address(&mut self, addr: IpAddr, owner: &str) -> Data {
        let text = addr.to_string();
        let belongs = [
            self.name == owner || self.hosts.iter().any(|name| name == owner),
            self.name_servers.iter().any(|name| name == owner),
            self.mail_servers.iter().any(|name| name == owner),
        ];
        for (addresses, _) in self.addresses.iter_mut().zip(belongs).filter(|(_, belongs)| *belongs) {
            remember(addresses, &text);
        }
        Data::Text("ip", text)
    }

    fn host(&mut self, sections: &mut Sections<'_>, fields: &mut Fields, of: fn(&mut Self) -> &mut Vec<String>) -> Option<String> {
        let mut name = Vec::new();
        sections.name(&mut name);
        if name.is_empty() || name == b"." {
            return None;
        }
        let text = unicode(&name, fields)?;
        remember(of(self), &text);
        self.note_punycode(&name);
        Some(text)
    }

    fn note_punycode(&mut self, name: &[u8]) {
        if memchr::memmem::find(name, b"xn--").is_some() {
            remember(&mut self.punycode, &String::from_utf8_lossy(&name.to_ascii_lowercase()));
        }
    }

    /// Arkime's hash of the query: FNV-1a of its name, mixed with the rest.
    fn hash(&self) -> u32 {
        let name = self.name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        name ^ u32::from(self.opcode) << 24 ^ u32::from(self.id) << 8 ^ u32::from(self.kind) << 16 ^ u32::from(self.class)
    }

    fn write(&self, json: &mut Json<'_>) {
        json.some_str("opcode", OPCODES.get(usize::from(self.opcode)).copied());
        json.str("queryHost", &self.name);
        json.some_str("qc", class_name(self.class));
        json.some_str("qt", kind_name(self.kind));
        let [addresses, of_name_servers, of_mail_servers] = &self.addresses;
        for (name, values) in [
            ("host", &self.hosts),
            ("nameserverHost", &self.name_servers),
            ("mailserverHost", &self.mail_servers),
            ("puny", &self.punycode),
            ("ip", addresses),
            ("nameserverIp", of_name_servers),
            ("mailserverIp", of_mail_servers),
        ] {
            if !values.is_empty() {
                json.strings(name, values.iter().map(String::as_bytes));
                json.number(&format!("{name}Cnt"), values.len() as u64);
            }
        }
        if self.flags != 0 {
            let set = FLAGS.iter().zip((0..7).rev()).filter(|(_, bit)| self.flags >> bit & 1 == 1);
            json.strings("headerFlags", set.map(|(name, _)| name.as_bytes()));
        }
        if let Some(status) = self.status {
            json.some_str("status", STATUS.get(usize::from(status)).copied());
            json.number("answersCnt", self.answers.len() as u64);
            if !self.answers.is_empty() {
                json.ready("answers", self.answers.iter().map(Vec::as_slice));
            }
        }
    }
}

/// What a record says.
enum Data {
    None,
    Text(&'static str, String),
    Texts(Vec<Vec<u8>>),
    Mail(u16, String),
}

impl Data {
    fn write(&self, json: &mut Json<'_>) {
        match self {
            Self::None => {}
            Self::Text(name, value) => json.str(name, value),
            Self::Texts(values) => json.strings("txt", values.iter().map(Vec::as_slice)),
            Self::Mail(priority, name) => {
                json.number("priority", u64::from(*priority));
                json.str("mx", name);
            }
        }
    }
}

/// A name as it is read: in lower case, its labels decoded from Punycode. `None` if it cannot be.
fn unicode(name: &[u8], fields: &mut Fields) -> Option<String> {
    if name.is_empty() || name == b"." {
        return Some(ROOT.to_owned());
    }
    let text = std::str::from_utf8(name).ok().and_then(punycode::to_unicode);
    if text.is_none() {
        fields.tag(if memchr::memmem::find(name, b"xn--").is_some() { "bad-punycode" } else { "bad-hostname" });
    }
    text
}

/// RFC 8659 §4.1.
fn authority(sections: &mut Sections<'_>, end: usize) -> Option<String> {
    if end.saturating_sub(sections.position()) <= 3 {
        return None;
    }
    let (flags, len) = (sections.u8(), usize::from(sections.u8()));
    let tag = String::from_utf8_lossy(sections.bytes(len)).into_owned();
    let value = sections.bytes(end.checked_sub(sections.position())?);
    Some(format!("CAA {flags} {tag} {}", String::from_utf8_lossy(value)))
}

/// RFC 9460 §2.2, of which Arkime shows four parameters.
fn service(sections: &mut Sections<'_>, end: usize) -> Option<String> {
    if end.saturating_sub(sections.position()) < 3 {
        return None;
    }
    let priority = sections.u16();
    let mut name = Vec::new();
    sections.name(&mut name);
    let name = if name.is_empty() { ".".into() } else { String::from_utf8_lossy(&name).into_owned() };
    let mut text = format!("HTTPS {priority} {name}");
    while end.saturating_sub(sections.position()) >= 4 {
        let (key, len) = (sections.u16(), usize::from(sections.u16()));
        let value = sections.bytes(len.min(end.saturating_sub(sections.position())));
        let (label, items): (_, Vec<String>) = match key {
            1 => {
                let mut r = Reader::new(value);
                let next = || r.u8().and_then(|len| r.take(usize::from(len))).map(|item| String::from_utf8_lossy(item).into_owned());
                ("alpn", std::iter::from_fn(next).collect())
            }
            3 => ("port", Reader::new(value).u16().map(|port| port.to_string()).into_iter().collect()),
            4 => ("ipv4hint", value.as_chunks::<4>().0.iter().map(|addr| IpAddr::from(*addr).to_string()).collect()),
            6 => ("ipv6hint", value.as_chunks::<16>().0.iter().map(|addr| IpAddr::from(*addr).to_canonical().to_string()).collect()),
            _ => continue,
        };
        write!(text, " {label}={}", items.join(",")).ok()?;
    }
    Some(text)
}

/// RFC 4034 §3.1.
fn signature(sections: &mut Sections<'_>, end: usize) -> Option<String> {
    if end.saturating_sub(sections.position()) < 19 {
        return None;
    }
    let covered = sections.u16();
    let (algorithm, labels) = (sections.u8(), sections.u8());
    let (ttl, expiration, inception, tag) = (sections.u32(), sections.u32(), sections.u32(), sections.u16());
    let mut signer = Vec::new();
    sections.name(&mut signer);
    let covered = kind_name(covered).map_or_else(|| format!("TYPE{covered}"), str::to_owned);
    (!signer.is_empty())
        .then(|| format!("RRSIG {covered} {algorithm} {labels} {ttl} {expiration} {inception} {tag} {}", String::from_utf8_lossy(&signer)))
}

/// RFC 4034 §5.1.
fn delegation(sections: &mut Sections<'_>, end: usize) -> Option<String> {
    if end.saturating_sub(sections.position()) < 5 {
        return None;
    }
    let (tag, algorithm, digest) = (sections.u16(), sections.u8(), sections.u8());
    let value = sections.bytes(end.saturating_sub(sections.position()));
    Some(format!("DS {tag} {algorithm} {digest} {}", hex::encode_upper(value)))
}

/// RFC 4034 §4.1.
fn next_secure(sections: &mut Sections<'_>, end: usize) -> Option<String> {
    let mut next = Vec::new();
    sections.name(&mut next);
    let mut kinds = Vec::new();
    while end.saturating_sub(sections.position()) > 2 {
        let (window, len) = (u16::from(sections.u8()), usize::from(sections.u8()));
        if len > end.saturating_sub(sections.position()) {
            break;
        }
        for (place, byte) in sections.bytes(len).iter().enumerate() {
            for bit in (0..8u16).filter(|bit| byte >> (7 - bit) & 1 == 1) {
                let kind = window << 8 | u16::try_from(place * 8).unwrap_or(0) | bit;
                kinds.extend(kind_name(kind));
            }
        }
    }
    (!next.is_empty()).then(|| format!("NSEC {} {}", String::from_utf8_lossy(&next), kinds.join(" ")))
}

fn remember(values: &mut Vec<String>, value: &str) {
    if values.len() < MAX_ANSWERS && !values.iter().any(|known| known == value) {
        values.push(value.to_owned());
    }
}

const fn class_name(class: u16) -> Option<&'static str> {
    Some(match class {
        1 => "IN",
        2 => "CS",
        3 => "CH",
        4 => "HS",
        254 => "NONE",
        255 => "ANY",
        _ => return None,
    })
}

fn kind_name(kind: u16) -> Option<&'static str> {
    KINDS
        .iter()
        .find(|(first, names)| (*first..*first + names.len() as u16).contains(&kind))
        .and_then(|(first, names)| names.get(usize::from(kind - first)).copied())
}

/// What Arkime calls the root.
const ROOT: &str = "<root>";
/// Names of operations (RFC 1035 §4.1.1, RFC 1996, RFC 2136).
const OPCODES: [&str; 6] = ["QUERY", "IQUERY", "STATUS", "3", "NOTIFY", "UPDATE"];
/// Names of the header's bits, the highest first.
const FLAGS: [&str; 7] = ["AA", "TC", "RD", "RA", "Z", "AD", "CD"];
/// Names of status codes (IANA "DNS RCODEs"), in Arkime's spelling.
const STATUS: [&str; 24] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMPL",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "11",
    "12",
    "13",
    "14",
    "15",
    "BADSIG_VERS",
    "BADKEY",
    "BADTIME",
    "BADMODE",
    "BADNAME",
    "BADALG",
    "BADTRUNC",
    "BADCOOKIE",
];
/// Names of types (IANA "Resource Record (RR) TYPEs"), in runs from a first number.
const KINDS: &[(u16, &[&str])] = &[
    (
        1,
        &[
            "A",
            "NS",
            "MD",
            "MF",
            "CNAME",
            "SOA",
            "MB",
            "MG",
            "MR",
            "NULL",
            "WKS",
            "PTR",
            "HINFO",
            "MINFO",
            "MX",
            "TXT",
            "RP",
            "AFSDB",
            "X25",
            "ISDN",
            "RT",
            "NSAP",
            "NSAP-PTR",
            "SIG",
            "KEY",
            "PX",
            "GPOS",
            "AAAA",
            "LOC",
            "NXT",
            "EID",
            "NIMLOC",
            "SRV",
            "ATMA",
            "NAPTR",
            "KX",
            "CERT",
            "A6",
            "DNAME",
            "SINK",
            "OPT",
            "APL",
            "DS",
            "SSHFP",
            "IPSECKEY",
            "RRSIG",
            "NSEC",
            "DNSKEY",
            "DHCID",
            "NSEC3",
            "NSEC3PARAM",
            "TLSA",
            "SMIMEA",
        ],
    ),
    (55, &["HIP", "NINFO", "RKEY", "TALINK", "CDS", "CDNSKEY", "OPENPGPKEY", "CSYNC", "ZONEMD", "SVCB", "HTTPS"]),
    (99, &["SPF", "UINFO", "UID", "GID", "UNSPEC", "NID", "L32", "L64", "LP", "EUI48", "EUI64"]),
    (249, &["TKEY", "TSIG", "IXFR", "AXFR", "MAILB", "MAILA", "ANY", "URI", "CAA"]),
];
