//! Delivery: from the record writer into the spools, and from there to the collectors: logs by Lumberjack, sessions to
//! OpenSearch.
//!
//! ```text
//! spool.folder/                       logs
//! spool.folder/opensearch/sessions/   Arkime's sessions
//! spool.folder/opensearch/sensor/     what Arkime wants to know about this sensor
//! ```
//! They share the budget. A spool that cannot be opened costs its delivery, never the recording: it is told, and log files
//! and captures go on.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use analyze::{Time, log::Session};
use forward::{Envelope, Forwarder, Shipper, State};
use settings::{
    AnalysisMode, Settings,
    control::{Destination, SpoolState, Status},
};
use spool::{Reader, Stats, Writer};
use tokio::sync::watch;

use super::{Plan, Probe, arkime, records::Deliver};
use crate::disk::Share;

/// The forwarder's place in its spool.
const READER: &str = "forward";

/// Adds delivery to a plan, if the settings want it.
pub fn add(settings: &Settings, plan: &mut Plan) {
    let budgets = Budgets::of(settings);
    let logs = if settings.forward.enabled { logs(settings, budgets.logs, plan) } else { None };
    let sessions = if settings.opensearch.enabled { arkime::add(settings, &budgets, plan) } else { None };
    if logs.is_some() || sessions.is_some() {
        plan.records.deliver = Some(Box::new(Delivery { share: Arc::clone(&plan.shares.spool), lost_before: 0, logs, sessions }));
    }
}

/// Bytes of each spool: logs and sessions are about as many, what is known about the sensor is little.
pub struct Budgets {
    /// Logs.
    pub logs: u64,
    /// Sessions.
    pub sessions: u64,
    /// What Arkime wants to know about this sensor.
    pub sensor: u64,
    /// Lines that come from files, and as much for documents that do.
    pub followed: u64,
}

impl Budgets {
    pub(super) fn of(settings: &Settings) -> Self {
        // A spool has four segments of a megabyte at least.
        const LEAST: u64 = 4 << 20;
        let whole = settings.spool.budget_megabytes.saturating_mul(1 << 20);
        // Lines from files have log files to wait in: a quarter is for them and for the documents among them.
        let follows = settings.analysis.mode == AnalysisMode::Rotated
            || settings.watch.folder.is_some()
            || !settings.tail.zeek.is_empty()
            || !settings.tail.suricata.is_empty();
        let followed = if follows { whole / 8 } else { 0 };
        let all = whole - followed * 2;
        if !settings.opensearch.enabled {
            return Self { logs: all, sessions: 0, sensor: 0, followed };
        }
        let sensor = (all / 64).max(LEAST);
        let rest = all.saturating_sub(sensor);
        if settings.forward.enabled {
            Self { logs: rest / 2, sessions: rest / 2, sensor, followed }
        } else {
            Self { logs: 0, sessions: rest, sensor, followed }
        }
    }
}

/// Opens a spool and the one place in it that its delivery has.
pub(super) fn open(folder: &Path, budget: u64, reader: &str) -> Option<(Writer, Reader)> {
    let options = spool::Options::with_budget(budget);
    match Writer::open(folder, options).and_then(|writer| writer.reader(reader).map(|reader| (writer, reader))) {
        Ok(opened) => Some(opened),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::error!(%error, cause, "nothing is delivered from this spool: make room for it or change spool.folder in tenrec.toml");
            None
        }
    }
}

fn logs(settings: &Settings, budget: u64, plan: &mut Plan) -> Option<Logs> {
    let (mut writer, reader) = open(&settings.spool.folder, budget, READER)?;
    let forwarder = Forwarder::new(settings.forward.clone(), reader);
    writer.on_append(forwarder.waker());
    let stats = Arc::new(Mutex::new(writer.stats()));
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let envelope = Envelope::new(&settings.node, i128::try_from(started).unwrap_or_default());
    plan.probes.push(Box::new(Seen { stats: Arc::clone(&stats), state: forwarder.state() }));
    plan.services.push(Box::new(move |status| {
        let mut stop = status.stop();
        Box::pin(forwarder.run(async move {
            // An error means that the daemon is gone already.
            let _ = stop.wait_for(|stop| *stop).await;
        }))
    }));
    Some(Logs { shipper: Shipper::new(envelope, writer), stats })
}

struct Delivery {
    share: Arc<Share>,
    /// Records that were lost and told.
    lost_before: u64,
    logs: Option<Logs>,
    sessions: Option<arkime::Sessions>,
}

impl Delivery {
    fn lost(&mut self) -> u64 {
        let logs = self.logs.as_ref().map_or(0, |logs| logs.shipper.stats().lost());
        logs + self.sessions.as_mut().map_or(0, |sessions| sessions.intake().stats().lost())
    }

    /// Says what waits in the spools, and gives up the oldest of it if there is no room: logs first, of which Malcolm has
    /// Arkime's sessions too.
    fn make_room(&mut self) {
        let (mut held, mut spare) = (0, 0);
        let mut wanted = self.share.wanted();
        let asked = wanted > 0;
        let mut freed = 0;
        if let Some(logs) = &mut self.logs {
            if wanted > 0 {
                (freed, _) = logs.shipper.intake().give_up(wanted);
            }
            (held, spare) = (logs.shipper.stats().bytes, logs.shipper.intake().spare());
        }
        wanted = wanted.saturating_sub(freed);
        if let Some(sessions) = &mut self.sessions {
            let intake = sessions.intake();
            if wanted > 0 {
                freed += intake.give_up(wanted).0;
            }
            (held, spare) = (held + intake.stats().bytes, spare + intake.spare());
        }
        if asked {
            self.share.answer();
        }
        // Also what the spools gave up for their own budget, or could not read or write.
        let lost = self.lost();
        self.share.dropped(freed, lost - std::mem::replace(&mut self.lost_before, lost));
        self.share.holds(held, spare);
    }
}

struct Logs {
    shipper: Shipper,
    stats: Arc<Mutex<Stats>>,
}

impl Deliver for Delivery {
    fn wants_lines(&self) -> bool {
        self.logs.is_some()
    }

    fn line(&mut self, log: &'static str, at: Time, line: &[u8]) {
        if let Some(logs) = &mut self.logs {
            logs.shipper.zeek(log, at.0.into(), line);
        }
    }

    fn alert(&mut self, at: Time, line: &[u8]) {
        if let Some(logs) = &mut self.logs {
            logs.shipper.suricata(at.0.into(), line);
        }
    }

    fn measured(&mut self, at: Time, module: &'static str, values: &serde_json::Value) {
        if let Some(logs) = &mut self.logs {
            logs.shipper.metric(at.0.into(), module, values);
        }
    }

    fn session(&mut self, session: &Session) {
        if let Some(sessions) = &mut self.sessions {
            sessions.put(session);
        }
    }

    fn scanned(&mut self, at: Time, event: &serde_json::Map<String, serde_json::Value>) {
        if let Some(logs) = &mut self.logs {
            logs.shipper.filescan(at.0.into(), event);
        }
    }

    fn flush(&mut self) {
        if let Some(logs) = &mut self.logs {
            logs.shipper.flush();
            *logs.stats.lock().unwrap_or_else(PoisonError::into_inner) = logs.shipper.stats();
        }
        if let Some(sessions) = &mut self.sessions {
            sessions.flush();
        }
        self.make_room();
    }
}

/// What the control socket tells of a spool.
pub(super) fn state_of(stats: &Stats) -> SpoolState {
    SpoolState { records: stats.waiting, bytes: stats.bytes, acknowledged: stats.acknowledged, lost: stats.lost() }
}

/// What the control socket tells of the spool and the collector.
struct Seen {
    stats: Arc<Mutex<Stats>>,
    state: watch::Receiver<Vec<State>>,
}

impl Probe for Seen {
    fn status(&self, status: &mut Status) {
        let stats = *self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        status.drops.spool += stats.lost();
        status.destinations.push(Destination {
            name: "logs".to_owned(),
            spool: state_of(&stats),
            collectors: self.state.borrow().iter().map(Into::into).collect(),
            refused: 0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spools_together_stay_within_the_budget() {
        for (text, sum) in [("", 16_u64), ("forward = { enabled = true, hosts = ['h'], verify = 'none' }", 16), ("", 8192)] {
            let text = format!(
                "opensearch = {{ enabled = true, hosts = ['h'], verify = 'none' }}\nspool = {{ budget_megabytes = {sum} }}\n{text}\n"
            );
            let settings = Settings::parse(&text, Path::new("t"), |_| None).unwrap();
            let budgets = Budgets::of(&settings);
            assert!(budgets.logs + budgets.sessions + budgets.sensor <= sum << 20);
            assert!(budgets.sessions >= 4 << 20 && budgets.sensor >= 4 << 20, "{text}");
        }
    }
}
