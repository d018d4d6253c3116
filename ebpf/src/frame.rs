//! Just enough of a frame to choose a ring and to find a flow: Ethernet, two VLAN tags, IPv4 or IPv6, TCP or UDP.
//!
//! Everything deeper (tunnels, extension headers) is the worker's business; such frames shard by their outer addresses.
//! Anything that is not IP shards by its pair of MAC addresses.

use abi::FlowKey;
use aya_ebpf::{helpers::bpf_ktime_get_ns, programs::XdpContext};

use crate::maps::SHUNTS;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// IEEE 802.1Q, 802.1ad and the tag that came before it.
const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const TCP: u8 = 6;
const UDP: u8 = 17;
/// FIN, SYN and RST: they change a flow's state, so the worker must see them even of a flow that is cut off.
const FLAGS_THAT_PASS: u8 = 0x07;

/// What the programs need to know of a frame.
pub struct Frame {
    /// The same for both directions.
    pub hash: u32,
    /// Whether `flow` is one that may be cut off: not for fragments, other protocols, FIN, SYN, RST.
    pub has_flow: bool,
    /// The flow; zeros without one. Not an Option: kernels before 6.2 let no byte of the stack be read that was not
    /// written, and copies of an Option do that.
    pub flow: FlowKey,
}

/// Reads the headers; a frame cut short has what could be read of it.
#[inline(always)]
pub fn parse(ctx: &XdpContext) -> Frame {
    let mut frame = Frame { hash: 0, has_flow: false, flow: NO_FLOW };
    let Some([a, b, c]) = read::<[u32; 3]>(ctx, 0) else { return frame };
    // Destination and source MAC, each folded into one word.
    frame.hash = abi::pair_hash_v4(a ^ (b << 16), (b >> 16) ^ c);
    let mut offset = 12;
    let Some(mut ethertype) = read_be16(ctx, offset) else { return frame };
    for _ in 0..2 {
        if ethertype == VLAN[0] || ethertype == VLAN[1] || ethertype == VLAN[2] {
            offset += 4;
            let Some(inner) = read_be16(ctx, offset) else { return frame };
            ethertype = inner;
        }
    }
    offset += 2;
    frame.has_flow = match ethertype {
        IPV4 => parse_ipv4(ctx, offset, &mut frame),
        IPV6 => parse_ipv6(ctx, offset, &mut frame),
        _ => None,
    }
    .is_some();
    frame
}

const NO_FLOW: FlowKey =
    FlowKey { low: [0; 16], high: [0; 16], low_port: [0; 2], high_port: [0; 2], protocol: 0, version: 0, reserved: [0; 2] };

#[inline(always)]
fn parse_ipv4(ctx: &XdpContext, offset: usize, frame: &mut Frame) -> Option<()> {
    let source = read::<[u8; 4]>(ctx, offset + 12)?;
    let destination = read::<[u8; 4]>(ctx, offset + 16)?;
    frame.hash = abi::pair_hash_v4(u32::from_ne_bytes(source), u32::from_ne_bytes(destination));
    let fragment = read_be16(ctx, offset + 6)?;
    let header = (read::<u8>(ctx, offset)? & 0x0f) as usize * 4;
    // RFC 791: any fragment, the first one too; ports are only in the first.
    if fragment & 0x3fff != 0 || header < 20 {
        return None;
    }
    let protocol = read::<u8>(ctx, offset + 9)?;
    let (mut a, mut b) = ([0; 16], [0; 16]);
    a[..4].copy_from_slice(&source);
    b[..4].copy_from_slice(&destination);
    flow(ctx, offset + header, protocol, 4, a, b, &mut frame.flow)
}

#[inline(always)]
fn parse_ipv6(ctx: &XdpContext, offset: usize, frame: &mut Frame) -> Option<()> {
    let source = read::<[u32; 4]>(ctx, offset + 8)?;
    let destination = read::<[u32; 4]>(ctx, offset + 24)?;
    frame.hash = abi::pair_hash_v6(source, destination);
    let protocol = read::<u8>(ctx, offset + 6)?;
    let (a, b) = (read::<[u8; 16]>(ctx, offset + 8)?, read::<[u8; 16]>(ctx, offset + 24)?);
    flow(ctx, offset + 40, protocol, 6, a, b, &mut frame.flow)
}

/// The key of a flow whose frames may be cut off.
#[inline(always)]
fn flow(ctx: &XdpContext, transport: usize, protocol: u8, version: u8, a: [u8; 16], b: [u8; 16], key: &mut FlowKey) -> Option<()> {
    if protocol != TCP && protocol != UDP {
        return None;
    }
    if protocol == TCP && read::<u8>(ctx, transport + 13)? & FLAGS_THAT_PASS != 0 {
        return None;
    }
    let (a_port, b_port) = (read::<[u8; 2]>(ctx, transport)?, read::<[u8; 2]>(ctx, transport + 2)?);
    key.protocol = protocol;
    key.version = version;
    if is_low(&a, a_port, &b, b_port) {
        (key.low, key.low_port, key.high, key.high_port) = (a, a_port, b, b_port);
    } else {
        (key.low, key.low_port, key.high, key.high_port) = (b, b_port, a, a_port);
    }
    Some(())
}

/// Whether (address, port) a comes before b, as bytes.
#[inline(always)]
fn is_low(a: &[u8; 16], a_port: [u8; 2], b: &[u8; 16], b_port: [u8; 2]) -> bool {
    let (a_address, b_address) = (u128::from_be_bytes(*a), u128::from_be_bytes(*b));
    let (a_upper, b_upper) = ((a_address >> 64) as u64, (b_address >> 64) as u64);
    let (a_lower, b_lower) = (a_address as u64, b_address as u64);
    if a_upper != b_upper {
        a_upper < b_upper
    } else if a_lower != b_lower {
        a_lower < b_lower
    } else {
        u16::from_be_bytes(a_port) <= u16::from_be_bytes(b_port)
    }
}

/// Whether the frame's flow is cut off; if so, the flow's account of it is kept.
#[inline(always)]
pub fn is_shunted(frame: &Frame, length: u32) -> bool {
    if !frame.has_flow {
        return false;
    }
    let Some(shunt) = SHUNTS.get_ptr_mut(&frame.flow) else { return false };
    // SAFETY: the entry stays valid for this run of the program. Two processors may meet in it, so the sums are
    // approximate; the queue's own counters are exact.
    unsafe {
        (*shunt).cut.add(length);
        (*shunt).last = bpf_ktime_get_ns();
    }
    true
}

#[inline(always)]
fn read_be16(ctx: &XdpContext, offset: usize) -> Option<u16> {
    read::<u16>(ctx, offset).map(u16::from_be)
}

/// A value out of the frame, if all of it is there.
#[inline(always)]
fn read<T: Copy>(ctx: &XdpContext, offset: usize) -> Option<T> {
    let start = ctx.data() + offset;
    if start + size_of::<T>() > ctx.data_end() {
        return None;
    }
    // SAFETY: the bounds were checked just now; packet memory may be read at any alignment.
    Some(unsafe { core::ptr::read_unaligned(start as *const T) })
}
