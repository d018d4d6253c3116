//! `conn.log`.

use super::tcp::State;
use super::{Flow, Kind};
use crate::log::{Eve, Log, Record, Row, Sessions, column, malcolm, timestamp};
use crate::{FlowId, Interval, Options, Pair, Time, Transport, Uid};

/// A line of `conn.log`.
#[derive(Clone, Debug)]
pub struct ConnRecord {
    /// Time of the first packet.
    pub at: Time,
    /// Who and whom.
    pub id: FlowId,
    /// Confirmed protocols.
    pub service: Vec<&'static str>,
    /// From the first to the last packet; unset if there was but one.
    pub duration: Option<Interval>,
    /// Payload bytes; meaningful with a duration only.
    pub bytes: Pair<u64>,
    /// How the connection began and ended (`S0`, `SF`, `REJ` …).
    pub state: &'static str,
    /// Whether the addresses are local.
    pub local: Pair<bool>,
    /// Bytes lost in gaps.
    pub missed_bytes: u64,
    /// The letters.
    pub history: String,
    /// Packets.
    pub packets: Pair<u64>,
    /// Bytes with IP headers.
    pub ip_bytes: Pair<u64>,
    /// Flows that carried this one.
    pub tunnel_parents: Vec<Uid>,
    /// Protocol number of the IP header.
    pub ip_proto: u8,
    /// Outer VLAN.
    pub vlan: Option<u16>,
    /// Inner VLAN.
    pub inner_vlan: Option<u16>,
    /// MAC addresses.
    pub l2: Pair<Option<[u8; 6]>>,
    /// Community id, where the profile asks for it.
    pub community_id: Option<String>,
}

/// `conn.log` (scripts/base/protocols/conn/main.zeek; Malcolm's columns: zeek-columns of 26.08).
pub static CONN: Log = Log {
    path: "conn",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("proto", "enum"),
        column("service", "string"),
        column("duration", "interval"),
        column("orig_bytes", "count"),
        column("resp_bytes", "count"),
        column("conn_state", "string"),
        column("local_orig", "bool"),
        column("local_resp", "bool"),
        column("missed_bytes", "count"),
        column("history", "string"),
        column("orig_pkts", "count"),
        column("orig_ip_bytes", "count"),
        column("resp_pkts", "count"),
        column("resp_ip_bytes", "count"),
        column("tunnel_parents", "set[string]"),
        column("ip_proto", "count"),
        malcolm("ja4t", "string"),
        malcolm("ja4ts", "string"),
        malcolm("ja4l", "string"),
        malcolm("ja4ls", "string"),
        malcolm("ja4l_delta", "string"),
        malcolm("ja4ls_delta", "string"),
        malcolm("vlan", "int"),
        malcolm("inner_vlan", "int"),
        malcolm("orig_l2_addr", "string"),
        malcolm("resp_l2_addr", "string"),
        malcolm("community_id", "string"),
    ],
};

impl ConnRecord {
    pub(crate) fn of(flow: &Flow, options: &Options) -> Self {
        let duration = flow.last.since(flow.start);
        let sizes = match &flow.kind {
            Kind::Tcp(tcp) => tcp.sizes(),
            Kind::Datagrams => Pair { orig: flow.volume.orig.payload.unwrap_or(0), resp: flow.volume.resp.payload.unwrap_or(0) },
        };
        Self {
            at: flow.start,
            id: flow.id,
            service: flow.notes.services.clone(),
            duration: (duration > Interval::ZERO).then_some(duration),
            bytes: sizes,
            state: conn_state(flow, sizes),
            local: Pair { orig: options.is_local(flow.id.orig.addr), resp: options.is_local(flow.id.resp.addr) },
            missed_bytes: flow.missed,
            history: flow.history.text().to_owned(),
            packets: Pair { orig: flow.volume.orig.packets, resp: flow.volume.resp.packets },
            ip_bytes: Pair { orig: flow.volume.orig.ip_bytes, resp: flow.volume.resp.ip_bytes },
            tunnel_parents: flow.tunnels.clone(),
            ip_proto: flow.ip_proto,
            vlan: flow.vlan,
            inner_vlan: flow.inner_vlan,
            l2: flow.l2,
            community_id: (options.profile == crate::log::Profile::Malcolm).then(|| crate::community::id(&flow.id, flow.ip_proto)),
        }
    }
}

impl Record for ConnRecord {
    fn log(&self) -> &'static Log {
        &CONN
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.symbol(Some(self.id.transport.name()));
        row.symbol((!self.service.is_empty()).then(|| self.service.join(",")).as_deref());
        row.interval(self.duration);
        row.count(self.duration.map(|_| self.bytes.orig));
        row.count(self.duration.map(|_| self.bytes.resp));
        row.symbol(Some(self.state));
        row.bool(Some(self.local.orig));
        row.bool(Some(self.local.resp));
        row.count(Some(self.missed_bytes));
        row.symbol((!self.history.is_empty()).then_some(&*self.history));
        row.count(Some(self.packets.orig));
        row.count(Some(self.ip_bytes.orig));
        row.count(Some(self.packets.resp));
        row.count(Some(self.ip_bytes.resp));
        row.uids((!self.tunnel_parents.is_empty()).then(|| self.tunnel_parents.iter().copied()));
        row.count(Some(u64::from(self.ip_proto)));
        // JA4T and JA4L are under a licence that this product cannot meet: the columns stay, unset.
        for _ in 0..6 {
            row.symbol(None);
        }
        row.count(self.vlan.map(u64::from));
        row.count(self.inner_vlan.map(u64::from));
        row.symbol(self.l2.orig.map(mac).as_deref());
        row.symbol(self.l2.resp.map(mac).as_deref());
        row.symbol(self.community_id.as_deref());
    }

    fn arkime(&self, sessions: &mut Sessions) {
        let Some(fields) = sessions.of(&self.id, self.at) else { return };
        self.service.iter().filter_map(|name| arkime_name(name, self.id.resp.port)).for_each(|name| fields.protocol(name));
    }

    /// Suricata's `flow` event.
    fn eve(&self, eve: &mut Eve<'_>) {
        let end = self.duration.map_or(self.at, |duration| self.at + duration);
        eve.event("flow", end, &self.id, |json| {
            json.some_str("community_id", self.community_id.as_deref());
            json.str("app_proto", self.service.last().map_or("failed", |name| eve_name(name)));
            json.child("flow", |json| {
                json.number("pkts_toserver", self.packets.orig);
                json.number("pkts_toclient", self.packets.resp);
                json.number("bytes_toserver", self.ip_bytes.orig);
                json.number("bytes_toclient", self.ip_bytes.resp);
                json.str("start", &timestamp(self.at));
                json.str("end", &timestamp(end));
                json.integer("age", end.secs() - self.at.secs());
                json.str("state", self.eve_state());
                json.str("reason", "unknown");
                json.bool("alerted", false);
            });
        });
    }
}

impl ConnRecord {
    /// Suricata's name for how far the flow got.
    fn eve_state(&self) -> &'static str {
        match (self.id.transport, self.state) {
            (Transport::Tcp, "SF" | "RSTO" | "RSTR" | "REJ" | "RSTOS0" | "RSTRH" | "SH" | "SHR") => "closed",
            (Transport::Tcp, "S1" | "S2" | "S3") => "established",
            (_, _) if self.packets.orig > 0 && self.packets.resp > 0 => "established",
            _ => "new",
        }
    }
}

/// Suricata's name of a protocol that Zeek names otherwise.
pub fn eve_name(service: &'static str) -> &'static str {
    match service {
        "ssl" => "tls",
        "krb" | "krb_tcp" => "krb5",
        "dce_rpc" => "dcerpc",
        "ftp-data" => "ftp-data",
        "postgresql" => "pgsql",
        "smb" | "gssapi" | "ntlm" => "smb",
        name => name,
    }
}

/// Arkime's name of a protocol that Zeek names otherwise; what it does not name is left out.
fn arkime_name(service: &'static str, port: u16) -> Option<&'static str> {
    match service {
        // One format, of which Arkime tells the uses apart by port.
        "dns" if port == 137 => Some("nbns"),
        "dns" if port == 5353 => Some("mdns"),
        "dns" if port == 5355 => Some("llmnr"),
        "krb" | "krb_tcp" => Some("krb5"),
        "dce_rpc" => Some("dcerpc"),
        // Arkime has rules of its own for these, and names them by them.
        "http" | "ssl" | "ftp" | "irc" | "smtp" | "ssh" | "smb" | "ntlm" | "mysql" | "postgresql" | "modbus" | "mqtt" | "dhcp" => None,
        "dnp3_tcp" | "dnp3_udp" | "ldap_tcp" | "ldap_udp" | "snmp" | "sip" | "radius" | "spicy_tftp" => None,
        "ftp-data" | "gssapi" => None,
        name => Some(name),
    }
}

fn mac(addr: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = addr;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// Zeek's summary of how a connection went (the table in scripts/base/protocols/conn/main.zeek).
fn conn_state(flow: &Flow, sizes: Pair<u64>) -> &'static str {
    match (&flow.kind, flow.id.transport) {
        (Kind::Tcp(tcp), _) => tcp_state(tcp.state(), sizes, flow.history.text()),
        (Kind::Datagrams, Transport::Udp) => match (flow.volume.orig.payload, flow.volume.resp.payload) {
            (Some(_), Some(_)) => "SF",
            (Some(_), None) => "S0",
            (None, Some(_)) => "SHR",
            (None, None) => "OTH",
        },
        (Kind::Datagrams, _) => "OTH",
    }
}

fn tcp_state(state: Pair<State>, sizes: Pair<u64>, history: &str) -> &'static str {
    use State::{Closed, Established, Inactive, Partial, Reset, SynAckSent, SynSent};
    let (orig, resp) = (state.orig, state.resp);
    let absent = |s| matches!(s, Inactive | Partial);
    match (orig, resp) {
        (SynSent | SynAckSent, Reset) => "REJ",
        (Reset, Reset) if sizes.orig == 0 && sizes.resp == 0 => "REJ",
        (o, Reset) if absent(o) => "RSTRH",
        (_, Reset) => "RSTR",
        (Reset, r) if absent(r) && is_reset_before_answer(history) => "RSTOS0",
        (Reset, r) if absent(r) => "OTH",
        (Reset, _) => "RSTO",
        (Closed, Closed) => "SF",
        (Closed, r) => {
            if absent(r) {
                "SH"
            } else {
                "S2"
            }
        }
        (o, Closed) => {
            if absent(o) {
                "SHR"
            } else {
                "S3"
            }
        }
        (SynSent, Inactive) => "S0",
        (Established, Established) => "S1",
        _ => "OTH",
    }
}

/// Whether the originator's SYN was followed by its RST with nothing that counts between.
fn is_reset_before_answer(history: &str) -> bool {
    let rest = history.strip_prefix('^').unwrap_or(history);
    let Some(rest) = rest.strip_prefix('S') else { return false };
    rest.split_once('R').is_some_and(|(between, _)| !between.contains(['H', 'A', 'F', 'G', 'I', 'Q']))
}
