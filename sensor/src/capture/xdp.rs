//! Capture with XDP: the program of `ebpf/`, its maps, and the rings that workers drain.
//!
//! One program serves all interfaces, so that both directions of a tap that comes in on two of them meet in one ring, in
//! the order in which they were seen. Readers are not woken: a worker looks every few milliseconds.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use abi::{Counters, FILTERED, FlowKey, FrameHeader, LONGEST_FRAME, QUEUES, RINGS, SHUNTING, Shunt};
use analyze::{Frame, Link};
use aya::{
    Ebpf, EbpfLoader,
    maps::{ArrayOfMaps, HashMap, MapData, MapError, PerCpuArray, RingBuf},
    programs::{Program, ProgramError, Xdp as Attached, XdpMode},
};
use aya_log::EbpfLogger;
use thiserror::Error;

use crate::capture::{
    Mode, Options,
    clock::Clock,
    filter::Filter,
    interface::Interface,
    sys,
    translate::{self, Endings, Untranslatable},
};

/// `ebpf/build` makes it; `build.rs` says whether it is there.
#[cfg(has_ebpf)]
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/target/bpfel-unknown-none/release/ebpf"));
#[cfg(not(has_ebpf))]
static OBJECT: &[u8] = &[];

/// How long a record may be reserved and not yet submitted, amply: a program runs for microseconds.
pub(super) const DELAY: Duration = Duration::from_millis(5);

/// Why XDP is not to be had.
#[derive(Debug, Error)]
pub enum Error {
    /// The object was not there when the sensor was compiled.
    #[error("this tenrec was built without the XDP object: run `make ebpf` and build again")]
    NotBuilt,
    /// The kernel does not take the object or its maps.
    #[error("the kernel does not take the XDP program")]
    Load(#[from] aya::EbpfError),
    /// The verifier or the interface refuses.
    #[error("the XDP program cannot be {act}")]
    Program {
        /// "loaded", "attached".
        act: &'static str,
        /// What the kernel said.
        source: ProgramError,
    },
    /// A map refuses.
    #[error("the map {map} cannot be used")]
    Map {
        /// Its name.
        map: &'static str,
        /// What the kernel said.
        source: MapError,
    },
    /// The object and the sensor do not belong together.
    #[error("the XDP object has no {0}: run `make ebpf` and build again")]
    Absent(&'static str),
    /// The filter is not for eBPF.
    #[error(transparent)]
    Filter(#[from] Untranslatable),
    /// The verifier refuses the filter.
    #[error("the kernel does not take the capture filter {text:?}")]
    FilterRefused {
        /// The filter.
        text: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The loaded program. Detaches from every interface when dropped.
pub struct Xdp {
    ebpf: Ebpf,
    counters: PerCpuArray<MapData, Counters>,
    /// The descriptor of `counters`, for the filters.
    counters_fd: RawFd,
    interfaces: HashMap<MapData, u32, abi::Interface>,
    next: MapData,
    filters: MapData,
    shunts: Option<Shunts>,
    log: Option<EbpfLogger<&'static dyn log::Log>>,
    /// A program in a map lives as long as the map; these descriptors only keep what was loaded in sight.
    loaded: Vec<OwnedFd>,
    rings: u32,
    largest: u32,
    shunting: bool,
}

impl Xdp {
    /// Loads the program and makes one ring a worker. Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.
    ///
    /// # Errors
    /// [`Error`]: not built in, or not taken by the kernel.
    pub fn load(options: &Options) -> Result<(Self, Vec<Ring>), Error> {
        if OBJECT.is_empty() {
            return Err(Error::NotBuilt);
        }
        let mut ebpf = EbpfLoader::new().load(OBJECT)?;
        // Before any map is taken out: the programs name them by their descriptors.
        let loaded = |source| Error::Program { act: "loaded", source };
        program(&mut ebpf, "accepted")?.load().map_err(loaded)?;
        program(&mut ebpf, "enter")?.load().map_err(loaded)?;
        let log = EbpfLogger::init(&mut ebpf).inspect_err(|error| tracing::warn!(%error, "no log lines of the XDP program")).ok();
        let rings = (options.workers.max(1) as u32).min(RINGS);
        let bytes = ring_bytes(options.ring_bytes);
        let mut table = ArrayOfMaps::<_, MapData>::try_from(take(&mut ebpf, "RINGS")?).map_err(map("RINGS"))?;
        let mut sources = Vec::new();
        for index in 0..rings {
            const RINGBUF: u32 = 27;
            let object = aya_obj::Map::new_from_params(RINGBUF, 0, 0, bytes, 0);
            let ring = MapData::create(object, "tenrec_ring", None).map_err(map("RINGS"))?;
            table.set(index, &ring, 0).map_err(map("RINGS"))?;
            sources.push(Ring::new(ring)?);
        }
        let (counters, interfaces) = (take(&mut ebpf, "COUNTERS")?, take(&mut ebpf, "INTERFACES")?);
        let aya::maps::Map::PerCpuArray(counters) = counters else { return Err(Error::Absent("map COUNTERS")) };
        let counters_fd = counters.fd().as_fd().as_raw_fd();
        let shunts = HashMap::try_from(take(&mut ebpf, "SHUNTS")?).map_err(map("SHUNTS"))?;
        let aya::maps::Map::ProgramArray(next) = take(&mut ebpf, "NEXT")? else { return Err(Error::Absent("map NEXT")) };
        let aya::maps::Map::ProgramArray(filters) = take(&mut ebpf, "FILTERS")? else {
            return Err(Error::Absent("map FILTERS"));
        };
        let mut xdp = Self {
            counters: PerCpuArray::try_from(aya::maps::Map::PerCpuArray(counters)).map_err(map("COUNTERS"))?,
            counters_fd,
            interfaces: HashMap::try_from(interfaces).map_err(map("INTERFACES"))?,
            next,
            filters,
            shunts: options.shunting.then_some(Shunts { map: shunts }),
            log,
            loaded: Vec::new(),
            rings,
            shunting: options.shunting,
            // A record must fit its ring several times over, or it is never taken.
            largest: LONGEST_FRAME.min(bytes / 4),
            ebpf,
        };
        let accepted = program(&mut xdp.ebpf, "accepted")?.fd().map_err(loaded)?.as_fd();
        sys::set_program(xdp.next.fd().as_fd(), 0, accepted)
            .map_err(|source| Error::FilterRefused { text: "(the program behind it)".to_owned(), source })?;
        Ok((xdp, sources))
    }

    /// Starts capturing from an interface, at the given slot, with the driver's own XDP where it has one; `mode` may
    /// insist on one kind. Says which it is.
    ///
    /// # Errors
    /// [`Error`]: the filter is refused, or the interface takes no XDP program.
    pub fn attach(&mut self, interface: &Interface, slot: u16, snap: u32, filter: Option<&Filter>, mode: Mode) -> Result<Mode, Error> {
        let slot = u32::from(slot);
        let mut flags = if self.shunting { SHUNTING } else { 0 };
        if let Some(filter) = filter {
            self.set_filter(slot, filter)?;
            flags |= FILTERED;
        }
        let entry = abi::Interface {
            slot,
            rings: self.rings,
            snap: if snap == 0 { u32::MAX } else { snap },
            largest: self.largest,
            flags,
            reserved: 0,
        };
        self.interfaces.insert(interface.index, entry, 0).map_err(map("INTERFACES"))?;
        let attached = |source| Error::Program { act: "attached", source };
        let program = program(&mut self.ebpf, "enter")?;
        if mode != Mode::Generic {
            match program.attach_to_if_index(interface.index, XdpMode::Driver) {
                Ok(_) => return Ok(Mode::Native),
                Err(error) if mode == Mode::Native => return Err(attached(error)),
                Err(error) => tracing::info!(interface = %interface.name, %error, "no native XDP, trying generic"),
            }
        }
        program.attach_to_if_index(interface.index, XdpMode::Skb).map_err(attached)?;
        Ok(Mode::Generic)
    }

    fn set_filter(&mut self, slot: u32, filter: &Filter) -> Result<(), Error> {
        let endings = Endings::Capture { next: self.next.fd().as_fd().as_raw_fd(), counters: self.counters_fd, slot };
        let words = translate::translate(filter.instructions(), endings)?;
        let refused = |source| Error::FilterRefused { text: filter.text().to_owned(), source };
        let program = sys::load_xdp("tenrec_filter", &words).map_err(refused)?;
        sys::set_program(self.filters.fd().as_fd(), slot, program.as_fd()).map_err(refused)?;
        self.loaded.push(program);
        Ok(())
    }

    /// What became of the frames of the interface at `slot`: one entry a receive queue that got any, added up over the
    /// processors.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn counters(&self, slot: u16) -> Result<Vec<(u32, Counters)>, Error> {
        let mut queues = Vec::new();
        for queue in 0..QUEUES {
            let mut sum = Counters::default();
            let values = self.counters.get(&(u32::from(slot) * QUEUES + queue), 0).map_err(map("COUNTERS"))?;
            for value in values.iter() {
                sum = add(sum, *value);
            }
            if sum.received.frames > 0 {
                queues.push((queue, sum));
            }
        }
        Ok(queues)
    }

    /// Passes on what the XDP program has logged. Call it about once a second.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// The table of flows that are cut off; once.
    pub fn take_shunts(&mut self) -> Option<Shunts> {
        self.shunts.take()
    }
}

/// The flows that the program cuts off: their frames are counted, and no longer copied. FIN, SYN and RST still come.
#[derive(Debug)]
pub struct Shunts {
    map: HashMap<MapData, FlowKey, Shunt>,
}

impl Shunts {
    /// Cuts a flow off; the one least recently seen makes room where 65 536 are cut off.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn cut(&mut self, flow: &FlowKey) -> Result<(), Error> {
        self.map.insert(flow, Shunt::default(), 0).map_err(map("SHUNTS"))
    }

    /// What was cut off of a flow so far; nothing if it is not cut off.
    pub fn account(&self, flow: &FlowKey) -> Option<Shunt> {
        self.map.get(flow, 0).ok()
    }

    /// Lets a flow come again; call it when the flow has ended.
    pub fn forget(&mut self, flow: &FlowKey) {
        // It may have made room for another already.
        let _ = self.map.remove(flow);
    }
}

fn add(a: Counters, b: Counters) -> Counters {
    let tally = |a: abi::Tally, b: abi::Tally| abi::Tally { frames: a.frames.wrapping_add(b.frames), bytes: a.bytes.wrapping_add(b.bytes) };
    Counters {
        received: tally(a.received, b.received),
        captured: tally(a.captured, b.captured),
        filtered: tally(a.filtered, b.filtered),
        shunted: tally(a.shunted, b.shunted),
        too_big: tally(a.too_big, b.too_big),
        ring_full: tally(a.ring_full, b.ring_full),
    }
}

/// The kernel wants a power of two of at least a page, and counts up to 2^31.
fn ring_bytes(wanted: u32) -> u32 {
    wanted.clamp(4096, 1 << 30).next_power_of_two()
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, Error> {
    ebpf.take_map(name).ok_or(Error::Absent(name))
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Attached, Error> {
    match ebpf.program_mut(name) {
        Some(Program::Xdp(program)) => Ok(program),
        _ => Err(Error::Absent(name)),
    }
}

fn map(map: &'static str) -> impl Fn(MapError) -> Error {
    move |source| Error::Map { map, source }
}

/// The reading end of one worker's ring.
pub struct Ring {
    ring: RingBuf<MapData>,
    clock: Clock,
}

impl Ring {
    fn new(ring: MapData) -> Result<Self, Error> {
        let ring = RingBuf::try_from(aya::maps::Map::RingBuf(ring)).map_err(map("RINGS"))?;
        Ok(Self { ring, clock: Clock::new() })
    }

    /// Hands over up to `limit` frames, oldest first; returns how many there were. Never waits.
    pub fn drain(&mut self, limit: usize, mut frame: impl FnMut(Frame<'_>)) -> usize {
        self.clock.refresh();
        let mut frames = 0;
        while frames < limit {
            let Some(record) = self.ring.next() else { break };
            let Some((header, data)) = record.split_at_checked(size_of::<FrameHeader>()) else { continue };
            let header: FrameHeader = bytemuck::pod_read_unaligned(header);
            let Some(data) = data.get(..header.captured_len as usize) else { continue };
            frame(Frame {
                at: self.clock.at(header.time),
                wire_len: header.wire_len,
                data,
                interface: header.slot,
                link: Link::ETHERNET,
                position: None,
            });
            frames += 1;
        }
        frames
    }
}
