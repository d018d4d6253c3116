//! Copies a frame into a worker's ring.
//!
//! `bpf_ringbuf_reserve` takes only sizes known when the program is verified, so records come in a few sizes: each frame
//! takes the smallest that holds it. What is wasted is ring, never bandwidth: only the frame's own bytes are copied.

use abi::{FrameHeader, Interface};
use aya_ebpf::{
    bindings::{BPF_RB_NO_WAKEUP, xdp_md},
    helpers::{bpf_ktime_get_ns, bpf_ringbuf_discard, bpf_ringbuf_reserve, bpf_ringbuf_submit, bpf_xdp_load_bytes},
    programs::XdpContext,
};

use crate::maps::RINGS;

/// What became of a frame.
pub enum Copied {
    /// It is in the ring, up to the snap length.
    Whole,
    /// No record can hold it.
    TooBig,
    /// The ring has no room.
    RingFull,
}

/// Copies up to the snap length into the ring that `hash` falls on. The reader is not woken: it looks every few
/// milliseconds, which costs it a tenth of what a wake-up per frame would.
#[inline(always)]
pub fn copy(ctx: &XdpContext, interface: &Interface, hash: u32, wire_len: u32, queue: u32) -> Copied {
    let captured_len = if wire_len < interface.snap { wire_len } else { interface.snap };
    if captured_len > interface.largest {
        return Copied::TooBig;
    }
    let Some(ring) = RINGS.get(abi::ring_of(hash, interface.rings)) else { return Copied::RingFull };
    let ring = core::ptr::from_ref(ring).cast_mut().cast();
    let header = FrameHeader {
        // SAFETY: no precondition.
        time: unsafe { bpf_ktime_get_ns() },
        wire_len,
        captured_len,
        ifindex: ctx.ingress_ifindex() as u32,
        queue: queue as u16,
        slot: interface.slot as u16,
    };
    macro_rules! in_the_smallest_of {
        ($($size:literal)*) => { $( if captured_len <= $size { return record::<$size>(ctx.ctx, ring, header); } )* };
    }
    in_the_smallest_of!(64 96 128 192 256 384 512 768 1024 1280 1536 2048 3072 4096 6144 9216 16384 32768 65535);
    Copied::TooBig
}

/// A record of exactly `SIZE` bytes behind its header.
#[inline(always)]
fn record<const SIZE: u64>(ctx: *mut xdp_md, ring: *mut core::ffi::c_void, header: FrameHeader) -> Copied {
    let header_size = size_of::<FrameHeader>();
    // SAFETY: the ring came out of the map of rings, the size is a constant, the verifier has both checked.
    let place = unsafe { bpf_ringbuf_reserve(ring, header_size as u64 + SIZE, 0) };
    if place.is_null() {
        return Copied::RingFull;
    }
    // The verifier must see that the very register that is passed lies in 1..=SIZE. black_box: or LLVM compares a copy.
    // Less one: kernels before 6.4 do not learn from `!= 0` that a number is at least 1.
    let length_less_one = core::hint::black_box((header.captured_len as u64).wrapping_sub(1));
    if length_less_one >= SIZE {
        // SAFETY: reserved above and not submitted.
        unsafe { bpf_ringbuf_discard(place, BPF_RB_NO_WAKEUP as u64) };
        return Copied::TooBig;
    }
    let length = length_less_one + 1;
    // SAFETY: the record has room for the header and SIZE bytes, and length is at most SIZE.
    unsafe {
        place.cast::<FrameHeader>().write(header);
        if bpf_xdp_load_bytes(ctx, 0, place.add(header_size), length as u32) < 0 {
            bpf_ringbuf_discard(place, BPF_RB_NO_WAKEUP as u64);
            return Copied::TooBig;
        }
        bpf_ringbuf_submit(place, BPF_RB_NO_WAKEUP as u64);
    }
    Copied::Whole
}
