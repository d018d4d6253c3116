//! How the machine does: what [`settings::appliance::State`] tells beside what `serve` knows by itself.

use std::fs;
use std::sync::Mutex;

use rustix::fs::statvfs;
use settings::appliance::{Encryption, State};

use crate::data;
use crate::places::{Places, read_trimmed};
use crate::{clock, interfaces, medium};

/// Time of all processors, in ticks: busy and in all.
#[derive(Debug, Default)]
pub(crate) struct Processors(Mutex<(u64, u64)>);

impl Processors {
    /// Share of them in use since the last question.
    fn share(&self, stat: &str) -> f64 {
        let Some(now) = ticks(stat) else { return 0.0 };
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (busy, all) = (now.0.saturating_sub(last.0), now.1.saturating_sub(last.1));
        *last = now;
        #[expect(clippy::cast_precision_loss, reason = "a share, not a sum")]
        let share = if all == 0 { 0.0 } else { busy as f64 / all as f64 };
        share.clamp(0.0, 1.0)
    }
}

/// The machine's part of the answer.
pub(crate) fn gather(places: &Places, processors: &Processors) -> State {
    let memory = places.read("/proc/meminfo");
    let (total, available) = (kilobytes(&memory, "MemTotal:"), kilobytes(&memory, "MemAvailable:"));
    let kept = data::read_outcome(places);
    let (data_bytes, data_free) = room(places);
    let slot = medium::slot(places);
    let (time_server, synchronized) = clock::status(places);
    State {
        version: medium::version(places),
        mode: if slot.is_empty() { "live" } else { "installed" }.to_owned(),
        slot,
        host_name: settings::host_name(),
        gateway: interfaces::gateway(places),
        configured: places.settings().exists(),
        setup: !places.password().exists(),
        data: kept.kept,
        encryption: if kept.kept { kept.encryption } else { Encryption::None },
        data_bytes,
        data_free,
        memory_bytes: total,
        memory_used: total.saturating_sub(available),
        cpu: processors.share(&places.read("/proc/stat")),
        temperature: temperature(places),
        uptime: places.read("/proc/uptime").split(' ').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0),
        time: crate::job::now(),
        time_server,
        synchronized,
        ..State::default()
    }
}

/// `cpu user nice system idle iowait …`, summed over all processors.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let fields: Vec<u64> = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // Guest time (fields 9 and 10) is counted in user time already.
    let all: u64 = fields.iter().take(8).sum();
    let idle: u64 = fields.iter().skip(3).take(2).sum();
    Some((all - idle, all))
}

fn kilobytes(meminfo: &str, key: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

/// Bytes of the file system that data is on, and of those the free ones.
fn room(places: &Places) -> (u64, u64) {
    statvfs(places.at("/data")).map_or((0, 0), |fs| (fs.f_blocks * fs.f_frsize, fs.f_bavail * fs.f_frsize))
}

/// The highest of all sensors, °C. Those that are off by nature (0, or beyond what silicon stands) are left out.
fn temperature(places: &Places) -> Option<f64> {
    let mut highest: Option<f64> = None;
    for (folder, prefix, suffix) in [("/sys/class/thermal", "", "temp"), ("/sys/class/hwmon", "temp", "_input")] {
        let Ok(devices) = fs::read_dir(places.at(folder)) else { continue };
        for file in devices.flatten().filter_map(|device| fs::read_dir(device.path()).ok()).flatten().flatten() {
            let name = file.file_name();
            let is_value = name
                .to_str()
                .is_some_and(|name| if prefix.is_empty() { name == suffix } else { name.starts_with(prefix) && name.ends_with(suffix) });
            if !is_value {
                continue;
            }
            let degrees = read_trimmed(&file.path()).parse::<f64>().map(|thousandths| thousandths / 1000.0);
            highest = degrees.ok().filter(|degrees| (1.0..150.0).contains(degrees)).into_iter().chain(highest).reduce(f64::max);
        }
    }
    highest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_the_time_since_the_last_question() {
        let processors = Processors::default();
        processors.share("cpu  100 0 100 800 0 0 0 0 0 0\n");
        let share = processors.share("cpu  150 0 150 850 50 0 0 0 0 0\n");
        assert!((share - 0.5).abs() < 1e-9, "{share}");
        assert!(processors.share("garbage").abs() < 1e-9);
    }

    #[test]
    fn memory_and_temperature_are_read_from_the_kernel() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        for (path, text) in [
            ("/proc/meminfo", "MemTotal:       1000 kB\nMemAvailable:    250 kB\n"),
            ("/sys/class/thermal/thermal_zone0/temp", "41000\n"),
            ("/sys/class/hwmon/hwmon0/temp1_input", "47500\n"),
            ("/sys/class/hwmon/hwmon0/temp1_max", "99000\n"),
            ("/sys/class/hwmon/hwmon1/temp1_input", "255000\n"),
        ] {
            fs::create_dir_all(places.at(path).parent().unwrap()).unwrap();
            fs::write(places.at(path), text).unwrap();
        }
        let state = gather(&places, &Processors::default());
        assert_eq!((state.memory_bytes, state.memory_used, state.temperature), (1_024_000, 768_000, Some(47.5)));
        assert_eq!((state.mode.as_str(), state.setup, state.configured, state.data), ("live", true, false, false));
    }
}
