//! How a sensor analyses. Set once, before the first frame.

use std::net::IpAddr;

use crate::log::Profile;

/// Settings of the analysis, the same for every worker but for the seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which columns are written, and which of Malcolm's extra scripts are followed.
    pub profile: Profile,
    /// Makes uids; the same seed and packets give the same uids.
    pub seed: u64,
    /// Whether packets with a wrong checksum are left out, as Zeek does by default.
    pub checksums: bool,
    /// Networks that `local_orig` and `local_resp` mean. Zeek's default: the private and link-local ones.
    pub local: Vec<Network>,
    /// Bytes of one file that are carved at most; 0 carves nothing. Malcolm's `EXTRACTED_FILE_MAX_BYTES`.
    pub carve_bytes: u64,
    /// Which files are carved.
    pub carve: Carve,
    /// Flows kept at once in one worker; above this the one idle for longest is ended.
    pub max_flows: usize,
    /// Whether Arkime's sessions are made.
    pub sessions: bool,
}

/// Which files are carved, by MIME type. Malcolm's `ZEEK_EXTRACTOR_MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carve {
    /// None.
    None,
    /// Those whose MIME type was recognised.
    Known,
    /// Those whose MIME type Malcolm maps to an extension.
    Mapped,
    /// All.
    All,
    /// Those of types that carry exploits.
    Interesting,
    /// All but common plain text.
    NotCommonText,
}

/// An IP prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    addr: IpAddr,
    bits: u8,
}

impl Network {
    /// `bits` above the address's width mean the whole address.
    pub const fn new(addr: IpAddr, bits: u8) -> Self {
        Self { addr, bits }
    }

    /// Whether `addr` lies in it.
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(net), IpAddr::V4(addr)) => {
                let shift = 32u32.saturating_sub(u32::from(self.bits));
                (net.to_bits() ^ addr.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(addr)) => {
                let shift = 128u32.saturating_sub(u32::from(self.bits));
                (net.to_bits() ^ addr.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        use std::net::{Ipv4Addr, Ipv6Addr};
        let v4 = |a, b, c, d, bits| Network::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits);
        let v6 = |[a, b, c]: [u16; 3], bits| Network::new(IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), bits);
        Self {
            profile: Profile::Stock,
            seed: 0,
            checksums: true,
            // Zeek's Site::private_address_space: IANA's special-purpose address registries.
            local: vec![
                v4(10, 0, 0, 0, 8),
                v4(192, 168, 0, 0, 16),
                v4(172, 16, 0, 0, 12),
                v4(0, 0, 0, 0, 8),
                v4(100, 64, 0, 0, 10),
                v4(127, 0, 0, 0, 8),
                v4(169, 254, 0, 0, 16),
                v4(192, 0, 0, 0, 24),
                v4(192, 0, 2, 0, 24),
                v4(198, 18, 0, 0, 15),
                v4(198, 51, 100, 0, 24),
                v4(203, 0, 113, 0, 24),
                v4(224, 0, 0, 0, 24),
                v4(239, 0, 0, 0, 8),
                v4(240, 0, 0, 0, 4),
                v6([0xfc00, 0, 0], 7),
                v6([0xfe80, 0, 0], 10),
                v6([0x0064, 0xff9b, 1], 48),
                v6([0x0100, 0, 0], 64),
                v6([0x2001, 0, 0], 23),
                v6([0x2001, 2, 0], 48),
                v6([0x2001, 0xdb8, 0], 32),
                // The same IPv4 networks as 6to4 addresses (RFC 3056).
                v6([0x2002, 0x0000, 0], 24),
                v6([0x2002, 0x0a00, 0], 24),
                v6([0x2002, 0x6440, 0], 26),
                v6([0x2002, 0x7f00, 0], 24),
                v6([0x2002, 0xa9fe, 0], 32),
                v6([0x2002, 0xac10, 0], 28),
                v6([0x2002, 0xc000, 0], 40),
                v6([0x2002, 0xc000, 0x0200], 40),
                v6([0x2002, 0xc0a8, 0], 32),
                v6([0x2002, 0xc612, 0], 31),
                v6([0x2002, 0xc633, 0x6400], 40),
                v6([0x2002, 0xcb00, 0x7100], 40),
                v6([0x2002, 0xf000, 0], 20),
                Network::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128),
                Network::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
            ],
            carve_bytes: 134_217_728,
            carve: Carve::None,
            max_flows: 500_000,
            sessions: false,
        }
    }
}

impl Options {
    /// Whether `addr` is in one of the local networks.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        self.local.iter().any(|network| network.contains(addr))
    }
}
