//! The machine, measured from `/proc` and `/sys`, in the shape in which Fluent Bit on a Malcolm sensor tells it.
//!
//! ```text
//! cpu      cpu_p, user_p, system_p, cpuN.{p_cpu,p_user,p_system}      percent since the last time
//! mem      Mem and Swap: total, used, free                           KiB
//! disk     read_size, write_size                                     bytes since the last time, of whole disks
//! df       df.details: filesystem, mounted, size, used, avail        bytes
//! network  interfaces: NAME: rx_bytes, …                             as /proc/net/dev counts
//! thermal  name, type, temp                                          degrees Celsius, one each zone
//! ```
//! What a machine does not have is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Map, Value, json};

/// What is read besides what every sandboxed process may read.
pub(super) const FILES: [&str; 2] = ["/proc/diskstats", "/sys/class/thermal"];

/// Interfaces, disks, file systems and sensors of temperature at most, each.
const MOST: usize = 256;
/// Unit of the sectors of /proc/diskstats, whatever the disk has.
const SECTOR: u64 = 512;

/// What was measured last, for what is told as a difference.
#[derive(Default)]
pub(super) struct Machine {
    cpu: BTreeMap<String, Ticks>,
    disk: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ticks {
    user: u64,
    system: u64,
    all: u64,
}

impl Machine {
    /// Module and values of each measurement. The first ones have no differences yet.
    pub(super) fn measure(&mut self) -> Vec<(&'static str, Value)> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut measured = Vec::new();
        let mut tell = |module: &'static str, value: Option<Value>| measured.extend(value.map(|value| (module, value)));
        tell("cpu", self.cpu(&read("/proc/stat")));
        tell("mem", memory(&read("/proc/meminfo")));
        tell("disk", self.disk(&read("/proc/diskstats")));
        tell("df", file_systems(&read("/proc/self/mountinfo")));
        tell("network", network(&read("/proc/self/net/dev")));
        measured
    }

    /// proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal in ticks.
    fn cpu(&mut self, stat: &str) -> Option<Value> {
        let mut values = Map::new();
        for line in stat.lines().filter(|line| line.starts_with("cpu")).take(MOST) {
            let mut words = line.split_ascii_whitespace();
            let name = words.next()?;
            let ticks: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
            let &[user, nice, system, _, _, irq, softirq, _] = ticks.as_slice() else { continue };
            let now = Ticks { user: user + nice, system: system + irq + softirq, all: ticks.iter().sum() };
            let Some(last) = self.cpu.insert(name.to_owned(), now) else { continue };
            let all = now.all.saturating_sub(last.all).max(1);
            let share = |now: u64, last: u64| (now.saturating_sub(last) as f64 * 10_000.0 / all as f64).round() / 100.0;
            let (user, system) = (share(now.user, last.user), share(now.system, last.system));
            if name == "cpu" {
                values.insert("cpu_p".to_owned(), json!(user + system));
                values.insert("user_p".to_owned(), json!(user));
                values.insert("system_p".to_owned(), json!(system));
            } else {
                values.insert(name.to_owned(), json!({"p_cpu": user + system, "p_user": user, "p_system": system}));
            }
        }
        (!values.is_empty()).then_some(Value::Object(values))
    }

    /// Bytes that whole disks have read and written since the last time (proc_diskstats).
    fn disk(&mut self, diskstats: &str) -> Option<Value> {
        let rows: Vec<(&str, u64, u64)> = diskstats
            .lines()
            .take(MOST)
            .filter_map(|line| {
                let words: Vec<&str> = line.split_ascii_whitespace().collect();
                Some((*words.get(2)?, words.get(5)?.parse().ok()?, words.get(9)?.parse().ok()?))
            })
            .collect();
        let names: BTreeSet<&str> = rows.iter().map(|(name, ..)| *name).collect();
        let whole = rows.iter().filter(|(name, ..)| is_whole_disk(name, &names));
        let now = whole.fold((0_u64, 0_u64), |sum, (_, read, written)| (sum.0 + read * SECTOR, sum.1 + written * SECTOR));
        if rows.is_empty() {
            return None;
        }
        let last = self.disk.replace(now)?;
        Some(json!({"read_size": now.0.saturating_sub(last.0), "write_size": now.1.saturating_sub(last.1)}))
    }
}

/// Whether a name is neither that of a partition nor that of a device whose bytes another one moves.
fn is_whole_disk(name: &str, all: &BTreeSet<&str>) -> bool {
    let stands_on_others = ["dm-", "md", "loop", "ram", "zram"].iter().any(|kind| name.starts_with(kind));
    let disk = name.trim_end_matches(|c: char| c.is_ascii_digit());
    // sda1 of sda; nvme0n1p1 of nvme0n1.
    let is_partition = disk.len() < name.len() && (all.contains(disk) || disk.strip_suffix('p').is_some_and(|disk| all.contains(disk)));
    !stands_on_others && !is_partition
}

/// proc_meminfo(5), in KiB as it tells them. What can be had at once counts as free.
fn memory(meminfo: &str) -> Option<Value> {
    let of = |name: &str| {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let (total, free) = (of("MemTotal")?, of("MemAvailable").or_else(|| of("MemFree"))?);
    let (swap, swap_free) = (of("SwapTotal").unwrap_or(0), of("SwapFree").unwrap_or(0));
    Some(json!({
        "Mem": {"total": total, "used": total.saturating_sub(free), "free": free},
        "Swap": {"total": swap, "used": swap.saturating_sub(swap_free), "free": swap_free},
    }))
}

/// File systems on devices, each once (proc_pid_mountinfo(5): the mount point is the fifth word, the source the second
/// after the dash).
fn file_systems(mountinfo: &str) -> Option<Value> {
    let mut seen = BTreeSet::new();
    let mut details = Vec::new();
    for line in mountinfo.lines().take(MOST * 16) {
        let Some((mount, source)) = line.split_once(" - ") else { continue };
        let (Some(mounted), Some(source)) = (mount.split(' ').nth(4), source.split(' ').nth(1)) else { continue };
        if !source.starts_with("/dev/") || source.starts_with("/dev/loop") || details.len() >= MOST || !seen.insert(source) {
            continue;
        }
        // A blank in a path stands there as \040.
        let path = mounted.replace("\\040", " ");
        let Ok(state) = rustix::fs::statvfs(path.as_str()) else { continue };
        let bytes = |blocks: u64| blocks.saturating_mul(state.f_frsize);
        details.push(json!({
            "filesystem": source,
            "mounted": path,
            "size": bytes(state.f_blocks),
            "used": bytes(state.f_blocks.saturating_sub(state.f_bfree)),
            "avail": bytes(state.f_bavail),
        }));
    }
    (!details.is_empty()).then(|| json!({"df": {"details": details}}))
}

/// proc_pid_net(5): a name and eight counters for each direction.
fn network(dev: &str) -> Option<Value> {
    const RECEIVED: [&str; 8] = ["rx_bytes", "rx_packets", "rx_errs", "rx_drop", "rx_fifo", "rx_frame", "rx_compressed", "rx_multicast"];
    const SENT: [&str; 8] = ["tx_bytes", "tx_packets", "tx_errs", "tx_drop", "tx_fifo", "tx_colls", "tx_carrier", "tx_compressed"];
    let interfaces: Map<String, Value> = dev
        .lines()
        .filter_map(|line| {
            let (name, counters) = line.split_once(':')?;
            let counters: Vec<u64> = counters.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
            let names = RECEIVED.iter().chain(&SENT);
            let values: Map<String, Value> = names.zip(counters).map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
            (values.len() == 16).then(|| (name.trim().to_owned(), Value::Object(values)))
        })
        .take(MOST)
        .collect();
    (!interfaces.is_empty()).then(|| json!({"interfaces": interfaces}))
}

/// The temperatures that the kernel knows, one a zone.
pub(super) fn temperatures() -> Vec<Value> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/class/thermal").into_iter().flatten().flatten().take(MOST) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).ok();
        // Thousandths of a degree. A zone that is asleep cannot be read.
        let temperature = read("temp").and_then(|text| text.trim().parse::<i64>().ok());
        if let Some(temperature) = temperature.filter(|_| name.starts_with("thermal_zone")) {
            let kind = read("type").unwrap_or_default();
            found.push(json!({"name": name, "type": kind.trim(), "temp": temperature as f64 / 1000.0}));
        }
    }
    found
}

/// Bytes of this process in memory: the second number of proc_pid_statm(5), in pages.
pub(in crate::run) fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok().and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_told_in_percent_since_the_last_time() {
        let mut machine = Machine::default();
        assert_eq!(machine.cpu("cpu  100 0 50 850 0 0 0 0 0 0\ncpu0 100 0 50 850 0 0 0 0 0 0\n"), None);
        let told = machine.cpu("cpu  130 10 60 900 0 0 0 0 0 0\ncpu0 150 0 50 850 0 0 0 0 0 0\n").unwrap();
        assert_eq!(
            told,
            json!({"cpu_p": 50.0, "user_p": 40.0, "system_p": 10.0, "cpu0": {"p_cpu": 100.0, "p_user": 100.0, "p_system": 0.0}})
        );
    }

    #[test]
    fn only_whole_disks_are_counted() {
        let mut machine = Machine::default();
        let lines = |read: u64| {
            ["sda", "sda1", "nvme0n1", "nvme0n1p2", "dm-0", "loop3"]
                .map(|name| format!("   8 0 {name} 1 0 {read} 0 1 0 {} 0 0 0 0\n", read * 2))
                .concat()
        };
        assert_eq!(machine.disk(&lines(10)), None);
        assert_eq!(machine.disk(&lines(11)), Some(json!({"read_size": 1024, "write_size": 2048})));
        assert_eq!(machine.disk(""), None, "where it cannot be read");
    }

    #[test]
    fn memory_and_network_have_the_names_that_malcolms_pipeline_sums() {
        let told = memory("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n").unwrap();
        assert_eq!(told, json!({"Mem": {"total": 1000, "used": 600, "free": 400}, "Swap": {"total": 10, "used": 6, "free": 4}}));
        let told = network("Inter-| x\n face |y\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n").unwrap();
        let eth0 = &told["interfaces"]["eth0"];
        assert_eq!(
            (&eth0["rx_bytes"], &eth0["rx_drop"], &eth0["tx_bytes"], &eth0["tx_errs"]),
            (&json!(1), &json!(4), &json!(9), &json!(11))
        );
    }

    #[test]
    fn this_machine_can_be_measured() {
        let mut machine = Machine::default();
        machine.measure();
        let modules: Vec<&str> = machine.measure().into_iter().map(|(module, _)| module).collect();
        for module in ["cpu", "mem", "network"] {
            assert!(modules.contains(&module), "{modules:?}");
        }
        assert!(resident() > 1 << 20);
    }
}
