//! Delivery: from the record writer into the spool, and from there to the collector.
//!
//! A spool that cannot be opened costs the delivery, never the recording: it is told, and log files and captures go on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use analyze::Time;
use forward::{Envelope, Forwarder, Shipper, State};
use settings::{
    Settings,
    control::{Destination, SpoolState, Status},
};
use spool::{Stats, Writer};
use tokio::sync::watch;

use super::{Plan, Probe, records::Deliver};

/// The forwarder's place in the spool.
const READER: &str = "forward";

/// Adds delivery to a plan, if the settings want it.
pub fn add(settings: &Settings, plan: &mut Plan) {
    if !settings.forward.enabled {
        return;
    }
    let options = spool::Options::with_budget(settings.spool.budget_megabytes.saturating_mul(1 << 20));
    let opened = Writer::open(&settings.spool.folder, options).and_then(|writer| writer.reader(READER).map(|reader| (writer, reader)));
    let (mut writer, reader) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::error!(%error, cause, "nothing is forwarded: make room for the spool or change spool.folder in tenrec.toml");
            return;
        }
    };
    let forwarder = Forwarder::new(settings.forward.clone(), reader);
    writer.on_append(forwarder.waker());
    let stats = Arc::new(Mutex::new(writer.stats()));
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let envelope = Envelope::new(&settings.node, i128::try_from(started).unwrap_or_default());
    plan.probes.push(Box::new(Seen { stats: Arc::clone(&stats), state: forwarder.state() }));
    plan.records.deliver = Some(Box::new(Delivery { shipper: Shipper::new(envelope, writer), stats }));
    plan.services.push(Box::new(move |status| {
        let mut stop = status.stop();
        Box::pin(forwarder.run(async move {
            // An error means that the daemon is gone already.
            let _ = stop.wait_for(|stop| *stop).await;
        }))
    }));
}

struct Delivery {
    shipper: Shipper,
    stats: Arc<Mutex<Stats>>,
}

impl Deliver for Delivery {
    fn line(&mut self, log: &'static str, at: Time, line: &[u8]) {
        self.shipper.zeek(log, at.0.into(), line);
    }

    fn alert(&mut self, at: Time, line: &[u8]) {
        self.shipper.suricata(at.0.into(), line);
    }

    fn scanned(&mut self, at: Time, event: &serde_json::Map<String, serde_json::Value>) {
        self.shipper.filescan(at.0.into(), event);
    }

    fn flush(&mut self) {
        self.shipper.flush();
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = self.shipper.stats();
    }
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
            spool: SpoolState { records: stats.waiting, bytes: stats.bytes, acknowledged: stats.acknowledged, lost: stats.lost() },
            collectors: self.state.borrow().iter().map(Into::into).collect(),
        });
    }
}
