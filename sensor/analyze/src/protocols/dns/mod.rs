//! DNS over UDP and TCP, multicast DNS, LLMNR and the NetBIOS name service: one row per query and its reply.
//!
//! Queries and replies are paired by transaction id within a flow, in the order in which they came; what is never
//! paired is written when the flow ends (scripts/base/protocols/dns/main.zeek). Non-goals: reassembling zone
//! transfers, caching, judging answers.

mod arkime;
mod consts;
mod punycode;
mod rdata;
mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::VecDeque;

use crate::{Analyzer, Beginning, Direction, FlowId, Match, Output, Protocol, Step, Transport};
use consts::{class, kind, opcode};
use rdata::Data;
use wire::{Head, Header, Sections};

pub use record::{DNS as LOG, Dns};

/// DNS on its ports: RFC 1035 (53), RFC 6762 (5353), RFC 4795 (5355), RFC 1002 (137).
pub static DNS: Protocol = Protocol {
    name: "dns",
    label: "DNS",
    tcp: &[53],
    udp: &[53, 137, 5353, 5355],
    recognises,
    analyzer: |_| Box::<Conversation>::default(),
};

/// The port of the NetBIOS name service.
const NETBIOS_PORT: u16 = 137;

/// The port of multicast DNS.
const MULTICAST_PORT: u16 = 5353;

/// More questions than this mean that it is not DNS (Zeek's `dns_max_queries`).
const MAX_QUESTIONS: u16 = 25;

/// Unpaired messages of one transaction id, and transaction ids with unpaired messages, that are kept (Zeek's
/// `max_pending_msgs`, `max_pending_query_ids`); above this they are written unpaired.
const MAX_PENDING: usize = 50;

/// DNS has no mark of its own: it is known by its ports.
fn recognises(_: &Beginning<'_>) -> Match {
    Match::No
}

/// The messages of one flow.
#[derive(Default)]
struct Conversation {
    started: bool,
    pending: Option<Box<Pending>>,
    /// What a session of Arkime's is told.
    told: arkime::Queries,
}

/// Messages that have not met their counterpart.
#[derive(Default)]
struct Pending {
    /// The oldest unanswered query.
    query: Option<Dns>,
    queries: Queues,
    replies: Queues,
}

/// Unpaired messages by transaction id.
#[derive(Default)]
struct Queues(Vec<(u16, VecDeque<Dns>)>);

/// Where a message waits if it does not meet its counterpart; `Paired` rows are written at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    Paired,
    Query,
    Queries,
    Replies,
}

/// Which section a record stands in; a dynamic update gives the sections other meanings (RFC 2136 §2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Answer,
    Authority,
    Additional,
    Prerequisite,
    Update,
}

impl Section {
    const fn is_logged(self) -> bool {
        matches!(self, Self::Answer | Self::Prerequisite | Self::Update)
    }
}

impl Analyzer for Conversation {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        if out.id.transport != Transport::Tcp {
            return self.message(from, bytes, out).map_or(Step::Consumed(bytes.len()), Step::Violation);
        }
        // RFC 1035 §4.2.2: over TCP each message has its length in front.
        let mut reader = crate::Reader::new(bytes);
        let Some(message) = reader.u16().and_then(|len| reader.take(usize::from(len))) else { return Step::NeedMore };
        self.message(from, message, out).map_or(Step::Consumed(reader.position()), Step::Violation)
    }

    fn end(&mut self, from: Direction, unconsumed: &[u8], out: &mut Output<'_>) {
        if let Some(part) = unconsumed.get(2..).filter(|part| !part.is_empty()) {
            self.message(from, part, out);
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        let Some(pending) = self.pending.take() else { return };
        let Pending { query, queries, replies } = *pending;
        if let Some(query) = query {
            out.record(query);
        }
        queries.write(out);
        replies.write(out);
    }
}

impl Conversation {
    /// Reads one message; the reason is returned if it is not DNS.
    fn message(&mut self, from: Direction, message: &[u8], out: &mut Output<'_>) -> Option<&'static str> {
        let (transport, ports) = (out.id.transport, [out.id.orig.port, out.id.resp.port]);
        if let Some(fields) = out.session() {
            self.told.read(message, transport, ports, fields);
        }
        let Some(header) = Header::read(message) else {
            odd(out, "DNS_truncated_len_lt_hdr_len", None);
            return None;
        };
        if !self.started && header.is_reply && from.is_orig() && !out.id.resp.addr.is_multicast() {
            out.flip_roles();
        }
        self.started = true;
        let mut open = header.is_followed().then(|| self.session(&header, out));
        let violation = read_sections(message, &header, open.as_mut().map(|(dns, _)| dns), out);
        if let Some((mut dns, home)) = open {
            if header.is_reply {
                dns.saw_reply = true;
            } else {
                dns.saw_query = true;
            }
            self.keep(dns, home, out);
        }
        violation
    }

    /// The row that a message belongs to, taken out of where it waited.
    fn session(&mut self, header: &Header, out: &mut Output<'_>) -> (Dns, Home) {
        let id = header.id;
        let pending = self.pending.get_or_insert_default();
        // RFC 6762 §18.1: multicast messages carry no transaction id, so that nothing says which answers which.
        let (mut dns, home) = if id == 0 && out.id.resp.port == MULTICAST_PORT {
            (Dns::new(header, out), Home::Paired)
        } else if !header.is_reply {
            match pending.replies.pop(id) {
                Some(reply) => (reply, Home::Paired),
                None if pending.query.is_none() => (Dns::new(header, out), Home::Query),
                None => (Dns::new(header, out), Home::Queries),
            }
        } else if pending.query.as_ref().is_some_and(|query| query.trans_id == id)
            && let Some(query) = pending.query.take()
        {
            pending.query = pending.queries.pop(id).or_else(|| pending.queries.pop_any());
            (query, Home::Paired)
        } else {
            match pending.queries.pop(id) {
                Some(query) => (query, Home::Paired),
                None => (Dns::new(header, out), Home::Replies),
            }
        };
        if header.is_reply {
            dns.rcode = Some(header.rcode);
            dns.rejected |= header.rcode != 0 && header.questions == 0;
        }
        dns.opcode = header.opcode;
        (dns, home)
    }

    /// Writes a row that has seen both sides; keeps the others.
    fn keep(&mut self, dns: Dns, home: Home, out: &mut Output<'_>) {
        if home == Home::Paired || (dns.saw_query && dns.saw_reply) {
            out.record(dns);
            return;
        }
        let pending = self.pending.get_or_insert_default();
        match home {
            Home::Query if pending.query.is_none() => pending.query = Some(dns),
            Home::Replies => pending.replies.push(dns, out),
            _ => pending.queries.push(dns, out),
        }
    }
}

impl Queues {
    fn pop(&mut self, id: u16) -> Option<Dns> {
        let at = self.0.iter().position(|&(known, _)| known == id)?;
        self.pop_at(at)
    }

    fn pop_any(&mut self) -> Option<Dns> {
        self.pop_at(0)
    }

    fn pop_at(&mut self, at: usize) -> Option<Dns> {
        let (_, queue) = self.0.get_mut(at)?;
        let first = queue.pop_front();
        if queue.is_empty() {
            self.0.remove(at);
        }
        first
    }

    fn push(&mut self, dns: Dns, out: &mut Output<'_>) {
        if let Some((_, queue)) = self.0.iter_mut().find(|(id, _)| *id == dns.trans_id) {
            if queue.len() > MAX_PENDING {
                queue.drain(..).for_each(|unpaired| out.record(unpaired));
            }
            queue.push_back(dns);
            return;
        }
        if self.0.len() > MAX_PENDING {
            std::mem::take(self).write(out);
        }
        self.0.push((dns.trans_id, VecDeque::from([dns])));
    }

    fn write(self, out: &mut Output<'_>) {
        for dns in self.0.into_iter().flat_map(|(_, queue)| queue) {
            out.record(dns);
        }
    }
}

impl Dns {
    fn new(header: &Header, out: &Output<'_>) -> Self {
        Self {
            at: out.at,
            id: out.id,
            trans_id: header.id,
            rtt: None,
            query: None,
            qclass: None,
            qtype: None,
            rcode: None,
            authoritative: false,
            truncated: false,
            recursion_desired: false,
            recursion_available: false,
            zero: 0,
            answers: Vec::new(),
            rejected: false,
            opcode: header.opcode,
            saw_query: false,
            saw_reply: false,
        }
    }

    fn ask(&mut self, header: &Header, id: &FlowId, name: Vec<u8>, (qtype, qclass): (u16, u16)) {
        self.recursion_desired = header.recursion_desired;
        self.truncated = header.truncated;
        self.zero = header.zero;
        self.qclass = Some(qclass);
        let mut qtype_name = consts::query_type(qtype);
        let mut query = name;
        if id.resp.port == NETBIOS_PORT {
            // RFC 1002 had given 33 to node status before RFC 2782 gave it to SRV.
            if qtype == kind::SRV {
                qtype_name = "NBSTAT".into();
            }
            query = wire::netbios_name(&query).filter(|name| !name.is_empty()).unwrap_or(query);
        }
        self.qtype = Some((qtype, qtype_name));
        self.query = Some(query);
    }

    fn answer(&mut self, header: &Header, section: Section, owner: &[u8], text: Vec<u8>, ttl: u32, out: &Output<'_>) {
        if self.query.is_none() {
            self.query = Some(owner.to_vec());
        }
        self.authoritative = header.authoritative;
        self.recursion_available = header.recursion_available;
        if self.rtt.is_none() {
            // No time at all means that only the reply was seen.
            self.rtt = Some(out.at.since(self.at)).filter(|rtt| rtt.0 != 0);
        }
        if text.is_empty() {
            return;
        }
        let adds = section == Section::Update && !text.starts_with(b"del:");
        self.answers.push((if adds { [b"add: ", &text[..]].concat() } else { text }, ttl));
    }
}

/// Reads questions and records; what the log wants of them goes to `dns`. The reason is returned if it is not DNS.
fn read_sections(message: &[u8], header: &Header, mut dns: Option<&mut Dns>, out: &mut Output<'_>) -> Option<&'static str> {
    const TOO_MANY: &str = "DNS_Conn_count_too_large";
    if header.questions > MAX_QUESTIONS {
        odd(out, TOO_MANY, None);
        return Some(TOO_MANY);
    }
    let mut sections = Sections::new(message, out.id.resp.port == NETBIOS_PORT);
    read_all(&mut sections, header, &mut dns, out);
    for (name, detail) in sections.oddities() {
        odd(out, name, detail);
    }
    None
}

/// Reads as far as the message can be read.
fn read_all(sections: &mut Sections<'_>, header: &Header, dns: &mut Option<&mut Dns>, out: &mut Output<'_>) -> Option<()> {
    let mut name = Vec::new();
    for _ in 0..header.questions {
        let asked = sections.question(&mut name)?;
        let Some(dns) = dns.as_deref_mut() else { continue };
        if !header.is_reply {
            name.make_ascii_lowercase();
            dns.ask(header, &out.id, std::mem::take(&mut name), asked);
        } else if header.answers == 0 && header.authorities == 0 && header.additionals == 0 {
            dns.rejected = true;
        }
    }
    let updates = header.opcode == opcode::UPDATE && !sections.is_netbios();
    let first = if updates { Section::Prerequisite } else { Section::Answer };
    let second = if updates { Section::Update } else { Section::Authority };
    read_records(sections, header, first, header.answers, dns, out)?;
    out.confirm();
    // Zeek reads further sections of a reply with answers only if there are any; without answers it reads them too.
    read_records(sections, header, second, header.authorities, dns, out)?;
    read_records(sections, header, Section::Additional, header.additionals, dns, out)
}

fn read_records(
    sections: &mut Sections<'_>,
    header: &Header,
    section: Section,
    count: u16,
    dns: &mut Option<&mut Dns>,
    out: &Output<'_>,
) -> Option<()> {
    let mut owner = Vec::new();
    for _ in 0..count {
        let head = sections.head(&mut owner)?;
        let wanted = header.is_reply && section.is_logged() && dns.is_some();
        let data = match (section, head.len) {
            (Section::Prerequisite, 0) => Data::Text(prerequisite(head, &owner)),
            (Section::Update, 0) => Data::Text(deletion(head, &owner)),
            (_, 0) if sections.remaining() > 0 => {
                sections.odd("DNS_zero_rdlength", None);
                return None;
            }
            _ => rdata::read(sections, head, &owner, wanted),
        };
        match data {
            Data::Text(text) => {
                if let Some(dns) = dns.as_deref_mut().filter(|_| wanted) {
                    let text = if section == Section::Update { update(head, &owner, text) } else { text };
                    dns.answer(header, section, &owner, text, head.ttl, out);
                }
            }
            Data::Silent => {}
            Data::Broken => return None,
        }
    }
    Some(())
}

/// RFC 2136 §2.4: what must hold before an update.
fn prerequisite(head: Head, owner: &[u8]) -> Vec<u8> {
    let kind = consts::query_type(head.kind);
    let owner = String::from_utf8_lossy(owner);
    match (head.class, head.kind) {
        (class::NONE, kind::ANY) => format!("pre: NameNotInUse {owner}"),
        (class::ANY, kind::ANY) => format!("pre: NameInUse {owner}"),
        (class::NONE, _) => format!("pre: NoRRSet {kind} {owner}"),
        _ => format!("pre: RRSetExists {kind} {owner}"),
    }
    .into_bytes()
}

/// RFC 2136 §2.5: what an update deletes.
fn deletion(head: Head, owner: &[u8]) -> Vec<u8> {
    let kind = consts::query_type(head.kind);
    let owner = String::from_utf8_lossy(owner);
    match (head.class, head.kind) {
        (class::ANY, kind::ANY) => format!("del: RRSet * {owner}"),
        (class::NONE, _) => format!("del: RR {kind} {owner}"),
        _ => format!("del: RRSet {kind}"),
    }
    .into_bytes()
}

/// Addresses in an update are printed with their name.
fn update(head: Head, owner: &[u8], text: Vec<u8>) -> Vec<u8> {
    if head.len == 0 || !matches!(head.kind, kind::A | kind::AAAA | kind::A6) {
        return text;
    }
    [consts::query_type(head.kind).as_bytes(), b" ", owner, b" ", &text].concat()
}

fn odd(out: &mut Output<'_>, name: &'static str, detail: Option<u32>) {
    out.weird_detail(name, detail.map(|n| n.to_string()).as_deref().map(str::as_bytes), Some(DNS.label));
}
