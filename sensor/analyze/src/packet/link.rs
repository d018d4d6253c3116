//! What lies below IP: Ethernet with its tags, PPP, cooked captures, 802.11.

use super::{Below, Layers};
use crate::{Link, Reader};

/// Layers below IP of one frame. Deeper stacks do not occur but to exhaust parsers (Zeek's `max_analyzer_depth`).
const MAX_LAYERS: usize = 15;

/// Where the way down ended.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// An IP packet.
    Ip(&'a [u8]),
    /// Something that is not IP, and not odd: from its LLC header or the end of its Ethernet header on.
    Other(&'a [u8]),
    /// Something that cannot be read; the text is Zeek's weird name.
    Weird(&'static str),
}

/// Goes down from the link layer to IP, noting tags and addresses on the way.
pub(crate) fn open<'a>(link: Link, bytes: &'a [u8], below: &mut Below) -> Found<'a> {
    let start = match link {
        Link::ETHERNET => Layer::Ethernet,
        Link::RAW | Link::RAW_BSD | Link::IPV4 | Link::IPV6 => Layer::Ip,
        Link::NULL => Layer::Null(false),
        Link::LOOP => Layer::Null(true),
        Link::PPP | Link::PPP_HDLC | Link::C_HDLC => Layer::PppFramed,
        Link::PPPOE => Layer::Pppoe,
        Link::LINUX_SLL => Layer::Sll,
        Link::LINUX_SLL2 => Layer::Sll2,
        Link::IEEE802_11 => Layer::Wifi,
        Link::RADIOTAP => Layer::Radiotap,
        Link::PRISM => Layer::Prism,
        Link::NFLOG => Layer::Nflog,
        Link::FRAME_RELAY => Layer::FrameRelay,
        _ => return Found::Other(bytes),
    };
    descend(start, bytes, below)
}

/// As [`open`], for a payload that an Ethernet type announces (GRE, Geneve).
pub(crate) fn open_ethertype<'a>(kind: u16, bytes: &'a [u8], below: &mut Below) -> Found<'a> {
    if below.ethertype.is_some() {
        below.ethertype = Some(kind);
    }
    descend(Layer::Type(kind), bytes, below)
}

/// As [`open`], for a PPP payload (RFC 1661 §2: protocol field first).
pub(crate) fn open_ppp<'a>(bytes: &'a [u8], below: &mut Below) -> Found<'a> {
    below.layers.add(Layers::PPP);
    descend(Layer::Ppp, bytes, below)
}

#[derive(Clone, Copy, Debug)]
enum Layer {
    Ethernet,
    Type(u16),
    Ip,
    Null(bool),
    Ppp,
    PppFramed,
    Pppoe,
    Sll,
    Sll2,
    Wifi,
    Radiotap,
    Prism,
    Nflog,
    Mpls,
    Llc,
    FrameRelay,
}

fn descend<'a>(start: Layer, bytes: &'a [u8], below: &mut Below) -> Found<'a> {
    let mut layer = start;
    let mut r = Reader::new(bytes);
    for _ in 0..MAX_LAYERS {
        let start = r;
        layer = match layer {
            Layer::Ip => return Found::Ip(r.rest()),
            Layer::Type(0x0800 | 0x86dd) => return Found::Ip(r.rest()),
            other => match step(other, &mut r, below) {
                Ok(Some(next)) => next,
                Ok(None) => return Found::Other(if matches!(other, Layer::Llc | Layer::Type(_)) { start.rest() } else { r.rest() }),
                Err(weird) => return Found::Weird(weird),
            },
        };
    }
    Found::Weird("max_packet_analyzer_depth_exceeded")
}

/// One layer down: `Ok(None)` if what follows is not for us.
fn step(layer: Layer, r: &mut Reader<'_>, below: &mut Below) -> Result<Option<Layer>, &'static str> {
    match layer {
        Layer::Ip => Ok(Some(Layer::Ip)),
        Layer::Ethernet => ethernet(r, below).ok_or("truncated_ethernet_frame").map(Some),
        Layer::Type(kind) => ethertype(kind, r, below),
        Layer::Null(network_order) => {
            let family = if network_order { r.u32() } else { r.u32_le() }.ok_or("null_analyzer_failed")?;
            // The family is the capturing host's: 2 everywhere for IPv4, 24, 28 or 30 for IPv6, in either byte order.
            let family = if family > 0xffff { family.swap_bytes() } else { family };
            Ok(matches!(family, 2 | 10 | 24 | 28 | 30).then_some(Layer::Ip))
        }
        Layer::Ppp => {
            let first = r.u8().ok_or("truncated_ppp_header")?;
            // RFC 1661 §6.5: an odd first byte is a compressed protocol field.
            let protocol =
                if first & 1 == 1 { u16::from(first) } else { u16::from_be_bytes([first, r.u8().ok_or("truncated_ppp_header")?]) };
            Ok(ppp(protocol))
        }
        Layer::PppFramed => {
            let (address, control) = (r.u8().ok_or("truncated_ppp_header")?, r.u8().ok_or("truncated_ppp_header")?);
            match (address, control) {
                (0xff, 0x03) => Ok(Some(Layer::Ppp)),
                // Cisco HDLC: address 0x0f (unicast) or 0x8f, then an Ethernet type.
                (0x0f | 0x8f, _) => Ok(Some(Layer::Type(r.u16().ok_or("truncated_ppp_header")?))),
                (a, c) => Ok(ppp(u16::from_be_bytes([a, c]))),
            }
        }
        Layer::Pppoe => {
            // RFC 2516 §4: version and type, code, session id, length; code 0 is a session frame.
            let head = r.array::<6>().ok_or("truncated_pppoe_header")?;
            let [0x11, 0, _, _, high, low] = head else { return Ok(None) };
            // What stands behind the length is no part of the packet, whatever the IP header says.
            let rest = r.rest();
            let len = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
            below.cut = below.cut.saturating_add(rest.len().saturating_sub(len));
            *r = Reader::new(rest.get(..len).unwrap_or_default());
            Ok(Some(Layer::Ppp))
        }
        Layer::Sll => {
            r.skip(6).ok_or("truncated_Linux_SLL_header")?;
            below.l2_src = r.array::<6>();
            r.skip(2).ok_or("truncated_Linux_SLL_header")?;
            Ok(Some(Layer::Type(r.u16().ok_or("truncated_Linux_SLL_header")?)))
        }
        Layer::Sll2 => {
            let kind = r.u16().ok_or("truncated_Linux_SLL2_header")?;
            r.skip(10).ok_or("truncated_Linux_SLL2_header")?;
            below.l2_src = r.array::<6>();
            r.skip(2).ok_or("truncated_Linux_SLL2_header")?;
            Ok(Some(Layer::Type(kind)))
        }
        Layer::Mpls => {
            // RFC 3032 §2.1: the bottom-of-stack bit ends the labels; what follows tells its own version.
            loop {
                let label = r.u32().ok_or("no_mpls_payload")?;
                if label & 0x100 != 0 {
                    break;
                }
            }
            match r.peek().map(|b| b >> 4) {
                Some(4 | 6) => Ok(Some(Layer::Ip)),
                // RFC 4385 §3: a pseudo wire's control word starts with zero; Ethernet follows.
                Some(0) => r.skip(4).map(|()| Some(Layer::Ethernet)).ok_or("no_mpls_payload"),
                Some(_) => Ok(Some(Layer::Ethernet)),
                None => Err("no_mpls_payload"),
            }
        }
        Layer::Llc => llc(r),
        Layer::FrameRelay => {
            // Q.922 §3.3: an address of two bytes unless it is extended; then, as Cisco does it, an Ethernet type.
            while r.u8().ok_or("truncated_frame_relay_header")? & 1 == 0 {}
            Ok(Some(Layer::Type(r.u16().ok_or("truncated_frame_relay_header")?)))
        }
        Layer::Radiotap => {
            let mut head = *r;
            head.skip(2).ok_or("truncated_radiotap_header")?;
            let len = head.u16_le().ok_or("truncated_radiotap_header")?;
            r.skip(usize::from(len)).ok_or("truncated_radiotap_header")?;
            Ok(Some(Layer::Wifi))
        }
        Layer::Prism => {
            r.skip(144).ok_or("truncated_prism_header")?;
            Ok(Some(Layer::Wifi))
        }
        Layer::Wifi => wifi(r, below),
        Layer::Nflog => nflog(r),
    }
}

fn ethernet(r: &mut Reader<'_>, below: &mut Below) -> Option<Layer> {
    // Cisco FabricPath (outer type 0x8903) puts 16 bytes before the frame: two addresses of six bytes, type, tag.
    let mut peek = *r;
    let (dst, src, kind) = (peek.array::<6>()?, peek.array::<6>()?, peek.u16()?);
    if kind == 0x8903 {
        peek.skip(2)?;
        *r = peek;
        return Some(Layer::Ethernet);
    }
    below.l2_dst = Some(dst);
    below.l2_src = Some(src);
    below.ethertype = Some(kind);
    *r = peek;
    // IEEE 802.3: up to 1500 it is a length, and LLC follows.
    if kind <= 1500 { Some(Layer::Llc) } else { Some(Layer::Type(kind)) }
}

fn ethertype(kind: u16, r: &mut Reader<'_>, below: &mut Below) -> Result<Option<Layer>, &'static str> {
    match kind {
        0x0800 | 0x86dd => Ok(Some(Layer::Ip)),
        // 802.1Q, 802.1ad, and the type that vendors used before it.
        0x8100 | 0x88a8 | 0x9100 => {
            let tag = r.u16().ok_or("truncated_VLAN_frame")? & 0x0fff;
            let next = r.u16().ok_or("truncated_VLAN_frame")?;
            match (below.vlan, below.inner_vlan) {
                (None, _) => below.vlan = Some(tag),
                (Some(_), None) => below.inner_vlan = Some(tag),
                (Some(_), Some(_)) => return Err("triple_tagged_vlan_unsupported"),
            }
            if below.ethertype.is_some() {
                below.ethertype = Some(next);
            }
            Ok(Some(if next <= 1500 { Layer::Llc } else { Layer::Type(next) }))
        }
        0x8847 | 0x8848 => {
            below.layers.add(Layers::MPLS);
            Ok(Some(Layer::Mpls))
        }
        0x8864 => {
            below.layers.add(Layers::PPPOE);
            Ok(Some(Layer::Pppoe))
        }
        0x880b => Ok(Some(Layer::Ppp)),
        // 802.1ah: a four-byte instance tag, then the customer's frame.
        0x88e7 => {
            r.skip(4).ok_or("truncated_pbb_frame")?;
            Ok(Some(Layer::Ethernet))
        }
        // Cisco VN-Tag: four bytes of tag, then a type.
        0x8926 => {
            r.skip(4).ok_or("truncated_vntag_frame")?;
            Ok(Some(Layer::Type(r.u16().ok_or("truncated_vntag_frame")?)))
        }
        // Transparent Ethernet bridging.
        0x6558 => Ok(Some(Layer::Ethernet)),
        _ => Ok(None),
    }
}

fn llc(r: &mut Reader<'_>) -> Result<Option<Layer>, &'static str> {
    let Some([dsap, ssap, _control]) = r.array::<3>() else { return Ok(None) };
    match (dsap, ssap) {
        // IEEE 802 §10: SNAP carries an organisation code and an Ethernet type.
        (0xaa, 0xaa) => {
            let Some(_oui) = r.take(3) else { return Ok(None) };
            Ok(r.u16().map(Layer::Type))
        }
        (0x06, 0x06) => Ok(Some(Layer::Ip)),
        _ => Ok(None),
    }
}

const fn ppp(protocol: u16) -> Option<Layer> {
    match protocol {
        0x0021 | 0x0057 => Some(Layer::Ip),
        0x0281 | 0x0283 => Some(Layer::Mpls),
        _ => None,
    }
}

fn wifi(r: &mut Reader<'_>, below: &mut Below) -> Result<Option<Layer>, &'static str> {
    // IEEE 802.11 §9.2.3: frame control, duration, three addresses, sequence control.
    let control = r.u16_le().ok_or("truncated_802_11_frame")?;
    let (kind, subtype, to_from) = ((control >> 2) & 3, (control >> 4) & 15, (control >> 8) & 3);
    if kind != 2 || subtype & 4 != 0 || control & 0x4000 != 0 {
        // Management, control, data without data, and encrypted frames hold nothing for us.
        return Ok(None);
    }
    r.skip(2).ok_or("truncated_802_11_frame")?;
    let (first, second, third) = (r.array::<6>(), r.array::<6>(), r.array::<6>());
    r.skip(2).ok_or("truncated_802_11_frame")?;
    (below.l2_src, below.l2_dst) = match to_from {
        0 => (second, first),
        1 => (second, third),
        2 => (third, first),
        _ => (r.array::<6>(), third),
    };
    if subtype & 8 != 0 {
        // QoS control; its bit 7 says that an aggregate of MSDUs follows.
        let qos = r.u16_le().ok_or("truncated_802_11_frame")?;
        if qos & 0x80 != 0 {
            r.skip(14).ok_or("truncated_802_11_frame")?;
        }
    }
    Ok(Some(Layer::Llc))
}

/// The TLVs of the Linux netfilter log; type 9 is the payload.
fn nflog(r: &mut Reader<'_>) -> Result<Option<Layer>, &'static str> {
    let short = "truncated_nflog_header";
    r.skip(4).ok_or(short)?;
    loop {
        let (len, kind) = (r.u16_le().ok_or(short)?, r.u16_le().ok_or(short)?);
        if kind & 0x7fff == 9 {
            return Ok(Some(Layer::Ip));
        }
        let len = usize::from(len).checked_sub(4).ok_or("bad_nflog_tlv_len")?;
        r.skip(len.next_multiple_of(4)).ok_or(short)?;
    }
}
