//! Map keys and values that the XDP programs and the user side share.
//!
//! Both sides compile this one file, so a field cannot mean two things. Everything is `#[repr(C)]`, has no padding that
//! is not named, and is read and written in the byte order of the machine. Not here: how the maps are filled (the user
//! side's business) and how frames are parsed (the kernel's).
#![no_std]

/// Receive queues that are counted apart on one interface; queues above share the last counter.
pub const QUEUES: u32 = 64;

/// Interfaces that one program captures from at once.
pub const INTERFACES: u32 = 16;

/// Rings, and so workers, that frames can be spread over.
pub const RINGS: u32 = 64;

/// Flows that can be cut off at once; the least recently seen one makes room.
pub const SHUNTS: u32 = 65_536;

/// The longest frame that a ring record can hold, in bytes: what `bpf_xdp_load_bytes` copies in one call.
pub const LONGEST_FRAME: u32 = 65_535;

/// What the program does with the frames of one interface; value of the map `INTERFACES`, keyed by interface index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Interface {
    /// Number of the interface among those captured from, 0 to `INTERFACES` − 1: its counters and its filter.
    pub slot: u32,
    /// Rings that frames are spread over, 1 to `RINGS`.
    pub rings: u32,
    /// Bytes kept of a frame, 1 to `LONGEST_FRAME`; the rest is cut off.
    pub snap: u32,
    /// A frame of which more bytes than this would be kept is counted as too big.
    pub largest: u32,
    /// `FILTERED`, `SHUNTING`.
    pub flags: u32,
    /// Always 0.
    pub reserved: u32,
}

/// Flag of [`Interface`]: a filter program stands in the map `FILTERS` at `slot`.
pub const FILTERED: u32 = 1;

/// Flag of [`Interface`]: the map `SHUNTS` is to be asked.
pub const SHUNTING: u32 = 2;

/// What became of the frames of one receive queue on one processor; value of the per-CPU map `COUNTERS`, at index
/// `slot × QUEUES + queue`.
///
/// Invariant: `received = captured + filtered + shunted + too_big + ring_full`, in frames and in bytes on the wire.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Counters {
    /// Frames that reached the program.
    pub received: Tally,
    /// Frames copied into a ring.
    pub captured: Tally,
    /// Frames that the capture filter does not want.
    pub filtered: Tally,
    /// Frames of flows that were cut off.
    pub shunted: Tally,
    /// Frames longer than a ring record can be.
    pub too_big: Tally,
    /// Frames lost because their ring was full.
    pub ring_full: Tally,
}

/// Frames and their bytes on the wire.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Tally {
    /// Frames.
    pub frames: u64,
    /// Bytes that they had on the wire.
    pub bytes: u64,
}

impl Tally {
    /// Counts one frame of `length` bytes on the wire.
    #[inline(always)]
    pub fn add(&mut self, length: u32) {
        self.frames = self.frames.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(length as u64);
    }
}

/// What stands before each frame in a ring.
///
/// ```text
///  0        8          12             16         20      22     24
///  | time   | wire_len | captured_len | ifindex  | queue | slot | captured_len bytes, then unused ones
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct FrameHeader {
    /// Nanoseconds of CLOCK_MONOTONIC when the program saw the frame.
    pub time: u64,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// Bytes of it that follow, at most `LONGEST_FRAME`. The record may be longer: it comes in fixed sizes.
    pub captured_len: u32,
    /// Index of the interface.
    pub ifindex: u32,
    /// Receive queue.
    pub queue: u16,
    /// The interface's slot.
    pub slot: u16,
}

/// A flow in both directions: key of the map `SHUNTS`.
///
/// The lower (address, port) comes first, compared as bytes, so that both directions have one key.
/// IPv4 addresses stand in the first four bytes, zeros behind.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct FlowKey {
    /// The lower address.
    pub low: [u8; 16],
    /// The higher address.
    pub high: [u8; 16],
    /// Port at the lower address, in network byte order.
    pub low_port: [u8; 2],
    /// Port at the higher address, in network byte order.
    pub high_port: [u8; 2],
    /// IP protocol: 6 or 17.
    pub protocol: u8,
    /// IP version: 4 or 6.
    pub version: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

/// What was cut off of one flow: value of the map `SHUNTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Shunt {
    /// Frames not captured and their bytes on the wire.
    pub cut: Tally,
    /// CLOCK_MONOTONIC nanoseconds of the last of them.
    pub last: u64,
}

/// The same number for both directions of an IPv4 pair: what frames are sharded by.
#[inline(always)]
pub fn pair_hash_v4(a: u32, b: u32) -> u32 {
    mix(mix(a).wrapping_add(mix(b)))
}

/// The same number for both directions of an IPv6 pair: what frames are sharded by.
#[inline(always)]
pub fn pair_hash_v6(a: [u32; 4], b: [u32; 4]) -> u32 {
    mix(fold(a).wrapping_add(fold(b)))
}

/// The ring of a hash: its share of 0..`rings`, without a division.
#[inline(always)]
pub fn ring_of(hash: u32, rings: u32) -> u32 {
    ((hash as u64 * rings as u64) >> 32) as u32
}

#[inline(always)]
fn fold([a, b, c, d]: [u32; 4]) -> u32 {
    mix(a ^ mix(b ^ mix(c ^ mix(d))))
}

/// Every bit of the argument moves about half of the bits of the result.
#[inline(always)]
fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 13;
    x = x.wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

#[cfg(feature = "user")]
mod user {
    use super::{Counters, FlowKey, Interface, Shunt};

    // SAFETY: all of them are `bytemuck::Pod`: no padding, every bit pattern is a value.
    unsafe impl aya::Pod for Interface {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Counters {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FlowKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Shunt {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_of_a_pair_have_one_hash() {
        assert_eq!(pair_hash_v4(0x0a00_0001, 0x0a00_0002), pair_hash_v4(0x0a00_0002, 0x0a00_0001));
        assert_eq!(pair_hash_v6([1, 2, 3, 4], [5, 6, 7, 8]), pair_hash_v6([5, 6, 7, 8], [1, 2, 3, 4]));
    }

    #[test]
    fn neighbouring_hosts_spread_over_the_rings() {
        let mut frames = [0_u32; 4];
        for host in 0..4096 {
            let ring = ring_of(pair_hash_v4(0x0a00_0001, 0xc0a8_0000 + host), 4);
            if let Some(count) = frames.get_mut(ring as usize) {
                *count += 1;
            }
        }
        assert!(frames.iter().all(|&count| (900..1150).contains(&count)), "uneven: {frames:?}");
    }

    #[test]
    fn the_layout_is_the_kernels() {
        assert_eq!(size_of::<FlowKey>(), 40);
        assert_eq!(size_of::<FrameHeader>(), 24);
        assert_eq!(size_of::<Counters>(), 96);
        assert_eq!(size_of::<Interface>(), 24);
    }
}
