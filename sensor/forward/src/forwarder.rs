//! Keeps connections to the collectors, come what may, and empties the spool over them.
//!
//! A lane is one connection at a time: to each host one when records are spread over all of them, otherwise a single one to
//! the first host that answers.

use std::sync::Arc;
use std::time::Duration;

use settings::{Forward, Host};
use spool::Reader;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::dealer::Dealer;
use crate::dial::dial;
use crate::session::{Ended, Session};
use crate::state::{Phase, State};
use crate::tls::{self, Trust};

/// Times of the connection. Tests shorten them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// For the address, the connection and the handshake, each.
    pub(crate) connect: Duration,
    /// Without a byte while a window is under way. Logstash gives a sign of life every few seconds.
    pub(crate) patience: Duration,
    /// First and longest wait after all hosts failed.
    pub(crate) backoff: (Duration, Duration),
    /// For emptying the spool once the daemon stops.
    pub(crate) drain: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            patience: Duration::from_secs(60),
            backoff: (Duration::from_secs(1), Duration::from_secs(60)),
            drain: Duration::from_secs(5),
        }
    }
}

/// Empties a spool towards the collectors of the settings.
pub struct Forwarder {
    settings: Arc<Forward>,
    dealer: Arc<Dealer>,
    state: watch::Sender<Vec<State>>,
    pub(crate) timing: Timing,
}

impl Forwarder {
    /// A forwarder that sends what `reader` gives. Nothing is dialled before [`Forwarder::run`].
    #[must_use]
    pub fn new(settings: Forward, reader: Reader) -> Self {
        let lanes = lanes(&settings);
        let states = lanes.iter().map(|hosts| State::begin(hosts.first().map(ToString::to_string).unwrap_or_default()));
        Self {
            dealer: Arc::new(Dealer::new(reader, settings.window, lanes.len())),
            state: watch::Sender::new(states.collect()),
            settings: Arc::new(settings),
            timing: Timing::default(),
        }
    }

    /// A call that tells the forwarder of new records: for [`spool::Writer::on_append`].
    pub fn waker(&self) -> impl Fn() + Send + Sync + 'static {
        let dealer = Arc::clone(&self.dealer);
        move || dealer.tell()
    }

    /// Follows the state of the connections: of one for each host if records are spread, of one alone otherwise.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<Vec<State>> {
        self.state.subscribe()
    }

    /// Sends until `stop` is ready, then for five seconds more if there is something left and someone takes it. What is not
    /// acknowledged by then stays in the spool. Never fails: trouble is shown by the state, logged, and tried again.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (tell, stopping) = watch::channel(false);
        let mut running = JoinSet::new();
        for (number, hosts) in lanes(&self.settings).into_iter().enumerate() {
            let lane = Lane {
                number,
                settings: Arc::clone(&self.settings),
                dealer: Arc::clone(&self.dealer),
                state: self.state.clone(),
                timing: self.timing,
            };
            running.spawn(lane.work(hosts, stopping.clone()));
        }
        stop.await;
        tell.send_replace(true);
        self.dealer.tell();
        let _ = timeout(self.timing.drain, running.join_all()).await;
        self.dealer.save();
    }
}

/// The hosts that each lane tries, in order.
fn lanes(settings: &Forward) -> Vec<Vec<Host>> {
    if settings.balance { settings.hosts.iter().map(|host| vec![host.clone()]).collect() } else { vec![settings.hosts.clone()] }
}

/// One connection at a time, to one of its hosts.
struct Lane {
    number: usize,
    settings: Arc<Forward>,
    dealer: Arc<Dealer>,
    state: watch::Sender<Vec<State>>,
    timing: Timing,
}

impl Lane {
    async fn work(self, hosts: Vec<Host>, mut stopping: watch::Receiver<bool>) {
        let mut backoff = Backoff::new(self.timing.backoff.0, self.timing.backoff.1);
        loop {
            for host in &hosts {
                let progressed = match self.visit(host, &mut stopping).await {
                    Ok(()) => return,
                    Err(progressed) => progressed,
                };
                if *stopping.borrow() {
                    return;
                }
                if progressed {
                    backoff.reset();
                }
            }
            let wait = backoff.next();
            self.tell(|state| {
                let address = state.address.clone();
                state.enter(Phase::Waiting, &address);
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopping.changed() => return,
            }
        }
    }

    /// One connection to one host, from dialling to its end. `Ok` when the daemon stops and all is sent; otherwise whether
    /// the collector took anything.
    async fn visit(&self, host: &Host, stopping: &mut watch::Receiver<bool>) -> Result<(), bool> {
        let address = host.to_string();
        self.tell(|state| state.enter(Phase::Connecting, &address));
        let trust = Trust::from(&*self.settings);
        let stream = match dial(host, self.settings.tls, trust, self.timing.connect).await {
            Ok(stream) => stream,
            Err(reason) => {
                self.fail(&address, reason);
                return Err(false);
            }
        };
        self.tell(|state| state.enter(Phase::Connected, &address));
        info!(%address, "connected to the collector");
        let mut progressed = false;
        let mut on_progress = || {
            if !progressed {
                progressed = true;
                self.tell(|state| state.last_error.clear());
            }
        };
        let compression = self.settings.compression;
        let mut session = Session::new(&self.dealer, compression, stopping, self.timing.patience, &mut on_progress);
        let ended = session.run(stream).await;
        drop(session);
        match ended {
            Ok(()) => return Ok(()),
            // Logstash closes what has been idle for a minute. That is no error, and no reason to stay away longer each time.
            Err(Ended::ClosedIdle) => {
                info!(%address, "the collector closed the idle connection");
                progressed = true;
            }
            Err(Ended::Io(error)) => self.fail(&address, tls::explain(&error, trust, &address)),
            Err(other) => self.fail(&address, other.to_string()),
        }
        Err(progressed)
    }

    fn fail(&self, address: &str, reason: String) {
        self.tell(|state| {
            if state.last_error != reason {
                // Said once: a collector that is away for a day fails thousands of times.
                warn!(address, %reason, "no delivery to the collector");
                state.last_error = reason;
            }
        });
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(|states| {
            if let Some(state) = states.get_mut(self.number) {
                change(state);
            }
        });
    }
}
