//! A captured frame, borrowed from the ring or the file it came from.

use crate::Time;

/// One frame as capture hands it over. Never copied on the way to the analyzers.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it was captured.
    pub at: Time,
    /// Bytes on the wire, which may be more than `data` holds.
    pub wire_len: u32,
    /// The bytes that were kept.
    pub data: &'a [u8],
    /// Index of the interface in the order in which the source lists them.
    pub interface: u16,
    /// What `data` starts with.
    pub link: Link,
    /// Where the record of the frame is kept, if it is.
    pub position: Option<Position>,
}

/// Where a frame's record begins in a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the file on this sensor, from 1; 0 for a file that is none of the sensor's own (`tenrec read`).
    pub file: u32,
    /// Bytes of the file before the record, uncompressed.
    pub offset: u64,
}

/// Link layer of a frame, numbered as in PCAP files (tcpdump.org/linktypes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link(pub u16);

impl Link {
    /// BSD loopback: a four-byte address family in host order.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// PPP.
    pub const PPP: Self = Self(9);
    /// Raw IP (as some systems number it).
    pub const RAW_BSD: Self = Self(12);
    /// PPP with HDLC-like framing.
    pub const PPP_HDLC: Self = Self(50);
    /// PPPoE session frames.
    pub const PPPOE: Self = Self(51);
    /// Raw IPv4 or IPv6.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// IEEE 802.11.
    pub const IEEE802_11: Self = Self(105);
    /// Frame Relay.
    pub const FRAME_RELAY: Self = Self(107);
    /// OpenBSD loopback: as `NULL`, in network order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// Prism header, then IEEE 802.11.
    pub const PRISM: Self = Self(119);
    /// Radiotap header, then IEEE 802.11.
    pub const RADIOTAP: Self = Self(127);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux netfilter log.
    pub const NFLOG: Self = Self(239);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
}
