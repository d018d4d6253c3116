//! What the status page shows of the connection.

use std::time::{SystemTime, UNIX_EPOCH};

/// What the forwarder is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Dialling, or shaking hands.
    Connecting,
    /// Connected.
    Connected,
    /// Waiting until the next attempt.
    Waiting,
}

impl Phase {
    /// The word for the control socket.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Waiting => "waiting",
        }
    }
}

/// The state of the connection to the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What it is doing.
    pub phase: Phase,
    /// The collector that is meant, `host:port`.
    pub address: String,
    /// The last error in plain words, empty after an acknowledgement.
    pub last_error: String,
    /// Since when the phase holds.
    pub since: SystemTime,
}

impl State {
    pub(crate) fn begin(address: String) -> Self {
        Self { phase: Phase::Connecting, address, last_error: String::new(), since: SystemTime::now() }
    }

    pub(crate) fn enter(&mut self, phase: Phase, address: &str) {
        if self.phase != phase || self.address != address {
            self.phase = phase;
            address.clone_into(&mut self.address);
            self.since = SystemTime::now();
        }
    }
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
