//! Lines that come from files: logs of captures that were analysed whole, and log files of other programs. A tailer takes
//! each line into a spool of its own, once, and a connection of its own delivers it.
//!
//! ```text
//! logs.folder/captures/…, [tail] ─▶ tailer ─▶ spool.folder/followed/              ─▶ Lumberjack
//! logs.folder/captures/…/documents.bulk ─▶ tailer ─▶ spool.folder/opensearch/captures/ ─▶ OpenSearch
//! ```

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use forward::{
    Forwarder,
    opensearch::{Delivery, Order},
};
use regex::bytes::Regex;
use serde_json::{Map, json};
use settings::{
    Settings,
    control::{CollectorState, Destination, Status as Answer},
};
use spool::{Stats, Writer};
use tail::{Input, Shape, Tailer};

use super::{Plan, Probe, Service, Status, delivery, rotated};

/// The delivery's place in its spool.
const READER: &str = "forward";
/// How often it is looked for new files.
const LOOK: Duration = Duration::from_secs(2);

/// Adds to a plan what is to be followed. `captures` is the folder of the results of captures, if there are any.
pub fn add(settings: &Settings, captures: Option<&Path>, plan: &mut Plan) {
    let budget = delivery::Budgets::of(settings).followed;
    let of_others = if settings.forward.enabled { others(settings) } else { Vec::new() };
    for input in &of_others {
        plan.policy.read.extend(input.paths.iter().map(|pattern| base(pattern)));
    }
    if settings.forward.enabled && (captures.is_some() || !of_others.is_empty()) {
        let mut inputs = captures.map_or_else(Vec::new, |folder| results(settings, folder));
        inputs.extend(of_others);
        let folder = settings.spool.folder.join("followed");
        if let Some((mut writer, reader)) = delivery::open(&folder, budget, READER) {
            let forwarder = Forwarder::new(settings.forward.clone(), reader);
            writer.on_append(forwarder.waker());
            let state = forwarder.state();
            let collectors = move || state.borrow().iter().map(Into::into).collect();
            follow(settings, "followed", (inputs, folder, writer, budget), Box::new(collectors), plan);
            plan.services.push(Box::new(move |status| {
                let mut stop = status.stop();
                Box::pin(forwarder.run(async move { drop(stop.wait_for(|stop| *stop).await) }))
            }));
        }
    }
    let Some(captures) = captures.filter(|_| settings.opensearch.enabled) else { return };
    let folder = settings.spool.folder.join("opensearch/captures");
    if let Some((mut writer, reader)) = delivery::open(&folder, budget, READER) {
        let refused = settings.spool.folder.join("opensearch/captures-refused.ndjson");
        let delivery = Delivery::new(settings.opensearch.clone(), Order::Free, reader, refused);
        writer.on_append(delivery.waker());
        let state = delivery.state();
        let paths = [rotated::OWN, rotated::WATCHED].map(|kind| pattern(captures, kind, rotated::DOCUMENTS)).to_vec();
        let input = Input { paths, shape: Shape::Document, scan_frequency: LOOK, ..Input::default() };
        let collectors = move || state.borrow().hosts.iter().map(Into::into).collect();
        follow(settings, "sessions of captures", (vec![input], folder, writer, budget), Box::new(collectors), plan);
        plan.services.push(Box::new(move |status| {
            let mut stop = status.stop();
            Box::pin(delivery.run(async move { drop(stop.wait_for(|stop| *stop).await) }))
        }));
    }
}

type Collectors = Box<dyn Fn() -> Vec<CollectorState> + Send + Sync>;

/// A tailer in a thread of its own, which begins once the daemon has given up its privileges.
fn follow(
    settings: &Settings,
    name: &'static str,
    (inputs, folder, writer, budget): (Vec<Input>, PathBuf, Writer, u64),
    collectors: Collectors,
    plan: &mut Plan,
) {
    let stats = Arc::new(Mutex::new(writer.stats()));
    plan.probes.push(Box::new(Seen { name, stats: Arc::clone(&stats), collectors }));
    let options = tail::Options { inputs, name: settings.node.name.clone(), most_waiting: budget / 10 * 8 };
    plan.services.push(Box::new(move |status| match Tailer::open(options, &folder, writer) {
        Ok(tailer) => serve(tailer, stats, &status),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::error!(%error, cause, "log files are not followed: make room for the spool or change spool.folder in tenrec.toml");
            Box::pin(std::future::ready(()))
        }
    }));
}

fn serve(mut tailer: Tailer, stats: Arc<Mutex<Stats>>, status: &Status) -> Service {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new().name("tail".to_owned()).spawn(move || {
        tailer.run(&stopped, |_, now| *stats.lock().unwrap_or_else(PoisonError::into_inner) = now);
    });
    let mut told = status.stop();
    Box::pin(async move {
        let thread = match thread {
            Ok(thread) => thread,
            Err(error) => return tracing::error!(%error, "log files are not followed: no thread could be started"),
        };
        let _ = told.wait_for(|stop| *stop).await;
        stop.store(true, Ordering::Release);
        thread.thread().unpark();
        // It ends within a batch; the spool is synced then.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    })
}

/// The logs of captures, with the tags that a name gives.
fn results(settings: &Settings, folder: &Path) -> Vec<Input> {
    let alerts = Regex::new(r#""event_type": ?"alert""#).into_iter().collect::<Vec<_>>();
    // Zeek writes comments into its tab-separated files.
    let comments = Regex::new(r"^\s*#").into_iter().collect::<Vec<_>>();
    let mut inputs = Vec::new();
    for kind in [rotated::OWN, rotated::WATCHED] {
        let marks = (kind == rotated::WATCHED).then_some(rotated::names::marks_of_result as fn(&Path) -> tail::Marks);
        inputs.push(Input { marks, exclude_lines: comments.clone(), ..zeek(settings, vec![pattern(folder, kind, "*.log")]) });
        // Of Suricata's events a Malcolm sensor sends the alerts.
        inputs.push(Input { marks, include_lines: alerts.clone(), ..suricata(settings, vec![pattern(folder, kind, "eve.json")]) });
    }
    inputs
}

/// What `[tail]` names.
fn others(settings: &Settings) -> Vec<Input> {
    let of = &settings.tail;
    let mut inputs = Vec::new();
    // Valid, or there would be no settings.
    let exclude_lines: Vec<Regex> = of.exclude_lines.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect();
    let ignore_older = Duration::from_secs(of.ignore_older_minutes.saturating_mul(60));
    if !of.zeek.is_empty() {
        inputs.push(Input { exclude_lines: exclude_lines.clone(), ignore_older, ..zeek(settings, of.zeek.clone()) });
    }
    if !of.suricata.is_empty() {
        inputs.push(Input { exclude_lines, ignore_older, ..suricata(settings, of.suricata.clone()) });
    }
    inputs
}

fn zeek(settings: &Settings, paths: Vec<String>) -> Input {
    input(settings, paths, &["_filebeat_zeek_malcolm_live", "_filebeat_zeek_hedgehog"])
}

fn suricata(settings: &Settings, paths: Vec<String>) -> Input {
    input(settings, paths, &["_filebeat_suricata_malcolm_live"])
}

fn input(settings: &Settings, paths: Vec<String>, tags: &[&str]) -> Input {
    let node = &settings.node;
    let tags = tags.iter().map(ToString::to_string).chain(node.tags.iter().cloned()).collect();
    let mut fields = Map::new();
    if !node.site.is_empty() {
        fields.insert("netbox".to_owned(), json!({"site": node.site}));
    }
    Input { paths, tags, fields, fields_under_root: true, scan_frequency: LOOK, ..Input::default() }
}

fn pattern(folder: &Path, kind: &str, name: &str) -> String {
    // The folder is meant as it is, whatever is in its name.
    format!("{}/{kind}/*/{name}", glob::Pattern::escape(&folder.display().to_string()))
}

/// The folder above the first part of a pattern that is none.
fn base(pattern: &str) -> PathBuf {
    let fixed = pattern.find(['*', '?', '[']).map_or(pattern, |at| pattern.get(..at).unwrap_or_default());
    Path::new(fixed.rsplit_once('/').map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder })).to_owned()
}

/// What the control socket tells.
struct Seen {
    name: &'static str,
    stats: Arc<Mutex<Stats>>,
    collectors: Collectors,
}

impl Probe for Seen {
    fn status(&self, status: &mut Answer) {
        let stats = *self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        status.drops.spool += stats.lost();
        status.destinations.push(Destination {
            name: self.name.to_owned(),
            spool: delivery::state_of(&stats),
            collectors: (self.collectors)(),
            refused: 0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_opens_the_folder_above_a_pattern() {
        for (pattern, folder) in [("/var/zeek/*.log", "/var/zeek"), ("/a/b/**/c.log", "/a/b"), ("/*.log", "/"), ("/a/x.log", "/a")] {
            assert_eq!(base(pattern), Path::new(folder), "{pattern}");
        }
    }
}
