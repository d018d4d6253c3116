//! Identity of flows and files: addresses, ports, uids.

use std::net::IpAddr;

/// Transport protocol of a flow, as Zeek's `proto` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP or ICMPv6; ports hold type and code.
    Icmp,
    /// Any other protocol over IP (Zeek's `unknown_transport`).
    Other(u8),
}

impl Transport {
    /// Zeek's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Other(_) => "unknown_transport",
        }
    }
}

/// Address and port of one side. The port is in host order; of ICMP it holds type or code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// IP address.
    pub addr: IpAddr,
    /// Port.
    pub port: u16,
}

/// Which side sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the originator to the responder.
    Originator,
    /// From the responder to the originator.
    Responder,
}

impl Direction {
    /// The other side.
    pub const fn flip(self) -> Self {
        match self {
            Self::Originator => Self::Responder,
            Self::Responder => Self::Originator,
        }
    }

    /// Whether the originator sent it: Zeek's `is_orig`.
    pub const fn is_orig(self) -> bool {
        matches!(self, Self::Originator)
    }
}

/// One value for each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair<T> {
    /// The originator's.
    pub orig: T,
    /// The responder's.
    pub resp: T,
}

impl<T> Pair<T> {
    /// The value of `from`.
    pub const fn of(&self, from: Direction) -> &T {
        match from {
            Direction::Originator => &self.orig,
            Direction::Responder => &self.resp,
        }
    }

    /// The value of `from`, to change.
    pub const fn of_mut(&mut self, from: Direction) -> &mut T {
        match from {
            Direction::Originator => &mut self.orig,
            Direction::Responder => &mut self.resp,
        }
    }
}

/// Which flow a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId {
    /// The flow's uid.
    pub uid: Uid,
    /// Who opened it.
    pub orig: Endpoint,
    /// Who answered.
    pub resp: Endpoint,
    /// Transport protocol.
    pub transport: Transport,
}

impl FlowId {
    /// The sender's side of something that came `from`.
    pub const fn sender(&self, from: Direction) -> Endpoint {
        match from {
            Direction::Originator => self.orig,
            Direction::Responder => self.resp,
        }
    }
}

/// An identifier of Zeek's shape: a letter (`C` for flows, `F` for files) and 17 base-62 digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid {
    prefix: u8,
    value: u128,
}

impl Uid {
    /// Length of the text form.
    pub const LEN: usize = 18;

    /// The low bits of its value.
    pub(crate) const fn low(self) -> u64 {
        self.value as u64
    }

    /// The text form.
    pub fn text(self) -> [u8; Self::LEN] {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut text = [self.prefix; Self::LEN];
        let mut value = self.value;
        for slot in text.iter_mut().skip(1) {
            *slot = DIGITS.get((value % 62) as usize).copied().unwrap_or(b'0');
            value /= 62;
        }
        text
    }
}

impl std::fmt::Display for Uid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl std::fmt::Debug for Uid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Makes uids: the same seed gives the same sequence.
#[derive(Debug)]
pub struct UidSource {
    seed: u64,
    issued: u64,
}

impl UidSource {
    /// A sequence of its own for each seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, issued: 0 }
    }

    /// The next uid of a flow.
    pub fn flow(&mut self) -> Uid {
        self.next(b'C')
    }

    /// The next uid of a file.
    pub fn file(&mut self) -> Uid {
        self.next(b'F')
    }

    fn next(&mut self, prefix: u8) -> Uid {
        self.issued = self.issued.wrapping_add(1);
        let high = mix(self.seed ^ mix(self.issued));
        let low = mix(high ^ self.seed.rotate_left(32) ^ self.issued);
        Uid { prefix, value: (u128::from(high) << 64) | u128::from(low) }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): spreads every input bit over the output.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
