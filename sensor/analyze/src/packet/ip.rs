//! IPv4 and IPv6 headers, and IPv6's extension headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::checksum;
use crate::Reader;

/// Extension headers of one packet. Real chains have three or four; a longer one is an attack on parsers.
const MAX_EXTENSIONS: usize = 16;

/// An IP packet, of which `payload` may be cut by the snap length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ip<'a> {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    /// Protocol of the payload, after IPv6's extension headers.
    pub(crate) protocol: u8,
    /// Header and payload, as the header tells it.
    pub(crate) total_len: usize,
    /// Bytes of `payload` on the wire.
    pub(crate) payload_len: usize,
    /// What was captured of the payload.
    pub(crate) payload: &'a [u8],
    pub(crate) fragment: Option<Fragment>,
    /// IPv4's time to live, IPv6's hop limit.
    pub(crate) ttl: u8,
    /// Type of service or traffic class: DSCP and ECN.
    pub(crate) tos: u8,
}

/// The part of a fragmented packet that this one carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    pub(crate) id: u32,
    pub(crate) offset: usize,
    pub(crate) more: bool,
}

/// Why a packet is not analysed further; the texts are Zeek's weird names.
pub(crate) type Refused = &'static str;

/// Reads an IP packet of either version. `cut` bytes more were on the wire than `bytes` holds.
pub(crate) fn parse<'a>(bytes: &'a [u8], cut: usize, checksums: bool, weird: &mut dyn FnMut(&'static str)) -> Result<Ip<'a>, Refused> {
    match bytes.first().map(|b| b >> 4) {
        Some(4) => v4(bytes, cut, checksums),
        Some(6) => v6(bytes, cut, weird),
        Some(_) if bytes.len() >= 20 => Err("unknown_ip_version"),
        _ => Err("truncated_IP"),
    }
}

/// Source and destination, as far as the first bytes tell.
pub(crate) fn addresses(bytes: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let mut r = Reader::new(bytes);
    match r.peek()? >> 4 {
        4 => {
            r.skip(12)?;
            Some((IpAddr::from(r.array::<4>()?), IpAddr::from(r.array::<4>()?)))
        }
        6 => {
            r.skip(8)?;
            Some((IpAddr::from(r.array::<16>()?), IpAddr::from(r.array::<16>()?)))
        }
        _ => None,
    }
}

/// Protocol and start of the payload of a reassembled packet: extension headers may have been fragmented too.
pub(crate) fn after_fragments(packet: &Ip<'_>, whole: &[u8]) -> (u8, usize) {
    let (mut next, mut at) = (packet.protocol, 0usize);
    if packet.src.is_ipv6() {
        for _ in 0..MAX_EXTENSIONS {
            let (0 | 43 | 60, Some(&[following, words, ..])) = (next, whole.get(at..)) else { break };
            at = at.saturating_add((usize::from(words) + 1) * 8);
            next = following;
        }
    }
    (next, at)
}

fn v4(bytes: &[u8], cut: usize, checksums: bool) -> Result<Ip<'_>, Refused> {
    if bytes.len() < 20 {
        return Err("truncated_IP");
    }
    let ihl = usize::from(bytes.first().copied().unwrap_or(0) & 15) * 4;
    let mut total_len = Reader::new(bytes).sub(4).and_then(|mut r| r.skip(2).and_then(|()| r.u16())).map_or(0, usize::from);
    if total_len == 0 {
        // TCP segmentation offload leaves the length to the card.
        if checksums {
            return Err("ip_hdr_len_zero");
        }
        total_len = bytes.len();
    }
    if total_len > bytes.len().saturating_add(cut) {
        return Err("truncated_IP_len");
    }
    if ihl > total_len {
        return Err("invalid_IP_header_size");
    }
    if ihl > bytes.len() {
        return Err("internally_truncated_header");
    }
    if ihl < 20 {
        return Err("IPv4_min_header_size");
    }
    let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|_| "truncated_IP")?;
    if checksums && !checksum::is_valid(checksum::sum(header.slice(), 0)) {
        return Err("bad_IP_checksum");
    }
    let offset = usize::from(header.fragments_offset().value()) * 8;
    let more = header.more_fragments();
    let end = total_len.min(bytes.len());
    Ok(Ip {
        src: IpAddr::V4(Ipv4Addr::from(header.source())),
        dst: IpAddr::V4(Ipv4Addr::from(header.destination())),
        protocol: header.protocol().0,
        total_len,
        payload_len: total_len - ihl,
        payload: bytes.get(ihl..end).unwrap_or_default(),
        fragment: (more || offset > 0).then(|| Fragment { id: u32::from(header.identification()), offset, more }),
        ttl: header.ttl(),
        tos: bytes.get(1).copied().unwrap_or(0),
    })
}

fn v6<'a>(bytes: &'a [u8], cut: usize, weird: &mut dyn FnMut(&'static str)) -> Result<Ip<'a>, Refused> {
    let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|_| "truncated_IP")?;
    let total_len = usize::from(header.payload_length()) + 40;
    if total_len > bytes.len().saturating_add(cut) {
        return Err("truncated_IP_len");
    }
    let mut rest = Reader::new(bytes.get(40..total_len.min(bytes.len())).unwrap_or_default());
    let mut next = header.next_header().0;
    let mut src = header.source_addr();
    let mut dst = header.destination_addr();
    let mut fragment = None;
    for _ in 0..MAX_EXTENSIONS {
        match next {
            // Hop-by-hop, routing, destination options (RFC 8200 §4).
            0 | 43 | 60 => {
                let mut ext = rest;
                let (following, words) = (ext.u8(), ext.u8());
                let len = (usize::from(words.unwrap_or(0)) + 1) * 8;
                let Some(body) = rest.take(len) else { return Err("invalid_IP_header_size") };
                if next == 43 {
                    dst = routed(body).unwrap_or(dst);
                } else if next == 60 {
                    src = options(body, weird).unwrap_or(src);
                }
                next = following.unwrap_or(59);
            }
            // Authentication header (RFC 4302 §2.2): length in words of four bytes, less two.
            51 => {
                let mut ext = rest;
                let (following, words) = (ext.u8(), ext.u8());
                let len = (usize::from(words.unwrap_or(0)) + 2) * 4;
                rest.take(len).ok_or("invalid_IP_header_size")?;
                next = following.unwrap_or(59);
            }
            // Fragment header (RFC 8200 §4.5).
            44 => {
                let following = rest.u8().ok_or("invalid_IP_header_size")?;
                rest.u8().ok_or("invalid_IP_header_size")?;
                let field = rest.u16().ok_or("invalid_IP_header_size")?;
                let id = rest.u32().ok_or("invalid_IP_header_size")?;
                let (offset, more) = (usize::from(field & !7), field & 1 == 1);
                next = following;
                if offset > 0 || more {
                    fragment = Some(Fragment { id, offset, more });
                    break;
                }
            }
            _ => break,
        }
    }
    let consumed = 40 + rest.position();
    Ok(Ip {
        src: IpAddr::V6(src),
        dst: IpAddr::V6(dst),
        protocol: next,
        total_len,
        payload_len: total_len.saturating_sub(consumed),
        payload: rest.rest(),
        fragment,
        ttl: header.hop_limit(),
        tos: header.traffic_class(),
    })
}

/// The final destination of a type 0 or type 2 routing header (RFC 2460 §4.4, RFC 6275 §6.4).
fn routed(body: &[u8]) -> Option<Ipv6Addr> {
    let mut r = Reader::new(body);
    r.skip(2)?;
    let (kind, left) = (r.u8()?, r.u8()?);
    r.skip(4)?;
    if left == 0 || !matches!(kind, 0 | 2) {
        return None;
    }
    let mut last = None;
    while let Some(addr) = r.array::<16>() {
        last = Some(Ipv6Addr::from(addr));
    }
    last
}

/// Home address of a mobile node (RFC 6275 §6.3), which stands for the source of the flow.
fn options(body: &[u8], weird: &mut dyn FnMut(&'static str)) -> Option<Ipv6Addr> {
    let mut r = Reader::new(body);
    r.skip(2)?;
    let mut home = None;
    while let Some(kind) = r.u8() {
        if kind == 0 {
            continue;
        }
        let Some(len) = r.u8() else {
            weird("bad_ipv6_dest_opt_len");
            break;
        };
        let Some(value) = r.take(usize::from(len)) else {
            weird("bad_ipv6_dest_opt_len");
            break;
        };
        if kind == 201 {
            match <[u8; 16]>::try_from(value) {
                Ok(_) if home.is_some() => weird("multiple_home_addr_opts"),
                Ok(addr) => home = Some(Ipv6Addr::from(addr)),
                Err(_) => weird("bad_home_addr_len"),
            }
        }
    }
    home
}
