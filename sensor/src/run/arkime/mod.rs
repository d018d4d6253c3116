//! What Arkime wants from a sensor, delivered to OpenSearch: sessions, a list of the capture files, how the sensor is.
//!
//! ```text
//! record writer ─▶ sessions ─▶ queue ─▶ arkime_sessions3-YYMMDD      any order, several requests at once
//! PCAP writer ─▶ files ─┬────▶ queue ─▶ arkime_files, arkime_sequence, arkime_dstats      in order
//! counters ─▶ statistics ┴───▶ newest ─▶ arkime_stats      not queued
//! ```
//! Numbers of files are given here and not asked for there, so that a sensor records before it has seen its collector; the
//! collector's counter is pushed on behind them.

mod files;
mod statistics;

use std::path::Path;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use analyze::log::Session;
use crossbeam_channel::Receiver;
use forward::{
    Intake,
    opensearch::{Delivery, Operation, Order, State},
};
use settings::{
    Settings,
    control::{Destination, Status as Answer},
};
use spool::Stats;
use tokio::sync::watch;

use self::{files::Files, statistics::Statistics};
use super::{
    Plan, Probe, Service, Status,
    delivery::{Budgets, open, state_of},
};
use crate::pcap::FileEvent;

/// The delivery's place in each of its spools.
const READER: &str = "bulk";
/// Events of capture files that wait here; the PCAP writer keeps more.
const EVENTS: usize = 1024;
/// How often the sensor tells how it is, as Arkime's capture does.
const TELL: Duration = Duration::from_secs(1);

/// Adds delivery to OpenSearch to a plan. Gives where sessions go.
pub(super) fn add(settings: &Settings, budgets: &Budgets, plan: &mut Plan) -> Option<Sessions> {
    let folder = settings.spool.folder.join("opensearch");
    let (mut writer, reader) = open(&folder.join("sessions"), budgets.sessions, READER)?;
    let delivery = Delivery::new(settings.opensearch.clone(), Order::Free, reader, folder.join("sessions-refused.ndjson"));
    writer.on_append(delivery.waker());
    let delivered = Delivered { stats: Arc::new(Mutex::new(writer.stats())), state: delivery.state(), bytes: Arc::default() };
    plan.probes.push(Box::new(Seen { name: "sessions", queue: delivered.clone() }));
    plan.services.push(Box::new(move |status| serve(delivery, &status)));
    // What is told of the sensor is the lesser thing: sessions go without it.
    add_sensor(settings, (&folder, budgets.sensor), delivered.clone(), plan);
    let (node, tags) = (settings.node.name.clone(), settings.node.tags.clone());
    Some(Sessions { intake: Intake::new(writer, "sessions"), delivered, node, tags, document: Vec::new() })
}

fn add_sensor(settings: &Settings, (folder, budget): (&Path, u64), sessions: Delivered, plan: &mut Plan) {
    let Some((mut writer, reader)) = open(&folder.join("sensor"), budget, READER) else { return };
    let (newest, latest) = watch::channel(Vec::new());
    let refused = folder.join("sensor-refused.ndjson");
    let delivery = Delivery::new(settings.opensearch.clone(), Order::Kept, reader, refused).with_latest(latest);
    writer.on_append(delivery.waker());
    let queue = Delivered { stats: Arc::new(Mutex::new(writer.stats())), state: delivery.state(), bytes: Arc::default() };
    plan.probes.push(Box::new(Seen { name: "sensor", queue: queue.clone() }));
    let (sender, events) = crossbeam_channel::bounded(EVENTS);
    let captures = plan.pcap.as_mut().map(|pcap| {
        pcap.events.push(sender);
        pcap.folder.clone()
    });
    let house = House {
        intake: Intake::new(writer, "what Arkime wants to know of the sensor"),
        queue,
        sessions,
        newest,
        events,
        files: Files::new(&settings.node.name),
        statistics: Statistics::new(&settings.node, captures),
    };
    // The house has its last words before the delivery may end.
    let (living, mut gone) = watch::channel(());
    plan.services.push(Box::new(move |status| {
        let kept = house.keep(status);
        Box::pin(async move {
            kept.await;
            drop(living);
        })
    }));
    plan.services.push(Box::new(move |_| {
        Box::pin(delivery.run(async move {
            // Nothing is ever said there: it ends.
            let _ = gone.changed().await;
        }))
    }));
}

/// A queue as others see it.
#[derive(Clone)]
struct Delivered {
    stats: Arc<Mutex<Stats>>,
    state: watch::Receiver<State>,
    /// Bytes of documents put into it.
    bytes: Arc<AtomicU64>,
}

impl Delivered {
    fn stats(&self) -> Stats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, stats: Stats) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}

fn serve(delivery: Delivery, status: &Status) -> Service {
    let mut stop = status.stop();
    Box::pin(delivery.run(async move {
        // An error means that the daemon is gone already.
        let _ = stop.wait_for(|stop| *stop).await;
    }))
}

/// The way of a session into its queue.
pub(super) struct Sessions {
    intake: Intake,
    delivered: Delivered,
    node: String,
    tags: Vec<String>,
    document: Vec<u8>,
}

impl Sessions {
    /// Takes one session. Its document is made here, once.
    pub(super) fn put(&mut self, session: &Session) {
        self.document.clear();
        session.write_for_malcolm(&self.node, &self.tags, &mut self.document);
        self.delivered.bytes.fetch_add(self.document.len() as u64, Ordering::Relaxed);
        self.intake.put(Operation::Index, &session.index(), &session.id(), &self.document);
    }

    pub(super) fn flush(&mut self) {
        self.intake.flush();
        self.delivered.set(self.intake.stats());
    }

    pub(super) fn intake(&mut self) -> &mut Intake {
        &mut self.intake
    }
}

/// Tells Arkime of files and of the sensor's state.
struct House {
    intake: Intake,
    queue: Delivered,
    sessions: Delivered,
    newest: watch::Sender<Vec<u8>>,
    events: Receiver<FileEvent>,
    files: Files,
    statistics: Statistics,
}

impl House {
    fn keep(mut self, status: Arc<Status>) -> Service {
        let mut stop = status.stop();
        Box::pin(async move {
            let mut tick = tokio::time::interval(TELL);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                let over = tokio::select! {
                    _ = tick.tick() => false,
                    _ = stop.wait_for(|stop| *stop) => true,
                };
                // At the end too: the last files have just been closed.
                while let Ok(event) = self.events.try_recv() {
                    self.files.tell(&event, &mut self.intake);
                }
                if let Some(newest) = self.statistics.tell(&status, &self.sessions, &mut self.intake) {
                    self.newest.send_replace(newest);
                }
                self.intake.flush();
                self.queue.set(self.intake.stats());
                if over {
                    return;
                }
            }
        })
    }
}

/// What the control socket tells of a queue and its hosts.
struct Seen {
    name: &'static str,
    queue: Delivered,
}

impl Probe for Seen {
    fn status(&self, status: &mut Answer) {
        let stats = self.queue.stats();
        let state = self.queue.state.borrow();
        status.drops.spool += stats.lost();
        status.drops.forward += state.refused;
        status.destinations.push(Destination {
            name: self.name.to_owned(),
            spool: state_of(&stats),
            collectors: state.hosts.iter().map(Into::into).collect(),
            refused: state.refused,
        });
    }
}

#[cfg(test)]
mod tests;
