//! Which protocols Arkime names by the first bytes of one side: its classifiers, as one table.

use super::parsers::{self, Make};
use crate::{Direction, Pair};

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
    Both,
}

/// The first bytes of one side of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning<'a> {
    pub(super) transport: Transport,
    pub(super) from: Direction,
    /// Of the session's source and destination.
    pub(super) ports: Pair<u16>,
    pub(super) data: &'a [u8],
}

/// A way to recognise a protocol.
#[derive(Debug)]
pub(super) struct Classifier {
    /// Arkime's name of the protocol.
    pub(super) name: &'static str,
    pub(super) transport: Transport,
    /// Where `bytes` have to stand.
    pub(super) offset: usize,
    pub(super) bytes: &'static [u8],
    /// What else has to hold.
    holds: fn(&Beginning<'_>) -> bool,
    /// Reads what follows.
    pub(super) parser: Option<Make>,
}

/// The protocols that one side's first bytes stand for.
pub(super) fn of<'b>(beginning: &'b Beginning<'_>) -> impl Iterator<Item = &'static Classifier> + 'b {
    // Arkime classifies no single byte.
    let rows = if beginning.data.len() < 2 { &[] } else { CLASSIFIERS };
    rows.iter().filter(move |classifier| {
        (classifier.transport == beginning.transport || classifier.transport == Transport::Both)
            && beginning.data.get(classifier.offset..).is_some_and(|data| data.starts_with(classifier.bytes))
            && (classifier.holds)(beginning)
    })
}

impl Beginning<'_> {
    fn at(&self, place: usize) -> u8 {
        self.data.get(place).copied().unwrap_or(0)
    }

    pub(super) fn u16(&self, place: usize) -> usize {
        usize::from(u16::from_be_bytes([self.at(place), self.at(place + 1)]))
    }

    const fn len(&self) -> usize {
        self.data.len()
    }

    pub(super) const fn has_port(&self, port: u16) -> bool {
        self.ports.orig == port || self.ports.resp == port
    }

    fn contains(&self, from: usize, needle: &[u8]) -> bool {
        memchr::memmem::find(self.data.get(from..).unwrap_or_default(), needle).is_some()
    }
}

const fn tcp(name: &'static str, bytes: &'static [u8]) -> Classifier {
    Classifier { name, transport: Transport::Tcp, offset: 0, bytes, holds: |_| true, parser: None }
}

const fn udp(name: &'static str, bytes: &'static [u8]) -> Classifier {
    Classifier { name, transport: Transport::Udp, offset: 0, bytes, holds: |_| true, parser: None }
}

const fn both(name: &'static str, bytes: &'static [u8]) -> Classifier {
    Classifier { name, transport: Transport::Both, offset: 0, bytes, holds: |_| true, parser: None }
}

impl Classifier {
    const fn at(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    const fn when(self, holds: fn(&Beginning<'_>) -> bool) -> Self {
        Self { holds, ..self }
    }

    const fn read(self, parser: Make) -> Self {
        Self { parser: Some(parser), ..self }
    }

    /// Whether the name is the parser's affair.
    pub(super) fn is_silent(&self) -> bool {
        self.name == "s7comm"
    }
}

/// All that Arkime 6.7 recognises without a parser of its own, and the protocols of `parsers`.
pub(super) static CLASSIFIERS: &[Classifier] = &[
    tcp("adb", b"CNXN").when(is_adb),
    tcp("aerospike", b"\x02\x01\x00\x00\x00\x00\x00\x4enode"),
    tcp("aerospike", b"\x02\x01\x00\x00\x00\x00\x00\x23node"),
    udp("aruba-papi", b"Ir").when(|b| b.has_port(8211) && b.len() >= 20),
    udp("bacnet", b"\x81").when(is_bacnet).read(parsers::bacnet),
    udp("bacnet", b"\x82").when(is_bacnet).read(parsers::bacnet),
    tcp("bgp", &[0xff; 16]).when(|b| b.ports.resp == 179 && b.len() >= 19).read(parsers::bgp),
    tcp("bitcoin", b"\xf9\xbe\xb4\xd9"),
    tcp("bitcoin", b"\xf9\xbe\xb4\xfe"),
    tcp("bittorrent", b"\x13BitTorrent protocol"),
    tcp("bittorrent", b"BSYNC\x00"),
    udp("bittorrent", b"d1:a"),
    udp("bittorrent", b"d1:r"),
    udp("bittorrent", b"d1:q"),
    udp("bjnp", b"BJNP"),
    tcp("cassandra", b"\x00\x00\x00\x25\x80\x01\x00\x01\x00\x00\x00\x0cset_"),
    tcp("cassandra", b"\x00\x00\x00\x1d\x80\x01\x00\x01\x00\x00\x00\x10desc"),
    tcp("dcerpc", b"\x05\x00\x0b"),
    udp("dropbox-lan-sync", b"").when(|b| b.has_port(17500) && b.contains(1, b"host_int")),
    tcp("dnp3", b"\x05\x64").when(|b| b.len() >= 10 && b.at(2) >= 5).read(parsers::dnp3_stream),
    udp("dnp3", b"\x05\x64").when(|b| b.len() >= 10 && b.at(2) >= 5).read(parsers::dnp3_datagram),
    tcp("diameter", b"\x01").when(is_diameter).read(parsers::diameter),
    tcp("elasticsearch", b"ES\x00\x00"),
    tcp("enip", b"").when(|b| b.has_port(44818) && parsers::is_enip(b.data)).read(parsers::enip_stream),
    udp("enip", b"").when(is_enip_datagram).read(parsers::enip_datagram),
    tcp("flap", b"\x2a\x01").when(is_flap),
    tcp("flash-policy", b"<policy-file-request/>"),
    tcp("ftp", b"220 ").when(|b| !b.contains(0, b"LMTP") && !b.contains(0, b"SMTP") && !b.contains(0, b" TLS")),
    tcp("gh0st", b"\x78").at(13).when(is_gh0st),
    tcp("hadoop", b"hrpc\x09"),
    tcp("hbase", b"HBas\x00"),
    tcp("hdfs", b"\x00\x1c\x50").when(|b| b.len() >= 10 && b.at(5) == 10),
    tcp("hdfs", b"\x00\x1c\x51").when(|b| b.len() >= 10 && b.at(5) == 10),
    tcp("hdfs", b"\x00\x1c\x55").when(|b| b.len() >= 10 && b.at(5) == 10),
    tcp("honeywell-tcc", b"CBKPPR\x05P"),
    udp("hsrp", b"\x00\x03").when(|b| is_hsrp(b) && b.len() >= 3),
    udp("hsrpv2", b"\x01\x28\x02").when(is_hsrp),
    tcp("imap", b"* OK ").when(|b| {
        let rest = b.data.get(5..).unwrap_or_default().to_ascii_lowercase();
        memchr::memmem::find(&rest, b"imap").is_some()
    }),
    tcp("irc", b":").when(|b| b.len() >= 8 && b.contains(0, b" NOTICE ")).read(parsers::irc),
    tcp("irc", b"NOTICE AUTH").read(parsers::irc),
    tcp("irc", b"NICK ").when(|b| b.len() >= 8).read(parsers::irc),
    // FTP has such a command, too.
    tcp("irc", b"USER ").when(|b| b.contains(0, b"\nNICK ") || b.contains(0, b" +iw ")).read(parsers::irc),
    tcp("irc", b"CAP REQ ").read(parsers::irc),
    udp("isakmp", b"").when(is_isakmp).read(parsers::isakmp),
    tcp("jabber", b"<?xml").when(|b| b.contains(5, b"jabber")),
    tcp("kafka", b"\x00\x00").when(|b| b.len() >= 10 && b.at(4) == 0 && b.at(5) <= 6 && b.at(7) == 0 && b.len() == 4 + b.u16(2)),
    both("ldap", b"\x30").when(|b| parsers::is_ldap(b.data)).read(parsers::ldap),
    tcp("lmtp", b"220 ").when(|b| b.contains(0, b"LMTP")),
    tcp("memcached", b"flush_all"),
    tcp("memcached", b"STORED\r\n"),
    tcp("memcached", b"END\r\n"),
    tcp("memcached", b"VALUE "),
    udp("memcached", b"\x00\x00stats").at(6),
    udp("memcached", b"\x00\x00gets ").at(6),
    tcp("modbus", b"").when(|b| b.has_port(502) && b.len() >= 7 && b.u16(2) == 0 && b.u16(4) + 6 == b.len()).read(parsers::modbus),
    tcp("mqtt", b"").when(is_mqtt).read(parsers::mqtt),
    tcp("mongo", b"\x00\x00\x00\x00\xd4\x07\x00\x00").at(8),
    tcp("mongo", b"\xff\xff\xff\xff\xd4\x07\x00\x00").at(8),
    udp("nbns", b"\x20").at(12).when(is_nbns).read(parsers::nbns),
    udp("netflow", b"\x00").when(|b| b.has_port(2055) && b.len() >= 20 && matches!(b.at(1), 1 | 5 | 7 | 9)),
    udp("ipfix", b"\x00\x0a").when(|b| b.has_port(4739) && b.len() >= 16),
    tcp("nsclient", b"NSClient"),
    tcp("nsclient", b"None&"),
    tcp("nzsql", b"\x00\x00\x00\x08\x00\x01\x00\x03"),
    tcp("opcua", b"HELF").when(|b| b.len() >= 8).read(parsers::opcua),
    udp("openvpn", b"\x38").when(|b| parsers::control_key(b.data).is_some()).read(parsers::openvpn_datagrams),
    tcp("openvpn", b"\x38").at(2).when(is_openvpn).read(parsers::openvpn_stream),
    tcp("oracle", b"\x00\x00\x01\x00\x00\x00")
        .at(2)
        .when(|b| b.from.is_orig() && b.len() > 27 && b.u16(0) == b.len())
        .read(parsers::oracle),
    tcp("pjl", b"\x1b%-12345"),
    tcp("pjl", b"@PJL "),
    tcp("pop3", b"+OK "),
    udp("quic", b"Q0").at(9).when(|b| parsers::gquic_version(b.data).is_some()).read(parsers::gquic),
    udp("ptp", b"").when(is_ptp).read(parsers::ptp),
    udp("radius", b"").when(is_radius).read(parsers::radius),
    tcp("redis", b"+PONG"),
    tcp("redis", b"*1\r\n$"),
    tcp("redis", b"*2\r\n$"),
    tcp("redis", b"*3\r\n$"),
    tcp("redis", b"*4\r\n$"),
    tcp("redis", b"*5\r\n$"),
    tcp("redis", b"-NOAUTH "),
    udp("rip", b"\x01\x01\x00\x00").when(|b| b.has_port(520)),
    udp("rip", b"\x01\x02\x00\x00").when(|b| b.has_port(520)),
    udp("rip", b"\x02\x01\x00\x00").when(|b| b.has_port(520)),
    udp("rip", b"\x02\x02\x00\x00").when(|b| b.has_port(520)),
    tcp("rmi", b"JRMI\x00\x02K"),
    tcp("rdp", b"\x03\x00").when(|b| parsers::is_rdp(b.data)).read(parsers::rdp),
    tcp("s7comm", b"\x03\x00").when(|b| parsers::is_s7comm(b.data)).read(parsers::s7comm),
    tcp("rpc-over-http", b"RPC_IN_DATA "),
    tcp("rpc-over-http", b"RPC_OUT_DATA "),
    udp("safet", b"").when(|b| b.has_port(23294) && b.len() >= 24 && usize::from(b.at(2)) == b.len()),
    tcp("sccp", b"").when(|b| {
        b.from.is_orig() && b.ports.resp == 2000 && b.len() > 20 && b.len() >= usize::from(b.at(0)) + 8 && b.data.get(1..8) == Some(&[0; 7])
    }),
    tcp("sip", b"SIP/2.0").when(is_sip).read(parsers::sip_stream),
    tcp("sip", b"INVITE sip:").when(is_sip).read(parsers::sip_stream),
    tcp("sip", b"REGISTER sip:").when(is_sip).read(parsers::sip_stream),
    tcp("sip", b"NOTIFY sip:").when(is_sip).read(parsers::sip_stream),
    udp("sip", b"SIP/2.0").when(is_sip).read(parsers::sip_datagram),
    udp("sip", b"INVITE sip:").when(is_sip).read(parsers::sip_datagram),
    udp("sip", b"REGISTER sip:").when(is_sip).read(parsers::sip_datagram),
    udp("sip", b"OPTIONS sip:").when(is_sip).read(parsers::sip_datagram),
    udp("sip", b"NOTIFY sip:").when(is_sip).read(parsers::sip_datagram),
    tcp("smb", b"\xffSMB").at(4).read(parsers::smb),
    tcp("smb", b"\xfeSMB").at(4).read(parsers::smb),
    udp("sflow", b"\x00\x00\x00\x05").when(|b| b.has_port(6343)),
    udp("snmp", b"\x30").when(is_snmp).read(parsers::snmp),
    tcp("splunk", b"--splunk-cooked-mode"),
    udp("ssdp", b"M-SEARCH "),
    udp("ssdp", b"NOTIFY * "),
    udp("steam-friends", b"VS01"),
    tcp("stream-ihscp", b"\xa4\x00\x00\x00VT01"),
    both("stun", b"RSP/").when(|b| b.contains(7, b"STUN")),
    udp("stun", b"\x00\x01\x00").when(is_stun).read(parsers::stun_datagram),
    udp("stun", b"\x00\x03\x00").when(is_stun).read(parsers::stun_datagram),
    udp("stun", b"\x01\x01\x00").when(is_stun).read(parsers::stun_datagram),
    tcp("stun", b"\x00\x01\x00").when(has_cookie).read(parsers::stun_stream),
    tcp("stun", b"\x00\x03\x00").when(has_cookie).read(parsers::stun_stream),
    tcp("stun", b"\x00\x04\x00").when(has_cookie).read(parsers::stun_stream),
    tcp("stun", b"\x00\x08\x00").when(has_cookie).read(parsers::stun_stream),
    both("syslog", b"<").when(is_syslog),
    both("tacacs", b"\xc0\x01\x01").when(|b| b.has_port(49)),
    both("tacacs", b"\xc0\x01\x02").when(|b| b.has_port(49)),
    both("tacacs", b"\xc0\x02\x01").when(|b| b.has_port(49)),
    both("tacacs", b"\xc0\x03\x01").when(|b| b.has_port(49)),
    both("tacacs", b"\xc0\x03\x02").when(|b| b.has_port(49)),
    both("tacacs", b"\xc1\x01\x01").when(|b| b.has_port(49)),
    both("tacacs", b"\xc1\x01\x02").when(|b| b.has_port(49)),
    tcp("tds", b"\x02\x00\x02\x00\x00\x00\x01\x00").when(|b| b.from.is_orig() && b.len() >= 512).read(parsers::tds),
    tcp("tls", b"\x16\x03").when(|b| b.len() >= 6 && b.at(2) <= 3 && matches!(b.at(5), 1 | 2)),
    udp("tftp", b"\x00").when(is_tftp).read(parsers::tftp),
    tcp("telnet", b"\xff").when(|b| b.from.is_orig() && b.ports.resp == 23 && b.len() >= 3 && b.at(1) >= 0xfa),
    tcp("thrift", b"\x80\x01\x00\x01\x00\x00\x00"),
    tcp("thrift", b"\x80\x01\x00").at(4).when(|b| b.len() > 20 && b.data.starts_with(&[0, 0])),
    udp("valve-a2s", b"\xff\xff\xff\xffTSou"),
    tcp("vnc", b"RFB 0").when(|b| b.len() >= 12 && b.at(7) == b'.' && b.at(11) == b'\n'),
    tcp("x11", b"l\x00\x0b\x00"),
    tcp("zabbix", b"ZBXD\x01"),
    tcp("zookeeper", b"zk_version"),
    tcp("zookeeper", b"mntr\n"),
    tcp("zookeeper", b"\x00\x00\x00\x2c\x00\x00\x00\x00"),
    tcp("zookeeper", b"\x00\x00\x00\x2d\x00\x00\x00\x00"),
];

/// The Android debug bridge: 24 bytes of header whose last four are the inverse of the first.
fn is_adb(b: &Beginning<'_>) -> bool {
    b.len() >= 24 && (0..4).all(|i| b.at(20 + i) == !b.at(i))
}

/// BACnet/IP (ASHRAE 135 annex J): type, function, length.
fn is_bacnet(b: &Beginning<'_>) -> bool {
    b.len() >= 4 && b.at(1) <= 0x0c && (4..=b.len()).contains(&b.u16(2))
}

/// RFC 6733 §3: a length, reserved flags of 0, and a command.
fn is_diameter(b: &Beginning<'_>) -> bool {
    (b.has_port(3868) || b.has_port(5658))
        && b.len() >= 20
        && (b.at(1) != 0 || b.u16(2) >= 20)
        && b.at(4) & 0x0f == 0
        && (b.at(5) != 0 || b.u16(6) != 0)
}

fn is_enip_datagram(b: &Beginning<'_>) -> bool {
    (b.has_port(44818) || b.has_port(2222))
        && parsers::is_enip(b.data)
        && 24 + (usize::from(b.at(3)) << 8 | usize::from(b.at(2))) == b.len()
}

/// CONNECT, whose first field is the protocol's name (OASIS MQTT 3.1.1 §3.1).
fn is_mqtt(b: &Beginning<'_>) -> bool {
    let digits = b.data.iter().skip(1).take(4).position(|byte| byte & 0x80 == 0);
    b.len() >= 10
        && b.at(0) & 0xf0 == 0x10
        && digits
            .and_then(|digits| b.data.get(2 + digits..))
            .is_some_and(|rest| rest.starts_with(b"\x00\x04MQTT") || rest.starts_with(b"\x00\x06MQIsdp"))
}

fn is_nbns(b: &Beginning<'_>) -> bool {
    b.has_port(137) && b.len() >= 50 && (13..17).all(|place| matches!(b.at(place), b'A'..=b'P'))
}

fn is_openvpn(b: &Beginning<'_>) -> bool {
    b.data.get(2..2 + b.u16(0)).is_some_and(|packet| parsers::control_key(packet).is_some())
}

fn is_ptp(b: &Beginning<'_>) -> bool {
    (b.has_port(319) || b.has_port(320))
        && b.at(1) & 0x0f == 2
        && matches!(b.at(0) & 0x0f, 0..=3 | 8..=13)
        && b.len() >= 34
        && (34..=b.len()).contains(&b.u16(2))
}

/// RFC 2865 §3: a length, after which there may be padding, on the old ports or the new.
fn is_radius(b: &Beginning<'_>) -> bool {
    (20..=b.len()).contains(&b.u16(2)) && [1812, 1813, 1645, 1646, 3799].iter().any(|port| b.has_port(*port))
}

fn is_sip(b: &Beginning<'_>) -> bool {
    b.len() >= 12 && memchr::memmem::find(b.data.get(..200).unwrap_or(b.data), b"SIP/2.0").is_some()
}

fn is_snmp(b: &Beginning<'_>) -> bool {
    b.len() >= 12 && [161, 162, 8161].iter().any(|port| b.has_port(*port)) && parsers::is_snmp(b.data)
}

/// RFC 1350 §5: requests have a name and a mode, each ended by a zero.
fn is_tftp(b: &Beginning<'_>) -> bool {
    let mut parts = b.data.get(2..).unwrap_or_default().split(|byte| *byte == 0);
    let mut is_there = || parts.next().is_some_and(|part| !part.is_empty());
    b.has_port(69)
        && b.len() >= 4
        && match b.at(1) {
            1 | 2 => is_there() && is_there() && parts.next().is_some(),
            3..=5 => true,
            _ => false,
        }
}

fn is_flap(b: &Beginning<'_>) -> bool {
    let end = 6 + b.u16(4);
    b.len() >= 6 && (b.len() == end || (b.len() > end && b.at(end) == b'*'))
}

fn is_gh0st(b: &Beginning<'_>) -> bool {
    let little = usize::from(b.at(6)) << 8 | usize::from(b.at(5));
    let big = usize::from(b.at(7)) << 8 | usize::from(b.at(8));
    (b.at(8) == 0 && b.at(7) == 0 && little == b.len())
        || (b.at(5) == 0 && b.at(6) == 0 && big == b.len())
        || (b.at(7) == 0 && b.at(8) == 0 && b.at(11) == 0 && b.at(12) == 0 && b.at(14) == 0x9c)
}

const fn is_hsrp(b: &Beginning<'_>) -> bool {
    b.ports.orig == b.ports.resp && matches!(b.ports.orig, 1985 | 2029)
}

/// RFC 7296 §3.1 and RFC 2408 §3.1: version, exchange and flags, after four bytes of zero on port 4500 (RFC 3948 §2.2).
fn is_isakmp(b: &Beginning<'_>) -> bool {
    let skip = match (b.has_port(4500), b.has_port(500)) {
        (true, _) if b.data.starts_with(&[0; 4]) => 4,
        (false, true) => 0,
        _ => return false,
    };
    let (exchange, flags) = (b.at(18 + skip), b.at(19 + skip));
    b.len() >= 28 + skip
        && match b.at(17 + skip) >> 4 {
            1 => matches!(exchange, 0..=5 | 32 | 33 | 240..) && flags & 0xf8 == 0,
            2 => matches!(exchange, 34..=37) && flags & 0xc7 == 0,
            _ => false,
        }
}

/// RFC 8489 §5, and RFC 3489 before it, which has no cookie.
fn is_stun(b: &Beginning<'_>) -> bool {
    b.len() >= 20 && (has_cookie(b) || b.u16(2) + 20 == b.len())
}

fn has_cookie(b: &Beginning<'_>) -> bool {
    b.len() >= 20 && b.data.get(4..8) == Some(&parsers::STUN_COOKIE)
}

/// RFC 5424 §6.2.1: a priority in angle brackets.
fn is_syslog(b: &Beginning<'_>) -> bool {
    let digits = b.data.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
    matches!(b.at(1), b'1'..=b'9') && b.at(1 + digits) == b'>'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(transport: Transport, ports: (u16, u16), data: &[u8]) -> Vec<&'static str> {
        let beginning = Beginning { transport, from: Direction::Originator, ports: Pair { orig: ports.0, resp: ports.1 }, data };
        of(&beginning).map(|classifier| classifier.name).collect()
    }

    #[test]
    fn protocols_are_known_by_bytes_and_where_these_are_few_by_ports() {
        let any = (40_000, 50_000);
        assert_eq!(names(Transport::Tcp, any, b"\x13BitTorrent protocol"), ["bittorrent"]);
        assert_eq!(names(Transport::Tcp, any, b"+OK ready"), ["pop3"]);
        assert_eq!(names(Transport::Udp, any, b"\x81\x0b\x00\x08\x01\x20\xff\xff"), ["bacnet"]);
        assert_eq!(names(Transport::Tcp, any, b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c"), ["mqtt"]);
        let netflow = [&[0, 5][..], &[0; 22]].concat();
        assert_eq!(names(Transport::Udp, (1000, 2055), &netflow), ["netflow"]);
        assert_eq!(names(Transport::Udp, any, &netflow), [""; 0]);
    }

    #[test]
    fn bytes_of_one_transport_mean_nothing_on_the_other() {
        assert_eq!(names(Transport::Udp, (1, 2), b"+OK ready"), [""; 0]);
        assert_eq!(names(Transport::Tcp, (1, 2), b"+"), [""; 0], "Arkime classifies no single byte");
    }

    #[test]
    fn no_beginning_is_too_short_or_odd() {
        for classifier in CLASSIFIERS {
            let mut data = vec![0; classifier.offset];
            data.extend_from_slice(classifier.bytes);
            data.extend_from_slice(&[0xff; 40]);
            for len in 0..data.len() {
                for (transport, port) in [Transport::Tcp, Transport::Udp].into_iter().zip([4500, 53]) {
                    names(transport, (port, 502), &data[..len]);
                }
            }
        }
    }
}
