//! The maps, as the user side finds them by name. Their keys and values are described in `abi`.

use abi::{Counters, FlowKey, Interface, Shunt};
use aya_ebpf::{
    btf_maps::{ArrayOfMaps, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf},
    macros::btf_map,
};

/// What to do with the frames of an interface, by its index.
#[btf_map]
pub static INTERFACES: HashMap<u32, Interface, { abi::INTERFACES as usize }> = HashMap::new();

/// What became of them, by slot and queue.
#[btf_map]
pub static COUNTERS: PerCpuArray<Counters, { (abi::INTERFACES * abi::QUEUES) as usize }> = PerCpuArray::new();

/// The capture filters by slot: programs that the user side translates from classic BPF.
#[btf_map]
pub static FILTERS: ProgramArray<{ abi::INTERFACES as usize }> = ProgramArray::new();

/// Where filters go on: entry 0 is the program `accepted`.
#[btf_map]
pub static NEXT: ProgramArray<1> = ProgramArray::new();

/// One ring a worker. The size written here is only that of the template; the user side makes the real ones.
#[btf_map]
pub static RINGS: ArrayOfMaps<RingBuf<u8, 4096>, { abi::RINGS as usize }> = ArrayOfMaps::new();

/// Flows that are cut off.
#[btf_map]
pub static SHUNTS: LruHashMap<FlowKey, Shunt, { abi::SHUNTS as usize }> = LruHashMap::new();
