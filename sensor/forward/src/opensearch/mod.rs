//! Arkime's documents to OpenSearch: the way of a session from the record writer to an index, over `POST /_bulk`.
//!
//! ```text
//! record writer --Intake--> action + document --spool--> Delivery --lanes--> gate, bulk requests --HTTPS--> OpenSearch
//!                                                           └─ what OpenSearch will never take --> refused.ndjson
//! ```
//! * An action and its document are written once, when they enter the spool: whatever is sent again is byte for byte the
//!   same, and its `_id` makes it the same document.
//! * The cursor moves only over documents that OpenSearch has answered for: taken, or refused for good. What is refused is
//!   on disk with the reason before the cursor moves.
//! * A lane is a connection to a host. All lanes draw from one queue, so that the hosts share the work, and what a broken
//!   lane held goes to the next that is free. Where order matters one request is under way at a time.
//! * Nothing is sent to a host whose Arkime templates are missing: OpenSearch would guess the types of all fields. A sensor
//!   makes no templates.
//! * Capture and recording never wait for any of this.

mod action;
mod answer;
mod client;
pub mod document;
mod gate;
mod lane;
mod refused;
mod state;
mod work;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use settings::OpenSearch;
use spool::Reader;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use action::{Operation, record};
pub(crate) use answer::{Answer, Item, Outcome};
pub(crate) use client::{Broken, Client, Reply};
pub(crate) use gate::pass;
pub(crate) use lane::denied;
pub use state::State;

use self::lane::Lane;
use self::refused::Refused;
use self::state::Board;
use self::work::Work;

/// Requests under way to one host where order does not matter: while one is being indexed, the next is packed and sent.
const LANES_PER_HOST: usize = 2;

/// Times of the delivery. Tests shorten them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// For the address, the connection and the handshake, each.
    pub(crate) connect: Duration,
    /// From the request to the end of its answer: a busy cluster takes its time over four megabytes.
    pub(crate) patience: Duration,
    /// First and longest wait before a failed request or document is tried again.
    pub(crate) backoff: (Duration, Duration),
    /// The longest `Retry-After` that is obeyed.
    pub(crate) retry_after: Duration,
    /// For emptying the queue once the daemon stops.
    pub(crate) drain: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            patience: Duration::from_secs(120),
            backoff: (Duration::from_secs(1), Duration::from_secs(60)),
            retry_after: Duration::from_secs(300),
            drain: Duration::from_secs(5),
        }
    }
}

/// Whether documents of a queue may overtake each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// They may: each has an `_id` of its own. Several requests are under way at once.
    Free,
    /// They may not: one changes what another has made. One request at a time.
    Kept,
}

/// Empties a queue of documents towards the hosts of the settings.
pub struct Delivery {
    settings: Arc<OpenSearch>,
    order: Order,
    work: Work,
    board: Board,
    refused: Arc<Mutex<Refused>>,
    latest: Option<watch::Receiver<Vec<u8>>>,
    pub(crate) timing: Timing,
}

impl Delivery {
    /// A delivery of what `reader` gives. What OpenSearch refuses for good is appended to the file `refused`. Nothing is
    /// dialled before [`Delivery::run`].
    #[must_use]
    pub fn new(settings: OpenSearch, order: Order, reader: Reader, refused: PathBuf) -> Self {
        Self {
            order,
            work: Work::new(reader, if order == Order::Kept { 1 } else { usize::MAX }),
            board: Board::new(settings.hosts.iter().map(ToString::to_string)),
            refused: Arc::new(Mutex::new(Refused::new(refused))),
            latest: None,
            timing: Timing::default(),
            settings: Arc::new(settings),
        }
    }

    /// Sends the newest of these documents too, action line and document line each, whenever there is a new one and a host
    /// takes it. They are not queued: a state that is over interests nobody.
    #[must_use]
    pub fn with_latest(mut self, latest: watch::Receiver<Vec<u8>>) -> Self {
        self.latest = Some(latest);
        self
    }

    /// A call that tells the delivery of new documents: for [`spool::Writer::on_append`].
    pub fn waker(&self) -> impl Fn() + Send + Sync + 'static {
        self.work.waker()
    }

    /// Follows what the delivery does.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.board.state()
    }

    /// Sends until `stop` is ready, then for five seconds more if there is something left and someone takes it. What is not
    /// answered for by then stays in the spool. Never fails: trouble is shown by the state, logged, and tried again.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (tell, stopping) = watch::channel(false);
        let mut lanes = JoinSet::new();
        let per_host = if self.order == Order::Kept { 1 } else { LANES_PER_HOST };
        for (place, host) in self.settings.hosts.iter().enumerate() {
            for number in 0..per_host {
                let lane = Lane {
                    settings: Arc::clone(&self.settings),
                    place,
                    host: host.clone(),
                    work: self.work.clone(),
                    board: self.board.clone(),
                    refused: Arc::clone(&self.refused),
                    latest: self.latest.clone().filter(|_| number == 0),
                    stopping: stopping.clone(),
                    timing: self.timing,
                };
                lanes.spawn(lane.run());
            }
        }
        stop.await;
        tell.send_replace(true);
        self.work.wake();
        let all = async { while lanes.join_next().await.is_some() {} };
        let _ = timeout(self.timing.drain, all).await;
        lanes.shutdown().await;
        self.work.save();
    }
}

#[cfg(test)]
mod tests;
