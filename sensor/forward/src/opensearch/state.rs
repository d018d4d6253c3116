//! What the status page shows of the delivery: how it is with each host, and what became of the documents.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Phase, State as Host};

/// What the delivery does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// How it is with each host, in the order of the settings.
    pub hosts: Vec<Host>,
    /// Documents that OpenSearch has taken since the start.
    pub taken: u64,
    /// Documents that it refused for good; they are in `refused.ndjson`.
    pub refused: u64,
    /// Times that a document was sent again, because OpenSearch was not able to take it.
    pub retried: u64,
    /// Milliseconds that the last request took to be answered.
    pub answered_in: u64,
}

/// Where the lanes tell how they are.
#[derive(Clone)]
pub(crate) struct Board(Arc<watch::Sender<State>>);

impl Board {
    pub(crate) fn new(hosts: impl Iterator<Item = String>) -> Self {
        let hosts = hosts.map(Host::begin).collect();
        Self(Arc::new(watch::Sender::new(State { hosts, taken: 0, refused: 0, retried: 0, answered_in: 0 })))
    }

    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }

    /// A lane is about to dial. Another one may be connected: then that is what counts.
    pub(crate) fn connecting(&self, host: usize) {
        self.host(host, |host| {
            if host.phase == Phase::Waiting {
                enter(host, Phase::Connecting);
            }
        });
    }

    /// A lane is connected and let through the gate.
    pub(crate) fn connected(&self, host: usize) {
        self.host(host, |host| {
            if host.phase != Phase::Connected {
                info!(address = host.address, "connected to OpenSearch");
                enter(host, Phase::Connected);
            }
        });
    }

    /// A lane waits, because of `reason`. It is logged when it is a new one: a host that is away for a day fails thousands
    /// of times.
    pub(crate) fn failed(&self, host: usize, reason: &str) {
        self.host(host, |host| {
            enter(host, Phase::Waiting);
            if host.last_error != reason {
                warn!(address = host.address, %reason, "no delivery to OpenSearch");
                reason.clone_into(&mut host.last_error);
            }
        });
    }

    /// Documents were taken: whatever was wrong is over.
    pub(crate) fn taken(&self, host: usize, documents: u64) {
        self.0.send_modify(|state| state.taken += documents);
        self.host(host, |host| {
            enter(host, Phase::Connected);
            host.last_error.clear();
        });
    }

    /// A request was answered.
    pub(crate) fn answered(&self, after: Duration) {
        self.0.send_modify(|state| state.answered_in = u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
    }

    pub(crate) fn refused(&self, documents: u64) {
        self.0.send_modify(|state| state.refused += documents);
    }

    pub(crate) fn retried(&self, documents: u64) {
        self.0.send_modify(|state| state.retried += documents);
    }

    fn host(&self, host: usize, change: impl FnOnce(&mut Host)) {
        self.0.send_modify(|state| {
            if let Some(host) = state.hosts.get_mut(host) {
                change(host);
            }
        });
    }
}

fn enter(host: &mut Host, phase: Phase) {
    let address = host.address.clone();
    host.enter(phase, &address);
}
