//! Capture with AF_PACKET and TPACKET_V3, where XDP cannot attach.
//!
//! One socket a worker; the kernel spreads the frames over them by the same pair of addresses that XDP would (a small
//! classic BPF program as the fanout). The kernel takes the outer VLAN tag out of a frame before a socket sees it: it is
//! put back here from the ring's header, into room that is reserved for it, so that workers see the frame of the wire.
//!
//! ```text
//! block:  | block header | frame | frame | …        frame:  | tpacket3_hdr | … room … | mac header, data |
//! ```
//!
//! Not here: how many frames the filter did not want. The kernel does not count them for sockets, so `filtered` stays 0 and
//! `received` begins behind the filter.

#![expect(unsafe_code, reason = "the ring is memory that the kernel writes; each block states what keeps it apart")]

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use abi::{Counters, Tally};
use analyze::{Frame, Link, Time};
use libc::sock_filter;
use thiserror::Error;

use crate::capture::{
    filter::{self, Filter},
    interface::Interface,
    sys::{self, Mapping},
};

/// The kernel refuses a packet socket.
#[derive(Debug, Error)]
#[error("cannot {act} a packet socket on {interface}")]
pub struct Error {
    act: &'static str,
    interface: String,
    source: io::Error,
}

/// Bytes of a block: the unit that the kernel hands over. Large enough for the longest frame many times over.
const BLOCK: u32 = 1 << 20;
/// The kernel hands over a block that is not full after so many milliseconds.
const RETIRE_MILLISECONDS: u32 = 10;
/// How long a frame may stand in a block that is not handed over yet, amply.
pub(super) const DELAY: Duration = Duration::from_millis(5 * RETIRE_MILLISECONDS as u64);
/// Room in front of each frame for the VLAN tag, kept a multiple of 8.
const ROOM: i32 = 8;
/// Length of a VLAN tag.
const TAG: usize = 4;
/// Two MAC addresses.
const ADDRESSES: usize = 12;

/// Opens one ring a worker on an interface, and the handle that counts.
///
/// # Errors
/// [`Error`]: which step the kernel refused.
pub fn open(
    interface: &Interface,
    slot: u16,
    workers: usize,
    bytes: u32,
    snap: u32,
    filter: Option<&Filter>,
) -> Result<(Vec<Ring>, Statistics), Error> {
    let failed = |act| move |source| Error { act, interface: interface.name.clone(), source };
    // In the kernel a frame has no outer tag any more: ask libpcap for the filter that knows that.
    let live = filter.map(|filter| filter.compile_for_socket(&interface.name));
    let live = match live {
        Some(Err(error)) => return Err(failed("compile the filter for")(io::Error::other(error.to_string()))),
        Some(Ok(filter)) => Some(filter),
        None => None,
    };
    let program = snapping(live.as_ref().map_or(&[], Filter::instructions), snap);
    let (mut rings, mut sockets) = (Vec::new(), Vec::new());
    let bytes_captured = Arc::new(AtomicU64::new(0));
    for _ in 0..workers.max(1) {
        let socket = sys::packet_socket().map_err(failed("open"))?;
        // Ours are the frames that come in: XDP sees no others, and at a tap there are no others.
        set(&socket, libc::PACKET_IGNORE_OUTGOING, 1).map_err(failed("set up"))?;
        set(&socket, libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V3 as i32).map_err(failed("set up"))?;
        set(&socket, libc::PACKET_RESERVE, ROOM).map_err(failed("set up"))?;
        sys::set_program_option(&socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program).map_err(failed("filter"))?;
        let blocks = (bytes / BLOCK).max(2);
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK,
            tp_block_nr: blocks,
            tp_frame_size: 2048,
            tp_frame_nr: blocks * (BLOCK / 2048),
            tp_retire_blk_tov: RETIRE_MILLISECONDS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        sys::set_option(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, request).map_err(failed("make the ring of"))?;
        let mapping = Mapping::new(&socket, BLOCK as usize * blocks as usize).map_err(failed("map the ring of"))?;
        // Only now: everything above is in force before the first frame comes.
        sys::bind_packet(&socket, interface.index, libc::ETH_P_ALL as u16).map_err(failed("bind"))?;
        sockets.push(socket.try_clone().map_err(failed("share"))?);
        rings.push(Ring { _socket: socket, mapping, blocks, next: 0, slot, bytes: Arc::clone(&bytes_captured) });
    }
    if workers > 1 {
        fan_out(&sockets).map_err(failed("spread frames over"))?;
    }
    Ok((rings, Statistics { sockets, so_far: Counters::default(), bytes: bytes_captured }))
}

fn set(socket: &OwnedFd, option: i32, value: i32) -> io::Result<()> {
    sys::set_option(socket, libc::SOL_PACKET, option, value)
}

/// The filter with the snap length as its answer: what a classic program returns is how much of the frame is kept.
fn snapping(program: &[filter::Instruction], snap: u32) -> Vec<sock_filter> {
    const RETURN: u16 = 0x06;
    let snap = if snap == 0 { u32::MAX } else { snap };
    if program.is_empty() {
        return vec![sock_filter { code: RETURN, jt: 0, jf: 0, k: snap }];
    }
    let keep = |instruction: &filter::Instruction| match instruction.code {
        RETURN if instruction.k != 0 => snap,
        _ => instruction.k,
    };
    program.iter().map(|it| sock_filter { code: it.code, jt: it.jt, jf: it.jf, k: keep(it) }).collect()
}

/// Joins the sockets into one group that spreads by the sum of both addresses, so that both directions meet.
fn fan_out(sockets: &[OwnedFd]) -> io::Result<()> {
    const UNIQUE_ID: i32 = 0x2000;
    let mode = libc::PACKET_FANOUT_CBPF as i32;
    let mut group = None;
    for socket in sockets {
        match group {
            None => {
                set(socket, libc::PACKET_FANOUT, (mode | UNIQUE_ID) << 16)?;
                group = Some(sys::option(socket, libc::SOL_PACKET, libc::PACKET_FANOUT, 0)? & 0xffff);
                sys::set_program_option(socket, libc::SOL_PACKET, libc::PACKET_FANOUT_DATA, &spreading())?;
            }
            Some(group) => set(socket, libc::PACKET_FANOUT, group | (mode << 16))?,
        }
    }
    Ok(())
}

/// IPv4 and IPv6 by their addresses, anything else by its MAC addresses. The kernel takes the result modulo the sockets.
fn spreading() -> Vec<sock_filter> {
    // Classic BPF's questions to the kernel (linux/filter.h): offsets from the network header, from the link header.
    const PROTOCOL: u32 = 0xffff_f000;
    const NETWORK: u32 = 0xfff0_0000;
    const LINK: u32 = 0xffe0_0000;
    const LOAD: u16 = 0x20;
    const ADD_X: u16 = 0x0c;
    const TAX: u16 = 0x07;
    let instruction = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let sum = |base: u32, words: &[u32]| {
        let mut code = Vec::new();
        for (index, word) in words.iter().enumerate() {
            code.push(instruction(LOAD, 0, 0, base.wrapping_add(*word)));
            if index > 0 {
                code.push(instruction(ADD_X, 0, 0, 0));
            }
            code.push(instruction(TAX, 0, 0, 0));
        }
        // Mix: multiply by an odd number, keep the upper half.
        code.push(instruction(0x24, 0, 0, 0x9e37_79b1));
        code.push(instruction(0x74, 0, 0, 16));
        code.push(instruction(0x16, 0, 0, 0));
        code
    };
    let v4 = sum(NETWORK, &[12, 16]);
    let v6 = sum(NETWORK, &[8, 12, 16, 20, 24, 28, 32, 36]);
    // The three words overlap both addresses; the lower halves that differ between hosts add up to the same both ways.
    let other = sum(LINK, &[2, 8]);
    let mut code = vec![instruction(LOAD, 0, 0, PROTOCOL), instruction(0x15, 0, v4.len() as u8, 0x0800)];
    code.extend(v4);
    code.push(instruction(0x15, 0, v6.len() as u8, 0x86dd));
    code.extend(v6);
    code.extend(other);
    code
}

/// Counts what the sockets of one interface got and lost.
#[derive(Debug)]
pub struct Statistics {
    sockets: Vec<OwnedFd>,
    so_far: Counters,
    bytes: Arc<AtomicU64>,
}

impl Statistics {
    /// The sums since the sockets were opened. A frame that is lost has no length here.
    pub fn counters(&mut self) -> Counters {
        for socket in &self.sockets {
            // Asking sets the kernel's counters back to 0.
            let nothing = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
            let Ok(new) = sys::option(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS, nothing) else { continue };
            let (seen, lost) = (u64::from(new.tp_packets), u64::from(new.tp_drops));
            self.so_far.received.frames += seen;
            self.so_far.ring_full.frames += lost;
            self.so_far.captured.frames += seen.saturating_sub(lost);
        }
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.so_far.captured = Tally { bytes, ..self.so_far.captured };
        self.so_far.received = Tally { bytes, ..self.so_far.received };
        self.so_far
    }
}

/// The reading end of one worker's socket.
#[derive(Debug)]
pub struct Ring {
    /// Open for as long as the ring is read.
    _socket: OwnedFd,
    mapping: Mapping,
    blocks: u32,
    next: u32,
    slot: u16,
    bytes: Arc<AtomicU64>,
}

impl Ring {
    /// Hands over the frames of finished blocks, oldest first, until `limit` is reached at the end of a block; returns how
    /// many there were. Never waits.
    pub fn drain(&mut self, limit: usize, mut frame: impl FnMut(Frame<'_>)) -> usize {
        let mut frames = 0;
        while frames < limit {
            let Some(count) = self.drain_block(&mut frame) else { break };
            frames += count;
        }
        frames
    }

    fn drain_block(&mut self, frame: &mut impl FnMut(Frame<'_>)) -> Option<usize> {
        let start = self.next as usize * BLOCK as usize;
        if start + BLOCK as usize > self.mapping.length() {
            return None;
        }
        // SAFETY: the block lies in the mapping (checked above) and starts with a tpacket_block_desc.
        let block = unsafe { self.mapping.start().add(start) };
        // SAFETY: block_status is an aligned word that kernel and reader hand to each other.
        let status = unsafe {
            let header = &raw mut (*block.cast::<libc::tpacket_block_desc>()).hdr.bh1.block_status;
            AtomicU32::from_ptr(header)
        };
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the block is ours until its status is given back: nobody else reads or writes it.
        let bytes = unsafe { std::slice::from_raw_parts_mut(block, BLOCK as usize) };
        let count = self.frames(bytes, frame);
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.blocks;
        Some(count)
    }

    fn frames(&self, block: &mut [u8], frame: &mut impl FnMut(Frame<'_>)) -> usize {
        // tpacket_block_desc: version, offset_to_priv, then block_status, num_pkts, offset_to_first_pkt.
        let (Some(packets), Some(first)) = (word(block, 12), word(block, 16)) else { return 0 };
        let (mut at, mut count, mut bytes) = (first as usize, 0, 0);
        for _ in 0..packets {
            let Some(next) = word(block, at) else { break };
            if let Some(found) = read(block, at, self.slot) {
                bytes += u64::from(found.wire_len);
                frame(found);
                count += 1;
            }
            at += next as usize;
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        count
    }
}

/// The frame whose tpacket3_hdr is at `at`; its VLAN tag is put back in place.
///
/// ```text
/// 0 next_offset  4 sec  8 nsec  12 snaplen  16 len  20 status  24 mac (u16)  26 net (u16)  28 rxhash  32 tci  36 tpid (u16)
/// ```
fn read(block: &mut [u8], at: usize, slot: u16) -> Option<Frame<'_>> {
    let (seconds, nanoseconds) = (word(block, at + 4)?, word(block, at + 8)?);
    let (mut captured, mut wire_len, status) = (word(block, at + 12)? as usize, word(block, at + 16)?, word(block, at + 20)?);
    let mut start = at + half(block, at + 24)? as usize;
    if status & libc::TP_STATUS_VLAN_VALID != 0 && captured >= ADDRESSES && start >= TAG {
        let control = half(block, at + 32)?;
        let kind = if status & libc::TP_STATUS_VLAN_TPID_VALID != 0 { half(block, at + 36)? } else { 0x8100 };
        block.get_mut(start - TAG..start + ADDRESSES)?.copy_within(TAG.., 0);
        let [k0, k1] = kind.to_be_bytes();
        let [c0, c1] = control.to_be_bytes();
        block.get_mut(start - TAG + ADDRESSES..start + ADDRESSES)?.copy_from_slice(&[k0, k1, c0, c1]);
        start -= TAG;
        captured += TAG;
        wire_len += TAG as u32;
    }
    let data = block.get(start..start + captured)?;
    let at = Time(i64::from(seconds) * 1_000_000_000 + i64::from(nanoseconds));
    Some(Frame { at, wire_len, data, interface: slot, link: Link::ETHERNET, position: None })
}

fn word(block: &[u8], at: usize) -> Option<u32> {
    block.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn half(block: &[u8], at: usize) -> Option<u16> {
    block.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_the_kernel_took_is_put_back_where_it_was() {
        let mut block = vec![0_u8; 256];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(4, &7_u32.to_ne_bytes());
        put(12, &16_u32.to_ne_bytes());
        put(16, &60_u32.to_ne_bytes());
        put(20, &(libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID).to_ne_bytes());
        put(24, &96_u16.to_ne_bytes());
        put(32, &5_u32.to_ne_bytes());
        put(36, &0x88a8_u16.to_ne_bytes());
        put(96, b"ddddddssssss\x08\x00xy");
        let frame = read(&mut block, 0, 3).unwrap();
        assert_eq!(frame.data, b"ddddddssssss\x88\xa8\x00\x05\x08\x00xy");
        assert_eq!((frame.wire_len, frame.interface, frame.at), (64, 3, Time(7_000_000_000)));
    }

    #[test]
    fn a_filter_answers_with_the_snap_length() {
        let filter = Filter::compile("ip").unwrap().unwrap();
        let program = snapping(filter.instructions(), 96);
        let returns: Vec<_> = program.iter().filter(|it| it.code == 6).map(|it| it.k).collect();
        assert_eq!(returns, [96, 0]);
        assert_eq!(snapping(&[], 0).len(), 1);
    }
}
