//! Which protocols Arkime names by the first bytes of one side: its classifiers, as one table.

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
    transport: Transport,
    /// Where `bytes` have to stand.
    offset: usize,
    bytes: &'static [u8],
    /// What else has to hold.
    holds: fn(&Beginning<'_>) -> bool,
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

    fn u16(&self, place: usize) -> usize {
        usize::from(u16::from_be_bytes([self.at(place), self.at(place + 1)]))
    }

    const fn len(&self) -> usize {
        self.data.len()
    }

    const fn has_port(&self, port: u16) -> bool {
        self.ports.orig == port || self.ports.resp == port
    }

    fn contains(&self, from: usize, needle: &[u8]) -> bool {
        memchr::memmem::find(self.data.get(from..).unwrap_or_default(), needle).is_some()
    }
}

const fn tcp(name: &'static str, bytes: &'static [u8]) -> Classifier {
    Classifier { name, transport: Transport::Tcp, offset: 0, bytes, holds: |_| true }
}

const fn udp(name: &'static str, bytes: &'static [u8]) -> Classifier {
    Classifier { name, transport: Transport::Udp, offset: 0, bytes, holds: |_| true }
}

const fn both(name: &'static str, bytes: &'static [u8]) -> Classifier {
    Classifier { name, transport: Transport::Both, offset: 0, bytes, holds: |_| true }
}

impl Classifier {
    const fn at(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    const fn when(self, holds: fn(&Beginning<'_>) -> bool) -> Self {
        Self { holds, ..self }
    }
}

/// All that Arkime 6.7 recognises without a parser of its own, and the protocols of `parsers`.
static CLASSIFIERS: &[Classifier] = &[
    tcp("adb", b"CNXN").when(is_adb),
    tcp("aerospike", b"\x02\x01\x00\x00\x00\x00\x00\x4enode"),
    tcp("aerospike", b"\x02\x01\x00\x00\x00\x00\x00\x23node"),
    udp("aruba-papi", b"Ir").when(|b| b.has_port(8211) && b.len() >= 20),
    udp("bacnet", b"\x81").when(is_bacnet),
    tcp("bgp", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
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
    tcp("elasticsearch", b"ES\x00\x00"),
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
    udp("isakmp", b"").when(is_isakmp),
    tcp("jabber", b"<?xml").when(|b| b.contains(5, b"jabber")),
    tcp("kafka", b"\x00\x00").when(|b| b.len() >= 10 && b.at(4) == 0 && b.at(5) <= 6 && b.at(7) == 0 && b.len() == 4 + b.u16(2)),
    tcp("lmtp", b"220 ").when(|b| b.contains(0, b"LMTP")),
    tcp("memcached", b"flush_all"),
    tcp("memcached", b"STORED\r\n"),
    tcp("memcached", b"END\r\n"),
    tcp("memcached", b"VALUE "),
    udp("memcached", b"\x00\x00stats").at(6),
    udp("memcached", b"\x00\x00gets ").at(6),
    tcp("mongo", b"\x00\x00\x00\x00\xd4\x07\x00\x00").at(8),
    tcp("mongo", b"\xff\xff\xff\xff\xd4\x07\x00\x00").at(8),
    tcp("nsclient", b"NSClient"),
    tcp("nsclient", b"None&"),
    tcp("nzsql", b"\x00\x00\x00\x08\x00\x01\x00\x03"),
    tcp("pjl", b"\x1b%-12345"),
    tcp("pjl", b"@PJL "),
    tcp("pop3", b"+OK "),
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
    udp("safet", b"").when(|b| b.has_port(23294) && b.len() >= 24 && usize::from(b.at(2)) == b.len()),
    tcp("sccp", b"").when(|b| {
        b.from.is_orig() && b.ports.resp == 2000 && b.len() > 20 && b.len() >= usize::from(b.at(0)) + 8 && b.data.get(1..8) == Some(&[0; 7])
    }),
    both("sip", b"SIP/2.0"),
    both("sip", b"REGISTER sip:"),
    both("sip", b"NOTIFY sip:"),
    tcp("smb", b"\xffSMB").at(4),
    tcp("smb", b"\xfeSMB").at(4),
    tcp("splunk", b"--splunk-cooked-mode"),
    udp("ssdp", b"M-SEARCH "),
    udp("ssdp", b"NOTIFY * "),
    udp("steam-friends", b"VS01"),
    tcp("stream-ihscp", b"\xa4\x00\x00\x00VT01"),
    both("stun", b"RSP/").when(|b| b.contains(7, b"STUN")),
    udp("stun", b"").when(is_stun),
    both("syslog", b"<").when(is_syslog),
    both("tacacs", b"\xc0\x01\x01").when(|b| b.has_port(49)),
    both("tacacs", b"\xc0\x01\x02").when(|b| b.has_port(49)),
    both("tacacs", b"\xc0\x02\x01").when(|b| b.has_port(49)),
    both("tacacs", b"\xc0\x03\x01").when(|b| b.has_port(49)),
    both("tacacs", b"\xc0\x03\x02").when(|b| b.has_port(49)),
    both("tacacs", b"\xc1\x01\x01").when(|b| b.has_port(49)),
    both("tacacs", b"\xc1\x01\x02").when(|b| b.has_port(49)),
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

/// BACnet/IP (ASHRAE 135 annex J): type 0x81, function, length.
fn is_bacnet(b: &Beginning<'_>) -> bool {
    b.len() >= 4 && b.at(1) <= 0x0b && b.u16(2) == b.len() && !b.has_port(53)
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

/// RFC 7296 §3.1: next payload and version, after four bytes of zero on port 4500 (RFC 3948 §2.2).
fn is_isakmp(b: &Beginning<'_>) -> bool {
    if !b.has_port(500) && !b.has_port(4500) {
        return false;
    }
    let skip = if b.has_port(4500) && b.data.starts_with(&[0; 4]) { 4 } else { 0 };
    b.len() >= 18 + skip && matches!(b.at(16 + skip), 1 | 8 | 33 | 35 | 43 | 46 | 53 | 132) && matches!(b.at(17 + skip), 0x10 | 0x20 | 0x02)
}

/// RFC 5389 §6, and RFC 3489 before it, which has no cookie.
fn is_stun(b: &Beginning<'_>) -> bool {
    b.len() >= 20
        && b.at(0) <= 1
        && 20 + b.u16(2) == b.len()
        && (b.data.get(4..8) == Some(&[0x21, 0x12, 0xa4, 0x42])
            || (b.at(2) == 0 && b.at(1) == 1 && b.len() > 25 && usize::from(b.at(23)) + 24 == b.len()))
}

/// RFC 5424 §6.2.1: a priority in angle brackets.
fn is_syslog(b: &Beginning<'_>) -> bool {
    let digits = b.data.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
    matches!(b.at(1), b'1'..=b'9') && b.at(1 + digits) == b'>'
}
