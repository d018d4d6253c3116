//! Tunnels: which bytes of a packet are another packet.
//!
//! Only the formats are here; [`crate::Sensor`] opens the flow that carries a tunnel before it goes into it.

mod record;

pub use record::{TUNNEL, TunnelRecord};

use crate::Reader;
use crate::packet::Layers;

/// Tunnels inside each other. Zeek's `Tunnel::max_depth`.
pub(crate) const MAX_DEPTH: usize = 4;
/// How often one inner flow may change the tunnel that carries it before this is no longer followed.
/// Zeek's `Tunnel::max_changes_per_connection`.
pub(crate) const MAX_CHANGES: u32 = 5;

/// Kinds of tunnels over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Udp {
    Vxlan,
    Geneve,
    Gtp,
    Teredo,
    Ayiya,
    /// GRE in UDP (RFC 8086): the flow gets no service, the tunnel is logged as GRE.
    Gre,
}

impl Udp {
    /// Tunnel that a port stands for.
    pub(crate) const fn by_port(port: u16) -> Option<Self> {
        match port {
            4789 => Some(Self::Vxlan),
            6081 => Some(Self::Geneve),
            2152 | 2123 => Some(Self::Gtp),
            3544 => Some(Self::Teredo),
            5072 => Some(Self::Ayiya),
            4754 | 4755 => Some(Self::Gre),
            _ => None,
        }
    }

    /// Name in `conn.log`'s `service`.
    pub(crate) const fn service(self) -> Option<&'static str> {
        match self {
            Self::Vxlan => Some("vxlan"),
            Self::Geneve => Some("geneve"),
            Self::Gtp => Some("gtpv1"),
            Self::Teredo => Some("teredo"),
            Self::Ayiya => Some("ayiya"),
            Self::Gre => None,
        }
    }

    /// Name in `tunnel.log`.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Vxlan => "Tunnel::VXLAN",
            Self::Geneve => "Tunnel::GENEVE",
            Self::Gtp => "Tunnel::GTPv1",
            Self::Teredo => "Tunnel::TEREDO",
            Self::Ayiya => "Tunnel::AYIYA",
            Self::Gre => "Tunnel::GRE",
        }
    }

    /// The layer that Arkime names, if it does.
    pub(crate) const fn layer(self) -> Option<Layers> {
        match self {
            Self::Vxlan => Some(Layers::VXLAN),
            Self::Geneve => Some(Layers::GENEVE),
            Self::Gtp => Some(Layers::GTP),
            Self::Gre => Some(Layers::GRE),
            Self::Teredo | Self::Ayiya => None,
        }
    }

    /// Name of the analyzer in `weird.log` and `analyzer.log`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Vxlan => "VXLAN",
            Self::Geneve => "GENEVE",
            Self::Gtp => "GTPV1",
            Self::Teredo => "TEREDO",
            Self::Ayiya => "AYIYA",
            Self::Gre => "GRE",
        }
    }
}

/// What a tunnel carries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Inner<'a> {
    Ip(&'a [u8]),
    Ethernet(&'a [u8]),
    Type(u16, &'a [u8]),
    Ppp(&'a [u8]),
}

/// Outcome of looking into a datagram.
#[derive(Debug)]
pub(crate) enum Opened<'a> {
    /// There is a packet in it.
    Packet(Inner<'a>),
    /// It is of this tunnel, but carries no packet (signalling, keep-alive).
    Empty,
    /// It is of this tunnel, and odd; the text is Zeek's weird name.
    Weird(&'static str),
    /// It is not of this tunnel; the text is Zeek's failure reason.
    Not(&'static str),
}

/// Looks for `kind` in a datagram.
pub(crate) fn open(kind: Udp, bytes: &[u8]) -> Opened<'_> {
    match kind {
        Udp::Vxlan => vxlan(bytes),
        Udp::Geneve => geneve(bytes),
        Udp::Gtp => gtp(bytes),
        Udp::Teredo => teredo(bytes),
        Udp::Ayiya => ayiya(bytes),
        Udp::Gre => gre(bytes),
    }
}

/// The virtual network that a tunnel's packet belongs to: RFC 7348 §5 and RFC 8926 §3.4 put it in the same place.
pub(crate) fn network(kind: Udp, bytes: &[u8]) -> Option<u32> {
    let mut r = Reader::new(bytes);
    let _head = r.u32()?;
    (matches!(kind, Udp::Vxlan | Udp::Geneve) && !is_generic(kind, bytes)).then(|| r.u24()).flatten()
}

/// Whether it is VXLAN's generic extension (draft-ietf-nvo3-vxlan-gpe §3.1: flag P).
pub(crate) fn is_generic(kind: Udp, bytes: &[u8]) -> bool {
    kind == Udp::Vxlan && bytes.first().is_some_and(|flags| flags & 0x04 != 0)
}

/// The tag of the network that ERSPAN of type II or III mirrors (draft-foschiano-erspan §4.2).
pub(crate) fn mirrored(bytes: &[u8]) -> Option<u16> {
    let mut r = Reader::new(bytes);
    let (flags, kind) = (r.u16()?, r.u16()?);
    // A sequence number follows the header of these types alone.
    if !matches!(kind, 0x88be | 0x22eb) || flags & 0x1000 == 0 {
        return None;
    }
    r.skip(4)?;
    Some(r.u16()? & 0x0fff).filter(|tag| *tag != 0)
}

/// RFC 7348 §5: flags of which I must be set, VNI, the frame.
fn vxlan(bytes: &[u8]) -> Opened<'_> {
    let mut r = Reader::new(bytes);
    let Some([flags, ..]) = r.array::<8>() else { return Opened::Not("VXLAN header truncation") };
    if flags & 0x08 == 0 {
        return Opened::Not("VXLAN 'I' flag not set");
    }
    Opened::Packet(Inner::Ethernet(r.rest()))
}

/// RFC 8926 §3.4.
fn geneve(bytes: &[u8]) -> Opened<'_> {
    let mut r = Reader::new(bytes);
    let Some([first, _flags, hi, lo, _, _, _, _]) = r.array::<8>() else { return Opened::Not("Geneve header truncation") };
    if first >> 6 != 0 {
        return Opened::Not("Invalid Geneve version");
    }
    if r.skip(usize::from(first & 0x3f) * 4).is_none() {
        return Opened::Not("Geneve option header truncation");
    }
    if r.is_empty() {
        return Opened::Weird("geneve_empty_packet");
    }
    match u16::from_be_bytes([hi, lo]) {
        0x6558 => Opened::Packet(Inner::Ethernet(r.rest())),
        kind => Opened::Packet(Inner::Type(kind, r.rest())),
    }
}

/// 3GPP TS 29.281 §5.1: version 1, user plane messages (type 255) carry a packet.
fn gtp(bytes: &[u8]) -> Opened<'_> {
    const SHORT: Opened<'static> = Opened::Not("Truncated GTPv1");
    let mut r = Reader::new(bytes);
    let Some([flags, kind, hi, lo, _, _, _, _]) = r.array::<8>() else { return SHORT };
    let (version, is_gtp) = (flags >> 5, flags & 0x10 != 0);
    if version != 1 || !is_gtp {
        return Opened::Not("Probably not GTPv1");
    }
    let len = usize::from(u16::from_be_bytes([hi, lo]));
    if len != r.remaining() {
        return if r.remaining() < len { SHORT } else { Opened::Not("GTPv1 payload length mismatch") };
    }
    if flags & 0x07 != 0 {
        let Some([_, _, _, mut next]) = r.array::<4>() else { return SHORT };
        if flags & 0x04 == 0 {
            next = 0;
        }
        // Extension headers: length in words of four bytes, of which the last byte names the next.
        while next != 0 {
            let Some(words) = r.u8() else { return SHORT };
            let Some(body) = (usize::from(words) * 4).checked_sub(1).and_then(|len| r.take(len)) else { return SHORT };
            next = body.last().copied().unwrap_or(0);
        }
    }
    if kind != 255 {
        return Opened::Empty;
    }
    match r.peek().map(|b| b >> 4) {
        Some(4 | 6) => Opened::Packet(Inner::Ip(r.rest())),
        Some(_) => Opened::Not("non-IP packet in GTPv1"),
        None => SHORT,
    }
}

/// RFC 4380 §5.1.1: optional authentication and origin indications, then an IPv6 packet.
fn teredo(bytes: &[u8]) -> Opened<'_> {
    let mut r = Reader::new(bytes);
    for _ in 0..3 {
        let mut peek = r;
        match peek.u16() {
            Some(0x0000) => {
                if peek.skip(6).is_none() {
                    return Opened::Not("Bad Teredo origin indication");
                }
            }
            Some(0x0001) => {
                let (Some(client), Some(auth)) = (peek.u8(), peek.u8()) else { return Opened::Not("Bad Teredo authentication") };
                // Nonce of eight bytes and a confirmation byte close it.
                if peek.skip(usize::from(client) + usize::from(auth) + 9).is_none() {
                    return Opened::Not("Bad Teredo authentication");
                }
            }
            Some(first) if first >> 12 == 6 => {
                let mut header = r;
                let plen = header.skip(4).and_then(|()| header.u16());
                let fits = plen.is_some_and(|plen| r.remaining() == usize::from(plen) + 40);
                return if fits { Opened::Packet(Inner::Ip(r.rest())) } else { Opened::Not("Teredo payload length") };
            }
            _ => return Opened::Not("Bad Teredo payload"),
        }
        r = peek;
    }
    Opened::Not("Bad Teredo payload")
}

/// draft-massar-v6ops-ayiya §3: sizes of identity and signature, operation, next header.
fn ayiya(bytes: &[u8]) -> Opened<'_> {
    let mut r = Reader::new(bytes);
    let Some([identity, signature, operation, next]) = r.array::<4>() else { return Opened::Not("AYIYA header truncation") };
    let identity_len = 1usize << (identity >> 4);
    let signature_len = usize::from(signature >> 4) * 4;
    if r.skip(4 + identity_len + signature_len).is_none() {
        return Opened::Not("AYIYA header truncation");
    }
    match (operation & 15, next, r.peek().map(|b| b >> 4)) {
        (1, 41, Some(6)) | (1, 4, Some(4)) => Opened::Packet(Inner::Ip(r.rest())),
        // Echo requests and the like carry nothing.
        (0 | 2..=9, _, _) => Opened::Empty,
        _ => Opened::Not("AYIYA next header mismatch"),
    }
}

/// RFC 2784, RFC 2890, RFC 2637 §4.1 (version 1), ERSPAN types I to III, Aruba's wireless frames.
pub(crate) fn gre(bytes: &[u8]) -> Opened<'_> {
    const SHORT: Opened<'static> = Opened::Weird("truncated_GRE");
    let mut r = Reader::new(bytes);
    let (Some(flags), Some(kind)) = (r.u16(), r.u16()) else { return SHORT };
    let version = flags & 7;
    let (checksum, key, sequence) = (flags & 0x8000 != 0, flags & 0x2000 != 0, flags & 0x1000 != 0);
    let mut optional = 0usize;
    if version == 0 {
        if flags & 0x4000 != 0 {
            return Opened::Weird("gre_routing");
        }
        optional += if checksum { 4 } else { 0 } + if key { 4 } else { 0 } + if sequence { 4 } else { 0 };
    } else if version == 1 {
        // Enhanced GRE: key (length and call id) always, sequence and acknowledgement numbers if flagged.
        optional += 4 + if sequence { 4 } else { 0 } + if flags & 0x0080 != 0 { 4 } else { 0 };
    } else {
        return Opened::Weird("unknown_gre_version");
    }
    if r.skip(optional).is_none() {
        return SHORT;
    }
    match kind {
        // ERSPAN: type I has no header of its own, type II eight bytes, type III twelve (and eight more if O is set).
        0x88be if !sequence => Opened::Packet(Inner::Ethernet(r.rest())),
        0x88be => r.skip(8).map_or(SHORT, |()| Opened::Packet(Inner::Ethernet(r.rest()))),
        0x22eb => {
            let Some(head) = r.array::<12>() else { return SHORT };
            if head.last().is_some_and(|b| b & 1 != 0) && r.skip(8).is_none() {
                return SHORT;
            }
            Opened::Packet(Inner::Ethernet(r.rest()))
        }
        // Aruba access points: kinds 0x8200 to 0x9000 carry an 802.11 frame; 0x8200 that of a data frame.
        0x8200 => Opened::Packet(Inner::Type(kind, r.rest())),
        0x880b => Opened::Packet(Inner::Ppp(ppp_payload(r.rest()))),
        0x6558 => Opened::Packet(Inner::Ethernet(r.rest())),
        _ => Opened::Packet(Inner::Type(kind, r.rest())),
    }
}

/// RFC 2637 lets the address and control field of PPP be there or not.
fn ppp_payload(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(&[0xff, 0x03]).unwrap_or(bytes)
}
