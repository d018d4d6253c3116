//! The types of single values: each is valid once it exists.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Declares an enum that is written as one of a few words, in the file and in the environment.
macro_rules! words {
    ($(#[doc = $about:literal])* pub enum $Name:ident { $( $(#[doc = $doc:literal])* $Variant:ident = $word:literal, )* }) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $Name {
            $( $(#[doc = $doc])* #[serde(rename = $word)] $Variant, )*
        }

        impl $Name {
            /// The words accepted, in the order of declaration.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word of this value.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $( Self::$Variant => $word, )* }
            }
        }

        impl FromStr for $Name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $( $word => Ok(Self::$Variant), )*
                    other => Err(format!("{other:?} is not one of {}", Self::WORDS.join(", "))),
                }
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words! {
    /// How packets are taken from an interface.
    pub enum CaptureMode {
        /// XDP where it attaches, AF_PACKET elsewhere.
        Auto = "auto",
        /// XDP or nothing.
        Xdp = "xdp",
        /// AF_PACKET (TPACKET_V3) always.
        AfPacket = "af_packet",
    }
}

words! {
    /// Compression of PCAP files.
    pub enum Compression {
        /// Plain PCAP.
        None = "none",
        /// LZ4 frames, `.pcap.lz4`, which Wireshark opens.
        Lz4 = "lz4",
    }
}

words! {
    /// Form of the Zeek logs.
    pub enum ZeekFormat {
        /// One JSON object per line.
        Json = "json",
        /// Tab-separated values with Zeek's header lines.
        Tsv = "tsv",
    }
}

words! {
    /// Which columns the Zeek logs have.
    pub enum Profile {
        /// The columns of an unmodified Zeek.
        Stock = "stock",
        /// Those that Malcolm's Zeek writes: community id, VLANs and MAC addresses in conn, and so on.
        Malcolm = "malcolm",
    }
}

words! {
    /// Which files are carved from the traffic (Malcolm's ZEEK_EXTRACTOR_MODE).
    pub enum CarvingMode {
        /// No file.
        None = "none",
        /// Files whose MIME type is known.
        Known = "known",
        /// Files whose MIME type has a file name extension in the table.
        Mapped = "mapped",
        /// Every file.
        All = "all",
        /// Executables, documents, archives: types that carry attacks.
        Interesting = "interesting",
        /// Everything but common plain text (HTML, CSS, JSON and the like).
        NotCommonText = "notcommtxt",
    }
}

words! {
    /// Which carved files stay on disk after the scan (Malcolm's FILESCAN_PRESERVATION).
    pub enum Preservation {
        /// Those with a verdict.
        Quarantined = "quarantined",
        /// All of them.
        All = "all",
        /// None.
        None = "none",
    }
}

words! {
    /// How the collector's certificate is checked.
    pub enum Verify {
        /// Signed by the CA, and naming the host that was dialled.
        Full = "full",
        /// Signed by the CA; the name is not looked at. For Malcolm, whose server certificate has no name.
        Chain = "chain",
        /// Not at all: whoever answers gets the records.
        None = "none",
    }
}

words! {
    /// When packets are analysed.
    pub enum AnalysisMode {
        /// As they come.
        Live = "live",
        /// From the capture files, once they are complete.
        Rotated = "rotated",
    }
}

words! {
    /// A release of Malcolm, in what it expects of a sensor.
    pub enum Malcolm {
        /// 26.08, August 2026.
        V2608 = "26.08",
        /// 26.05.
        V2605 = "26.05",
        /// 26.01: takes scan results in a form of its own.
        V2601 = "26.01",
    }
}

words! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2, the only one that Malcolm's own sensors offer.
        V12 = "1.2",
        /// TLS 1.3.
        V13 = "1.3",
    }
}

words! {
    /// Whether the embedded collector asks for client certificates.
    pub enum ClientCertificates {
        /// Never asked for.
        None = "none",
        /// Checked when sent, as Malcolm does.
        Optional = "optional",
        /// Demanded.
        Required = "required",
    }
}

/// An IP network in CIDR notation; a bare address is a network of one. Bits behind the prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// First address of the network.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Length of the prefix in bits: 0 to 32 for IPv4, 0 to 128 for IPv6.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether `address` lies in the network. An IPv4 network never contains an IPv6 address.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => mask(address, self.prefix) == self.address,
            _ => false,
        }
    }
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & keep))
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & keep))
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a network: write it like 10.0.0.0/8 or fd00::/8");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => widest,
            Some(prefix) => prefix.trim().parse().ok().filter(|bits| *bits <= widest).ok_or_else(wrong)?,
        };
        Ok(Self { address: mask(address, prefix), prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// How the management interface has its address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum InterfaceAddress {
    /// DHCP, and a link-local address where nobody answers.
    #[default]
    Dhcp,
    /// This one.
    Fixed {
        /// The host's address, not the network's.
        address: IpAddr,
        /// Length of the prefix in bits: 1 to 32 for IPv4, 1 to 128 for IPv6.
        prefix: u8,
    },
}

impl FromStr for InterfaceAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an address for an interface: write \"dhcp\", or it with its prefix like 192.0.2.7/24");
        if text.trim().eq_ignore_ascii_case("dhcp") {
            return Ok(Self::Dhcp);
        }
        let (address, prefix) = text.trim().split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.parse().ok().filter(|bits| (1..=widest).contains(bits)).ok_or_else(wrong)?;
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            return Err(wrong());
        }
        Ok(Self::Fixed { address, prefix })
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dhcp => f.write_str("dhcp"),
            Self::Fixed { address, prefix } => write!(f, "{address}/{prefix}"),
        }
    }
}

/// A host and a port, `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`. Without a port, 5044 (Beats).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host {
    name: String,
    port: u16,
}

impl Host {
    /// Port of Logstash's Beats input.
    pub const BEATS_PORT: u16 = 5044;

    /// Host name or address, without brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// TCP port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Host {
    /// As [`Host::from_str`], with another port in place of a missing one.
    pub(crate) fn parse(text: &str, default_port: u16) -> Option<Self> {
        let bare_v6 = text.parse::<Ipv6Addr>().is_ok();
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !bare_v6 && !text.ends_with(']') => (name, port.parse::<u16>().ok().filter(|port| *port > 0)?),
            _ => (text, default_port),
        };
        let name = match name.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|inner| inner.parse::<Ipv6Addr>().is_ok())?,
            None => name,
        };
        let is_address = name.parse::<IpAddr>().is_ok();
        let is_name = !name.is_empty() && name.len() <= 253 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        (is_address || is_name).then(|| Self { name: name.to_owned(), port })
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, Self::BEATS_PORT)
            .ok_or_else(|| format!("{text:?} is not a host: write it like collector.example:5044, 192.0.2.1:5044 or [2001:db8::1]:5044"))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') { write!(f, "[{}]:{}", self.name, self.port) } else { write!(f, "{}:{}", self.name, self.port) }
    }
}

/// The conversions that serde's `try_from` and `into` go through.
macro_rules! as_text {
    ($($Type:ty),*) => { $(
        impl TryFrom<String> for $Type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$Type> for String {
            fn from(value: $Type) -> Self {
                value.to_string()
            }
        }
    )* };
}
pub(crate) use as_text;
as_text!(Network, InterfaceAddress, Host);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_masked_and_matched_within_their_family() {
        let network: Network = "10.1.2.3/8".parse().unwrap();
        assert_eq!(network.to_string(), "10.0.0.0/8");
        assert!(network.contains("10.255.0.1".parse().unwrap()));
        assert!(!network.contains("11.0.0.1".parse().unwrap()));
        assert!(!network.contains("::ffff:10.0.0.1".parse().unwrap()));
        let all: Network = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
        assert_eq!("192.0.2.1".parse::<Network>().unwrap().prefix(), 32);
    }

    #[test]
    fn wrong_networks_are_refused_with_an_example() {
        for text in ["", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "ten/8", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().unwrap_err().contains("10.0.0.0/8"), "{text}");
        }
    }

    #[test]
    fn an_interface_has_its_address_by_dhcp_or_with_a_prefix() {
        for text in ["dhcp", "192.0.2.7/24", "2001:db8::7/64"] {
            assert_eq!(text.parse::<InterfaceAddress>().unwrap().to_string(), text);
        }
        for text in ["", "192.0.2.7", "192.0.2.7/0", "192.0.2.7/33", "127.0.0.1/8", "224.0.0.1/4", "0.0.0.0/0", "static"] {
            assert!(text.parse::<InterfaceAddress>().unwrap_err().contains("192.0.2.7/24"), "{text}");
        }
    }

    #[test]
    fn hosts_have_a_port_and_brackets_where_they_need_them() {
        for (text, name, port, shown) in [
            ("collector.example:5045", "collector.example", 5045, "collector.example:5045"),
            ("collector", "collector", 5044, "collector:5044"),
            ("192.0.2.1:1", "192.0.2.1", 1, "192.0.2.1:1"),
            ("[2001:db8::1]:5044", "2001:db8::1", 5044, "[2001:db8::1]:5044"),
            ("[2001:db8::1]", "2001:db8::1", 5044, "[2001:db8::1]:5044"),
            ("2001:db8::1", "2001:db8::1", 5044, "[2001:db8::1]:5044"),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!((host.name(), host.port(), host.to_string().as_str()), (name, port, shown));
        }
        for text in ["", ":5044", "host:0", "host:70000", "ho st:1", "https://host:1", "[host]:1"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
