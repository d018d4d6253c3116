//! Frames off the wire: from several interfaces at once, spread over the workers, filtered and counted in the kernel.
//!
//! [`open`] does all that needs privileges. What it returns needs none: a [`Source`] for each worker, which it drains in its
//! own thread, and the [`Capture`], which counts. An interface that cannot be captured from is told once and left out; the
//! others go on.
//!
//! Invariant: `received = captured + filtered + shunted + too_big + ring_full`, for each interface, at any time.

pub mod afpacket;
pub mod clock;
pub mod counters;
pub mod filter;
pub mod interface;
pub mod keeper;
pub mod sys;
pub mod translate;
pub mod xdp;

use std::{os::fd::OwnedFd, time::Duration};

use analyze::Frame;
use thiserror::Error;

pub use self::counters::{InterfaceCounters, QueueCounters};
use self::{
    filter::Filter,
    interface::{Interface, Offloads},
    xdp::Xdp,
};

/// How frames are taken from an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The best that works: native XDP, generic XDP, AF_PACKET. Only ever wanted, never found.
    #[default]
    Auto,
    /// Native or generic XDP. Only ever wanted, never found.
    Xdp,
    /// XDP in the driver.
    Native,
    /// XDP in the kernel's network stack.
    Generic,
    /// A packet socket.
    AfPacket,
}

impl Mode {
    /// As `tenrec status` shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::Native => "xdp-native",
            Self::Generic => "xdp-generic",
            Self::AfPacket => "af_packet",
        }
    }
}

/// One interface that is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// tcpdump syntax; empty for everything.
    pub filter: String,
}

/// What is captured and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interfaces, at most 16. A frame's `interface` counts in this order.
    pub interfaces: Vec<Wanted>,
    /// Sources to spread the frames over, 1 to 64.
    pub workers: usize,
    /// Bytes of each source's ring: for XDP a power of two from 4 KiB to 1 GiB, else rounded up.
    pub ring_bytes: u32,
    /// Bytes kept of each frame; 0 for all.
    pub snap: u32,
    /// Which way; `Auto` unless someone knows better.
    pub mode: Mode,
    /// Whether flows may be cut off: costs a look-up a frame.
    pub shunting: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { interfaces: Vec::new(), workers: 1, ring_bytes: 64 << 20, snap: 0, mode: Mode::Auto, shunting: false }
    }
}

/// Why there is no capture.
#[derive(Debug, Error)]
pub enum Error {
    /// No interface is named.
    #[error("no interface to capture from: name one in capture.interfaces of tenrec.toml or in PCAP_IFACE")]
    NoneWanted,
    /// The process may not listen.
    #[error(
        "no permission to capture: run as root, or by the service unit, which gives CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON"
    )]
    NotPermitted,
    /// More are named than a program can count.
    #[error("{0} interfaces to capture from, at most 16 are possible")]
    TooMany(usize),
    /// A filter does not compile: capturing without it would record what nobody asked for.
    #[error(transparent)]
    Filter(#[from] filter::Invalid),
    /// None of the interfaces works.
    #[error("none of the interfaces can be captured from: {0}")]
    NoneWorks(String),
}

/// What one worker reads from: its ring, and its sockets of interfaces without XDP.
#[derive(Default)]
pub struct Source {
    ring: Option<xdp::Ring>,
    sockets: Vec<afpacket::Ring>,
}

impl Source {
    /// Hands over what has come, up to about `limit` frames a ring, and returns how many there were. Never waits: when it
    /// returns 0, look again in a millisecond.
    pub fn drain(&mut self, limit: usize, mut frame: impl FnMut(Frame<'_>)) -> usize {
        let mut frames = 0;
        if let Some(ring) = &mut self.ring {
            frames += ring.drain(limit, &mut frame);
        }
        for socket in &mut self.sockets {
            frames += socket.drain(limit, &mut frame);
        }
        frames
    }

    /// How long a frame that was captured may be on its way into the ring: a source that was empty for as long has given
    /// everything.
    pub fn delay(&self) -> Duration {
        if self.sockets.is_empty() { xdp::DELAY } else { afpacket::DELAY }
    }
}

/// An interface that is being captured from.
struct Open {
    interface: Interface,
    slot: u16,
    mode: Mode,
    statistics: Option<afpacket::Statistics>,
    offloads: Option<Offloads>,
    gone: bool,
    /// Closing it ends the promiscuous mode.
    _promiscuous: Option<OwnedFd>,
}

/// The capture as a whole: what counts, logs, and puts back. Dropping it ends the capture; putting offloads back then
/// needs CAP_NET_ADMIN still, unless they were handed to a [`keeper`].
pub struct Capture {
    xdp: Option<Xdp>,
    open: Vec<Open>,
    /// What was counted when the capture was stopped.
    last: Option<Vec<InterfaceCounters>>,
    failures: Vec<(String, String)>,
}

/// Starts capturing. Needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON.
///
/// # Errors
/// [`Error`], if nothing at all can be captured or a filter is wrong. One interface of several that does not work is
/// logged and found in [`Capture::failures`].
pub fn open(options: &Options) -> Result<(Capture, Vec<Source>), Error> {
    if options.interfaces.is_empty() {
        return Err(Error::NoneWanted);
    }
    if options.interfaces.len() > abi::INTERFACES as usize {
        return Err(Error::TooMany(options.interfaces.len()));
    }
    if !caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_NET_RAW).unwrap_or(true) {
        return Err(Error::NotPermitted);
    }
    let mut filters = Vec::new();
    for wanted in &options.interfaces {
        filters.push(Filter::compile(&wanted.filter)?);
    }
    let workers = options.workers.clamp(1, abi::RINGS as usize);
    let mut sources: Vec<Source> = (0..workers).map(|_| Source::default()).collect();
    let mut capture = Capture { xdp: None, open: Vec::new(), last: None, failures: Vec::new() };
    if options.mode != Mode::AfPacket {
        match Xdp::load(options) {
            Ok((xdp, rings)) => {
                capture.xdp = Some(xdp);
                for (source, ring) in sources.iter_mut().zip(rings) {
                    source.ring = Some(ring);
                }
            }
            Err(error) => tracing::warn!(error = chain(&error), "no XDP, capturing with AF_PACKET"),
        }
    }
    for ((slot, wanted), filter) in (0..).zip(&options.interfaces).zip(&filters) {
        if let Err(reason) = capture.add(options, slot, &wanted.name, filter.as_ref(), &mut sources) {
            tracing::error!(interface = %wanted.name, "not capturing: {reason}");
            capture.failures.push((wanted.name.clone(), reason));
        }
    }
    if capture.open.is_empty() {
        let reasons: Vec<_> = capture.failures.iter().map(|(_, reason)| reason.as_str()).collect();
        return Err(Error::NoneWorks(reasons.join("; ")));
    }
    if capture.open.iter().all(|open| open.statistics.is_some()) {
        // Nothing will ever come into the rings: give their memory back.
        capture.xdp = None;
        sources.iter_mut().for_each(|source| source.ring = None);
    }
    Ok((capture, sources))
}

impl Capture {
    fn add(&mut self, options: &Options, slot: u16, name: &str, filter: Option<&Filter>, sources: &mut [Source]) -> Result<(), String> {
        let interface = Interface::find(name).map_err(|error| chain(&error))?;
        if !interface.is_up() {
            tracing::warn!(interface = name, "the interface is down, so nothing comes: `ip link set {name} up`");
        }
        // Of an interface that cannot be made promiscuous its own frames are better than none.
        let promiscuous = interface::promiscuous(&interface)
            .inspect_err(|error| tracing::warn!(interface = name, error = chain(error), "capturing without promiscuous mode"))
            .ok();
        let offloads = interface::turn_offloads_off(&interface)
            .inspect_err(|error| tracing::warn!(interface = name, error = chain(error), "offloads stay as they are"))
            .ok();
        let mut open = Open { interface, slot, mode: Mode::AfPacket, statistics: None, offloads, gone: false, _promiscuous: promiscuous };
        let attached = self.xdp.as_mut().map(|xdp| xdp.attach(&open.interface, slot, options.snap, filter, options.mode));
        match attached {
            Some(Ok(mode)) => open.mode = mode,
            Some(Err(error)) if options.mode != Mode::Auto => {
                open.put_back();
                return Err(chain(&error));
            }
            failed => {
                if let Some(Err(error)) = failed {
                    tracing::warn!(interface = name, error = chain(&error), "no XDP here, capturing with AF_PACKET");
                }
                let rings = afpacket::open(&open.interface, slot, sources.len(), options.ring_bytes, options.snap, filter);
                match rings {
                    Ok((rings, statistics)) => {
                        for (source, ring) in sources.iter_mut().zip(rings) {
                            source.sockets.push(ring);
                        }
                        open.statistics = Some(statistics);
                    }
                    Err(error) => {
                        open.put_back();
                        return Err(chain(&error));
                    }
                }
            }
        }
        tracing::info!(interface = name, mode = open.mode.name(), filter = filter.map_or("", Filter::text), "capturing");
        self.open.push(open);
        Ok(())
    }

    /// Interfaces that were wanted and cannot be had, each with the reason.
    pub fn failures(&self) -> &[(String, String)] {
        &self.failures
    }

    /// Names of the interfaces that have gone since they were opened: a card taken out, a namespace ended. Each is named once.
    pub fn newly_gone(&mut self) -> Vec<String> {
        let mut gone = Vec::new();
        for open in &mut self.open {
            if !open.gone && Interface::find(&open.interface.name).map(|now| now.index).ok() != Some(open.interface.index) {
                open.gone = true;
                gone.push(open.interface.name.clone());
            }
        }
        gone
    }

    /// Whether no interface is left.
    pub fn is_blind(&self) -> bool {
        self.open.iter().all(|open| open.gone)
    }

    /// What became of the frames, interface by interface.
    pub fn counters(&mut self) -> Vec<InterfaceCounters> {
        if let Some(last) = &self.last {
            return last.clone();
        }
        let mut all = Vec::new();
        for open in &mut self.open {
            let queues = match &mut open.statistics {
                Some(statistics) => vec![(0, statistics.counters())],
                None => self.xdp.as_ref().map_or(Ok(Vec::new()), |xdp| xdp.counters(open.slot)).unwrap_or_else(|error| {
                    tracing::warn!(interface = %open.interface.name, error = chain(&error), "no counters");
                    Vec::new()
                }),
            };
            all.push(InterfaceCounters::new(&open.interface.name, open.slot, open.mode, queues));
        }
        all
    }

    /// Takes the XDP program off the interfaces. What is in the rings can still be drained; packet sockets go on until
    /// their sources are dropped.
    pub fn stop(&mut self) {
        self.flush_log();
        // Frames of the moment in between are seen by nobody, so the counters still add up.
        self.last = Some(self.counters());
        self.xdp = None;
    }

    /// Passes on what the XDP program has logged. Call it about once a second.
    pub fn flush_log(&mut self) {
        if let Some(xdp) = &mut self.xdp {
            xdp.flush_log();
        }
    }

    /// The table of flows that the program cuts off, if [`Options::shunting`] asked for one; once.
    pub fn take_shunts(&mut self) -> Option<xdp::Shunts> {
        self.xdp.as_mut().and_then(Xdp::take_shunts)
    }

    /// The offloads that were turned off, for a [`keeper`]: from then on they are its to put back.
    pub fn take_offloads(&mut self) -> Vec<Offloads> {
        self.open.iter_mut().filter_map(|open| open.offloads.take()).collect()
    }
}

impl Open {
    fn put_back(&mut self) {
        if let Some(offloads) = self.offloads.take() {
            interface::put_back(&offloads);
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // First no more frames, then the interfaces as they were.
        self.xdp = None;
        for open in &mut self.open {
            open.put_back();
        }
    }
}

/// An error with all its causes, once each. The middle of a very long one, the verifier's log, is left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    shortened(&text)
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 1000;
    let length = text.chars().count();
    if length <= LONGEST {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(LONGEST / 3).collect();
    let end: String = text.chars().skip(length - LONGEST * 2 / 3).collect();
    format!("{beginning} […] {end}").replace('\n', " | ")
}
