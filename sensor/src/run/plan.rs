//! From settings to a [`Plan`]: what each part of the daemon gets of `tenrec.toml`.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use analyze::log::{Format, Profile};
use detect::RuleSet;
use settings::{AnalysisMode, CaptureMode, CarvingMode, Compression, Settings, ZeekFormat, control::Response};

use super::{Plan, control, delivery, files, follow, health, log_files, records, rotated, scanning};
use crate::{
    capture::{self, Mode, Wanted},
    disk::{Disk, Folders, Shares},
    pcap,
    sandbox::Policy,
};

/// What `tenrec run` does with settings: runs until it is told to end. `path` is where they were read from.
///
/// # Errors
/// As [`super::run`]; also if the control socket cannot be opened.
pub fn run(settings: &Settings, path: &Path) -> anyhow::Result<()> {
    settings.check_for_capture(path)?;
    let listener = control::bind(&settings.control.socket, "control.socket")?;
    let mut plan = plan(settings, path);
    scanning::add(settings, &mut plan);
    delivery::add(settings, &mut plan);
    health::add(settings, &mut plan);
    rotated(settings, &mut plan);
    let identity =
        control::Identity { node: settings.node.name.clone(), files: settings.files.folder.clone(), reload: reloader(settings, path) };
    let reload = Arc::clone(&identity.reload);
    plan.reload = Box::new(move || match reload() {
        Response::Error { message } => tracing::error!("settings not read again: {message}"),
        Response::Reloaded { restart, .. } if !restart.is_empty() => {
            tracing::warn!(keys = restart.join(", "), "changed in the settings, in force after a restart");
        }
        _ => tracing::info!("settings read again: nothing has changed"),
    });
    plan.services.push(Box::new(move |status| control::serve(listener, identity, status)));
    let outcome = super::run(plan);
    let _ = std::fs::remove_file(&settings.control.socket);
    outcome
}

/// What is analysed from files, and followed from them.
fn rotated(settings: &Settings, plan: &mut Plan) {
    let is_rotated = settings.analysis.mode == AnalysisMode::Rotated;
    let folder = settings.logs.folder.join("captures");
    let mut results = None;
    if is_rotated || settings.watch.folder.is_some() {
        let captures = plan.pcap.as_mut().filter(|_| is_rotated).map(|pcap| {
            let (sender, events) = crossbeam_channel::bounded(rotated::EVENTS);
            pcap.events.push(sender);
            events
        });
        plan.policy.write.push(settings.logs.folder.clone());
        plan.policy.write.extend(settings.watch.folder.clone());
        plan.rotated = Some(rotated::Options {
            captures,
            watched: settings.watch.folder.clone(),
            folder: folder.clone(),
            analysis: analyze::Options { seed: settings.analysis.seed.unwrap_or(0), sessions: true, ..plan.analysis.clone() },
            rules: Arc::clone(&plan.rules),
            format: format(settings),
            node: settings.node.name.clone(),
            tags: settings.node.tags.clone(),
            documents: settings.opensearch.enabled,
            budget_bytes: megabytes(settings.logs.budget_megabytes),
            share: Arc::clone(&plan.shares.results),
            own: plan.own.clone(),
        });
        results = Some(folder.as_path());
    }
    follow::add(settings, results, plan);
}

/// The parts that follow from the settings alone: no forwarding, no scan, no services.
pub fn plan(settings: &Settings, path: &Path) -> Plan {
    let shares = Shares::default();
    let (own, told) = crossbeam_channel::bounded(records::OWN);
    let folders = Folders {
        captures: settings.pcap.folder.clone(),
        files: settings.files.folder.clone(),
        logs: settings.logs.folder.clone(),
        spool: settings.spool.folder.clone(),
    };
    let (budget, floor) = (megabytes(settings.disk.budget_megabytes), megabytes(settings.disk.floor_megabytes));
    Plan {
        own,
        disk: Disk::new(budget, floor, &folders, &shares),
        capture: capture_options(settings),
        pcap: settings.pcap.enabled.then(|| pcap_options(settings, &shares)),
        analysis: analysis(settings),
        analyses_live: settings.analysis.mode == AnalysisMode::Live,
        rotated: None,
        rules: Arc::new(rules(settings)),
        records: records::Options {
            logs: settings.logs.enabled.then(|| log_options(settings, &shares)),
            profile: profile(settings),
            format: format(settings),
            deliver: None,
            scanned: None,
            own: told,
            places: None,
        },
        files: files::Options {
            folder: settings.files.folder.clone(),
            share: Arc::clone(&shares.files),
            is_tight: Arc::clone(&shares.is_tight),
            budget_bytes: megabytes(settings.files.budget_megabytes),
        },
        shares,
        finished: Box::new(drop),
        policy: policy(settings, path),
        reload: Box::new(|| {}),
        probes: Vec::new(),
        services: Vec::new(),
    }
}

fn capture_options(settings: &Settings) -> capture::Options {
    let of = &settings.capture;
    let wanted = |name: &String| Wanted { name: name.clone(), filter: of.filter.clone() };
    capture::Options {
        interfaces: of.interfaces.iter().map(wanted).collect(),
        workers: workers(of.workers),
        ring_bytes: u32::try_from(megabytes(of.ring_megabytes.into())).unwrap_or(u32::MAX),
        snap: of.snaplen,
        mode: match of.mode {
            CaptureMode::Auto => Mode::Auto,
            CaptureMode::Xdp => Mode::Xdp,
            CaptureMode::AfPacket => Mode::AfPacket,
        },
        shunting: false,
    }
}

/// 0: one a core, but for one core that writes and delivers.
fn workers(wanted: u32) -> usize {
    match wanted {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1)),
        wanted => wanted as usize,
    }
}

fn pcap_options(settings: &Settings, shares: &Shares) -> pcap::Options {
    let of = &settings.pcap;
    pcap::Options {
        folder: of.folder.clone(),
        interfaces: settings.capture.interfaces.clone(),
        rotate_bytes: megabytes(of.rotate_megabytes),
        rotate_age: Duration::from_secs(of.rotate_minutes.saturating_mul(60)),
        lz4: of.compression == Compression::Lz4,
        budget_bytes: megabytes(of.budget_megabytes),
        floor_bytes: megabytes(settings.disk.floor_megabytes),
        snap: settings.capture.snaplen,
        share: Arc::clone(&shares.captures),
        events: Vec::new(),
    }
}

fn analysis(settings: &Settings) -> analyze::Options {
    let standard = analyze::Options::default();
    let local = settings.analysis.local_networks.iter();
    analyze::Options {
        profile: profile(settings),
        // Unguessable: the flow tables are keyed by it.
        seed: settings.analysis.seed.unwrap_or_else(|| RandomState::new().hash_one("tenrec")),
        checksums: settings.analysis.checksums,
        local: match settings.analysis.local_networks.is_empty() {
            true => standard.local,
            false => local.map(|network| analyze::Network::new(network.address(), network.prefix())).collect(),
        },
        carve_bytes: settings.files.max_bytes,
        carve: match settings.files.carving {
            CarvingMode::None => analyze::Carve::None,
            CarvingMode::Known => analyze::Carve::Known,
            CarvingMode::Mapped => analyze::Carve::Mapped,
            CarvingMode::All => analyze::Carve::All,
            CarvingMode::Interesting => analyze::Carve::Interesting,
            CarvingMode::NotCommonText => analyze::Carve::NotCommonText,
        },
        // The index of the captures tells where a session's packets are.
        sessions: settings.logs.enabled || settings.opensearch.enabled || settings.pcap.enabled,
        ..analyze::Options::default()
    }
}

/// The rules that can be used; those that cannot are told one by one, and so is a file that cannot be read.
fn rules(settings: &Settings) -> RuleSet {
    let mut all = RuleSet::default();
    for file in &settings.analysis.rules {
        if let Err(error) = all.add(file) {
            tracing::error!(%error, file = %file.display(), "no rules from this file: correct analysis.rules in tenrec.toml");
        }
    }
    for broken in &all.refused {
        tracing::warn!("rule left out: {broken}");
    }
    if !settings.analysis.rules.is_empty() {
        tracing::info!(at_work = all.len(), left_out = all.refused.len(), "rules were read");
    }
    all
}

fn profile(settings: &Settings) -> Profile {
    match settings.analysis.profile {
        settings::Profile::Stock => Profile::Stock,
        settings::Profile::Malcolm => Profile::Malcolm,
    }
}

fn format(settings: &Settings) -> Format {
    match settings.analysis.zeek {
        ZeekFormat::Json => Format::Json,
        ZeekFormat::Tsv => Format::Tsv,
    }
}

fn log_options(settings: &Settings, shares: &Shares) -> log_files::Options {
    let of = &settings.logs;
    log_files::Options {
        folder: of.folder.clone(),
        format: format(settings),
        profile: profile(settings),
        node: settings.node.name.clone(),
        rotate: Duration::from_secs(of.rotate_minutes.saturating_mul(60)),
        budget_bytes: megabytes(of.budget_megabytes),
        // Captures give way at the floor; logs only when that was not enough.
        floor_bytes: megabytes(settings.disk.floor_megabytes) / 2,
        share: Arc::clone(&shares.logs),
    }
}

fn policy(settings: &Settings, path: &Path) -> Policy {
    let forward = &settings.forward;
    let opensearch = &settings.opensearch;
    let certificates = [
        &forward.ca,
        &forward.certificate,
        &forward.key,
        &opensearch.ca,
        &opensearch.certificate,
        &opensearch.key,
        &opensearch.password_file,
    ];
    let mut read: Vec<PathBuf> = certificates.into_iter().flatten().cloned().collect();
    read.push(path.to_owned());
    let mut write = Vec::new();
    write.extend(settings.control.socket.parent().map(Path::to_owned));
    let mut ports: Vec<u16> = Vec::new();
    if forward.enabled {
        ports.extend(forward.hosts.iter().map(|host| host.port()));
    }
    if opensearch.enabled {
        ports.extend(opensearch.hosts.iter().map(|host| host.host().port()));
    }
    if forward.enabled || opensearch.enabled {
        write.push(settings.spool.folder.clone());
        // Names are asked for over TCP where an answer is long.
        ports.push(53);
    }
    Policy { read, write, connect: Some(ports) }
}

/// Reads the settings again and says what would change. Nothing that is in force is changed: what these settings govern
/// was opened with privileges that are given up.
fn reloader(settings: &Settings, path: &Path) -> Arc<dyn Fn() -> Response + Send + Sync> {
    let (before, path) = (settings.clone(), path.to_owned());
    Arc::new(move || match Settings::load(&path) {
        Ok(now) => Response::Reloaded { applied: Vec::new(), restart: changed(&before, &now) },
        Err(error) => Response::Error { message: error.to_string() },
    })
}

/// Keys, `section.key`, of which the values differ.
fn changed(before: &Settings, now: &Settings) -> Vec<String> {
    let table = |settings: &Settings| serde_json::to_value(&**settings).unwrap_or_default();
    let mut keys = Vec::new();
    // A password looks like any other as JSON.
    for (key, same) in [
        ("opensearch.password", before.opensearch.password == now.opensearch.password),
        ("viewer.secret", before.viewer.secret == now.viewer.secret),
        ("collector.opensearch_password", before.collector.opensearch_password == now.collector.opensearch_password),
    ] {
        if !same {
            keys.push(key.to_owned());
        }
    }
    let (before, now) = (table(before), table(now));
    for (section, values) in now.as_object().into_iter().flatten() {
        for (key, value) in values.as_object().into_iter().flatten() {
            if before.get(section).and_then(|values| values.get(key)) != Some(value) {
                let key = format!("{section}.{key}");
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
    }
    keys
}

const fn megabytes(megabytes: u64) -> u64 {
    megabytes.saturating_mul(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Settings {
        Settings::parse(text, Path::new("tenrec.toml"), |_| None).unwrap()
    }

    #[test]
    fn a_settings_file_becomes_a_plan() {
        let settings = parse(
            "capture = { interfaces = ['eth1', 'eth2'], filter = 'tcp', ring_megabytes = 128, workers = 3 }\npcap = { compression = 'lz4', rotate_minutes = 5 }\n",
        );
        let plan = plan(&settings, Path::new("tenrec.toml"));
        assert_eq!((plan.capture.workers, plan.capture.ring_bytes, plan.capture.interfaces.len()), (3, 128 << 20, 2));
        assert_eq!(plan.capture.interfaces[1].filter, "tcp");
        let pcap = plan.pcap.unwrap();
        assert!(pcap.lz4 && pcap.rotate_age == Duration::from_secs(300) && pcap.rotate_bytes == 4096 << 20);
        assert_eq!(plan.policy.connect, Some(Vec::new()), "without forwarding nothing is connected to");
    }

    #[test]
    fn a_reload_names_the_keys_that_changed() {
        let before = parse("capture = { interfaces = ['eth1'] }\n");
        let now = parse("capture = { interfaces = ['eth1'], filter = 'udp' }\nlogs = { rotate_minutes = 5 }\n");
        assert_eq!(changed(&before, &now), ["capture.filter", "logs.rotate_minutes"]);
        assert_eq!(changed(&before, &before), [""; 0]);
    }
}
