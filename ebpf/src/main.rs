//! Tenrec's XDP programs: count every frame, drop what is not wanted from the *copy*, and let the frame itself pass.
//!
//! ```text
//! enter ── FILTERS[slot] ──▶ the capture filter (translated at load time) ── NEXT[0] ──▶ accepted
//!    └────── no filter ─────────────────▶ capture: shunted? too big? else a record in RINGS[hash of the IP pair]
//! ```
//!
//! Invariant: whatever happens, the verdict is XDP_PASS: a sensor never takes a frame from its host.
//! Invariant: every frame is counted as received and as exactly one of captured, filtered, shunted, too big, ring full.
#![no_std]
#![no_main]

mod frame;
mod maps;
mod ring;

use abi::{Counters, FILTERED, Interface, QUEUES, SHUNTING};
use aya_ebpf::{
    bindings::xdp_action::XDP_PASS,
    helpers::{bpf_get_smp_processor_id, bpf_xdp_get_buff_len},
    macros::xdp,
    programs::XdpContext,
};
use aya_log_ebpf::{info, warn};

use crate::{
    maps::{COUNTERS, FILTERS, INTERFACES},
    ring::Copied,
};

/// The program that is attached: counts the frame, then hands it to the filter of its interface, or captures it.
#[xdp]
pub fn enter(ctx: XdpContext) -> u32 {
    let Some((interface, counters)) = lookup(&ctx) else { return XDP_PASS };
    counters.received.add(wire_length(&ctx));
    if counters.received.frames == 1 {
        // Once per queue and processor: the line that proves, in the daemon's log, that frames arrive.
        info!(&ctx, "XDP: first frame of queue {} of interface {} on processor {}", queue(&ctx), ifindex(&ctx), processor());
    }
    if interface.flags & FILTERED != 0 {
        // SAFETY: no value with a destructor is alive. Comes back only if the slot is empty: then everything is wanted.
        unsafe { FILTERS.tail_call(&ctx, interface.slot) };
    }
    capture(&ctx, interface, counters);
    XDP_PASS
}

/// Where a filter jumps to with the frames that it wants.
#[xdp]
pub fn accepted(ctx: XdpContext) -> u32 {
    if let Some((interface, counters)) = lookup(&ctx) {
        capture(&ctx, interface, counters);
    }
    XDP_PASS
}

#[inline(always)]
fn capture(ctx: &XdpContext, interface: &Interface, counters: &mut Counters) {
    let length = wire_length(ctx);
    let frame = frame::parse(ctx);
    if interface.flags & SHUNTING != 0 && frame::is_shunted(&frame, length) {
        counters.shunted.add(length);
        return;
    }
    match ring::copy(ctx, interface, frame.hash, length, queue(ctx)) {
        Copied::Whole => counters.captured.add(length),
        Copied::TooBig => counters.too_big.add(length),
        Copied::RingFull => {
            counters.ring_full.add(length);
            if counters.ring_full.frames == 1 {
                warn!(ctx, "XDP: a ring is full: frames of queue {} of interface {} are being lost", queue(ctx), ifindex(ctx));
            }
        }
    }
}

/// The frame's interface and the counters of its queue on this processor; nothing for an interface not captured from.
#[inline(always)]
fn lookup(ctx: &XdpContext) -> Option<(&'static Interface, &'static mut Counters)> {
    let interface = INTERFACES.get_ptr(ifindex(ctx))?;
    // SAFETY: the user side changes an entry only in one write of the whole value and removes none while attached.
    let interface = unsafe { &*interface };
    let counters = COUNTERS.get_ptr_mut(interface.slot.wrapping_mul(QUEUES).wrapping_add(queue(ctx)))?;
    // SAFETY: the entry belongs to this processor, and XDP programs do not interrupt one another on one processor.
    Some((interface, unsafe { &mut *counters }))
}

#[inline(always)]
fn ifindex(ctx: &XdpContext) -> u32 {
    ctx.ingress_ifindex() as u32
}

#[inline(always)]
fn processor() -> u32 {
    // SAFETY: no precondition.
    unsafe { bpf_get_smp_processor_id() }
}

#[inline(always)]
fn queue(ctx: &XdpContext) -> u32 {
    let queue = ctx.rx_queue_index();
    if queue < QUEUES { queue } else { QUEUES - 1 }
}

#[inline(always)]
fn wire_length(ctx: &XdpContext) -> u32 {
    // SAFETY: the context is the one that the kernel gave.
    unsafe { bpf_xdp_get_buff_len(ctx.ctx) as u32 }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Unreachable: the verifier takes no program that could come here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
