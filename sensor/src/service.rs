//! The commands around the daemon: `run`, `status`, `check`.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use settings::{
    DEFAULT_PATH, Settings,
    control::{self, Client},
};
use tenrec::capture::interface::Interface;
use tracing_subscriber::EnvFilter;

/// Wrong settings or command line.
const WRONG: u8 = 2;

/// `tenrec run`.
pub(crate) fn run(path: Option<&Path>) -> ExitCode {
    log();
    with_settings(path, |settings, path| match tenrec::run::plan::run(settings, path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenrec: {error:#}");
            ExitCode::FAILURE
        }
    })
}

/// `tenrec check`.
pub(crate) fn check(path: Option<&Path>) -> ExitCode {
    with_settings(path, |settings, path| {
        let doubts = doubts(settings);
        for doubt in &doubts {
            eprintln!("tenrec: warning: {doubt}");
        }
        let what = if doubts.is_empty() { "nothing is wrong" } else { "well written, but see the warnings about this machine" };
        println!("{}: {what}", path.display());
        ExitCode::SUCCESS
    })
}

/// What the settings name and this machine does not have now. The sensor starts without it and says so, hence no error.
fn doubts(settings: &Settings) -> Vec<String> {
    let mut doubts: Vec<_> =
        settings.capture.interfaces.iter().filter_map(|name| Interface::find(name).err()).map(|error| error.to_string()).collect();
    if settings.forward.enabled {
        let files = [&settings.forward.ca, &settings.forward.certificate, &settings.forward.key];
        let missing = files.into_iter().flatten().filter(|file| !file.exists());
        doubts.extend(missing.map(|file| {
            let file = file.display();
            format!("forward: there is no {file}: records wait in the spool; put it there, then restart the sensor")
        }));
    }
    if settings.opensearch.enabled {
        let of = &settings.opensearch;
        let missing = [&of.ca, &of.certificate, &of.key, &of.password_file].into_iter().flatten().filter(|file| !file.exists());
        doubts.extend(missing.map(|file| {
            let file = file.display();
            format!("opensearch: there is no {file}: sessions wait in the spool; put it there, then restart the sensor")
        }));
    }
    doubts
}

/// `tenrec status`.
pub(crate) fn status(path: Option<&Path>, json: bool) -> ExitCode {
    with_settings(path, |settings, _| match Client::connect(&settings.control.socket).and_then(|mut client| client.status()) {
        Ok(status) if json => {
            println!("{}", serde_json::to_string_pretty(&status).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Ok(status) => {
            print!("{}", describe(&status));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("tenrec: {error}");
            ExitCode::FAILURE
        }
    })
}

/// The hidden command that outlives `run` by a moment.
pub(crate) fn keep_interfaces() -> ExitCode {
    log();
    match tenrec::capture::keeper::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenrec: interfaces not put back: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Log lines on standard error; TENREC_LOG chooses them, as in `TENREC_LOG=debug`.
pub(crate) fn log() {
    let filter = EnvFilter::try_from_env("TENREC_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // The journal has times of its own.
    if journal { lines.without_time().init() } else { lines.init() }
}

/// Loads the settings and acts on them; says what is wrong with them otherwise.
pub(crate) fn with_settings(path: Option<&Path>, act: impl FnOnce(&Settings, &Path) -> ExitCode) -> ExitCode {
    let default = Path::new(DEFAULT_PATH);
    let (loaded, path) = match path {
        Some(path) => (Settings::load(path), path.to_owned()),
        None if default.exists() => (Settings::load(default), default.to_owned()),
        None => (Settings::from_environment(), PathBuf::from("the defaults")),
    };
    match loaded {
        Ok(settings) => act(&settings, &path),
        Err(error) => {
            eprintln!("tenrec: {error}");
            ExitCode::from(WRONG)
        }
    }
}

/// The status as people read it: what came and what became of it first, then each loss by place, then the rest.
fn describe(status: &control::Status) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(out, "tenrec {} on {}, up {}", status.version, status.node, duration(status.uptime));
    for it in &status.interfaces {
        let _ = writeln!(out, "\n{} ({}, {} queues, {} bytes)", it.name, it.mode, it.queues, it.bytes);
        let _ = writeln!(
            out,
            "  received {} = captured {} + filtered {} + shunted {} + too_big {} + ring_full {}",
            it.received, it.captured, it.filtered, it.shunted, it.too_big, it.ring_full
        );
    }
    let _ = writeln!(out, "\nanalysed   {} packets, {} bytes", status.packets_analysed, status.bytes_analysed);
    for it in &status.workers {
        let busy = it.busy * 100.0;
        let _ = writeln!(
            out,
            "worker {:<3} {} packets, {} flows, {busy:.0} % busy, {} restarts",
            it.number, it.packets, it.flows_active, it.restarts
        );
    }
    let _ = writeln!(out, "flows      {} active, {} in all", status.flows.active, status.flows.total);
    let lost: Vec<_> = status.drops.places().into_iter().filter(|(_, _, count)| *count > 0).collect();
    if lost.is_empty() {
        let _ = writeln!(out, "lost       nothing");
    }
    for (place, what, count) in lost {
        let _ = writeln!(out, "lost       {count} {what} at {place}");
    }
    let logs: Vec<_> = status.logs.iter().map(|(log, lines)| format!("{log} {lines}")).collect();
    let _ = writeln!(out, "logs       {}", if logs.is_empty() { "none yet".to_owned() } else { logs.join(", ") });
    let files = &status.files;
    let _ = writeln!(out, "files      {} seen, {} carved, {} scanned, {} matched", files.seen, files.carved, files.scanned, files.matched);
    if status.pcap.file.is_empty() {
        let _ = writeln!(out, "pcap       no file yet");
    } else {
        let pcap = &status.pcap;
        let _ = writeln!(
            out,
            "pcap       {} ({} bytes), {} finished files, {} bytes in all",
            pcap.file, pcap.bytes, pcap.files, pcap.total_bytes
        );
    }
    for destination in &status.destinations {
        let (name, spool) = (&destination.name, &destination.spool);
        let refused =
            if destination.refused > 0 { format!(", {} refused (kept beside the spool)", destination.refused) } else { String::new() };
        let _ = writeln!(out, "{name:<10} {} wait, {} acknowledged, {} lost{refused}", spool.records, spool.acknowledged, spool.lost);
        for collector in &destination.collectors {
            let error = if collector.last_error.is_empty() { String::new() } else { format!(": {}", collector.last_error) };
            let _ = writeln!(out, "           {} {}{error}", collector.address, collector.state);
        }
    }
    out
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    if days > 0 { format!("{days} d {hours} h") } else { format!("{hours} h {minutes} min {} s", seconds % 60) }
}
