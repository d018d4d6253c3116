//! What the status page shows of the delivery: of several hosts, whether one takes documents, and what is wrong with the
//! others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tracing::{info, warn};

use crate::Phase;

/// What the delivery does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The best of what it does with any of the hosts.
    pub phase: Phase,
    /// The host that this is about.
    pub address: String,
    /// What is wrong with a host, in plain words; empty when nothing is.
    pub last_error: String,
    /// Since when the phase holds.
    pub since: SystemTime,
    /// Documents that OpenSearch has taken since the start.
    pub taken: u64,
    /// Documents that it refused for good; they are in `refused.ndjson`.
    pub refused: u64,
    /// Times that a document was sent again, because OpenSearch was not able to take it.
    pub retried: u64,
}

impl From<&State> for settings::control::CollectorState {
    fn from(state: &State) -> Self {
        Self {
            state: state.phase.word().to_owned(),
            address: state.address.clone(),
            last_error: state.last_error.clone(),
            since: state.since.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
        }
    }
}

/// Where the lanes tell how they are.
#[derive(Clone)]
pub(crate) struct Board {
    hosts: Arc<Mutex<BTreeMap<String, Shown>>>,
    state: Arc<watch::Sender<State>>,
}

struct Shown {
    phase: Phase,
    error: String,
}

impl Board {
    pub(crate) fn new(address: String) -> Self {
        let state = State {
            phase: Phase::Connecting,
            address,
            last_error: String::new(),
            since: SystemTime::now(),
            taken: 0,
            refused: 0,
            retried: 0,
        };
        Self { hosts: Arc::default(), state: Arc::new(watch::Sender::new(state)) }
    }

    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// A lane is about to dial.
    pub(crate) fn connecting(&self, address: &str) {
        self.change(address, |shown| {
            if shown.phase == Phase::Waiting {
                shown.phase = Phase::Connecting;
            }
        });
    }

    /// A lane is connected and let through the gate.
    pub(crate) fn connected(&self, address: &str) {
        self.change(address, |shown| {
            if shown.phase != Phase::Connected {
                info!(address, "connected to OpenSearch");
                shown.phase = Phase::Connected;
            }
        });
    }

    /// A lane waits, because of `reason`. It is logged when it is a new one: a host that is away for a day fails thousands
    /// of times.
    pub(crate) fn failed(&self, address: &str, reason: &str) {
        self.change(address, |shown| {
            shown.phase = Phase::Waiting;
            if shown.error != reason {
                warn!(address, %reason, "no delivery to OpenSearch");
                reason.clone_into(&mut shown.error);
            }
        });
    }

    /// Documents were taken: whatever was wrong is over.
    pub(crate) fn taken(&self, address: &str, documents: u64) {
        self.change(address, |shown| {
            shown.phase = Phase::Connected;
            shown.error.clear();
        });
        self.state.send_modify(|state| state.taken += documents);
    }

    pub(crate) fn refused(&self, documents: u64) {
        self.state.send_modify(|state| state.refused += documents);
    }

    pub(crate) fn retried(&self, documents: u64) {
        self.state.send_modify(|state| state.retried += documents);
    }

    fn change(&self, address: &str, change: impl FnOnce(&mut Shown)) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        change(hosts.entry(address.to_owned()).or_insert_with(|| Shown { phase: Phase::Connecting, error: String::new() }));
        let rank = |phase: Phase| match phase {
            Phase::Connected => 0,
            Phase::Connecting => 1,
            Phase::Waiting => 2,
        };
        let Some((best, shown)) = hosts.iter().min_by_key(|(_, shown)| rank(shown.phase)) else { return };
        let error = hosts.values().map(|shown| &shown.error).find(|error| !error.is_empty()).cloned().unwrap_or_default();
        self.state.send_if_modified(|state| {
            let before = (state.phase, state.last_error.clone());
            if (state.phase, &state.address) != (shown.phase, best) {
                (state.phase, state.address, state.since) = (shown.phase, best.clone(), SystemTime::now());
            }
            state.last_error = error;
            before != (state.phase, state.last_error.clone())
        });
    }
}
