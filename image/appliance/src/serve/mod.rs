//! `tenrec-appliance serve`: the root service behind the web UI.
//!
//! At its start it puts `[system]` in force and does the work of the first boot; then it answers on the socket. A thread watches
//! the network, another the collectors' names; each question has its connection's own thread.

mod answer;
mod apply;
mod enforce;
mod first;
mod system;
mod watch;

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use settings::Settings;
use settings::appliance::{Request, Response};
use settings::lines::{MAX_LINE, decode, encode};

use crate::files::group_id;
use crate::firewall::Openings;
use crate::interfaces::Port;
use crate::places::Places;
use crate::state::Processors;

/// Who may ask.
const GROUP: &str = "tenrec-web";
/// Connections at a time: the web UI has a few.
const MAX_CONNECTIONS: usize = 16;
/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(120);

/// What the service knows.
#[derive(Debug)]
pub(crate) struct Appliance {
    places: Places,
    processors: Processors,
    /// Settings in force; none before the first were given, or if those that are there cannot be taken.
    settings: Mutex<Option<Arc<Settings>>>,
    network: Mutex<Network>,
    /// Why something is not as the settings want it, for the operator.
    troubles: Mutex<Troubles>,
    /// Whether a job runs.
    busy: AtomicBool,
    /// Held by what takes seconds and uses one folder: a probe, a support bundle.
    probing: Mutex<()>,
}

/// What is in force on the network.
#[derive(Debug, Default)]
struct Network {
    management: Option<Port>,
    openings: Openings,
    /// What collectors' names resolve to.
    collectors: BTreeSet<IpAddr>,
}

/// By whom they were found, so that the next look replaces the last.
#[derive(Debug, Default)]
struct Troubles {
    settings: Vec<String>,
    network: Vec<String>,
    services: Vec<String>,
}

impl Appliance {
    fn new(places: Places) -> Self {
        Self {
            places,
            processors: Processors::default(),
            settings: Mutex::default(),
            network: Mutex::default(),
            troubles: Mutex::default(),
            busy: AtomicBool::new(false),
            probing: Mutex::default(),
        }
    }

    fn settings(&self) -> Option<Arc<Settings>> {
        lock(&self.settings).clone()
    }

    /// `[system]` in force: the defaults while there are no settings.
    fn system(&self) -> settings::System {
        self.settings().map(|settings| settings.system.clone()).unwrap_or_default()
    }
}

/// A panic in one thread is no reason to stop answering in the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves for ever.
///
/// # Errors
/// When there can be no socket.
pub(crate) fn run(places: Places, socket: &Path) -> anyhow::Result<()> {
    let appliance = Arc::new(Appliance::new(places));
    let listener = listen(&appliance.places, socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
    appliance.start();
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    tracing::info!(socket = %socket.display(), "appliance service is up");
    // These start others, who wait for us or for the network.
    let later = Arc::clone(&appliance);
    thread::spawn(move || later.enforce_services(false));
    watch::begin(&appliance).context("no thread to watch the network")?;
    accept(&appliance, &listener);
    Ok(())
}

/// The socket exists for nobody until it has its group and mode: the unit's umask keeps all others out.
fn listen(places: &Places, path: &Path) -> io::Result<UnixListener> {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(path)?;
    if let Some(group) = group_id(places, GROUP) {
        rustix::fs::chown(path, None, Some(group))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    }
    Ok(listener)
}

fn accept(appliance: &Arc<Appliance>, listener: &UnixListener) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        if open.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
            tracing::warn!(MAX_CONNECTIONS, "too many connections: one was turned away");
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (appliance, taken) = (Arc::clone(appliance), Taken(Arc::clone(&open)));
        thread::spawn(move || {
            let _taken = taken;
            if let Err(error) = converse(&appliance, &stream) {
                tracing::debug!(%error, "a connection broke off");
            }
        });
    }
}

/// A place among the connections, given back even by a thread that panics.
struct Taken(Arc<AtomicUsize>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn converse(appliance: &Arc<Appliance>, stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        reader.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(());
        }
        let response = match decode::<Request>(&line) {
            Ok(request) => appliance.answer(request),
            Err(error) => Response::Error { message: format!("the question is not understood: {error}") },
        };
        let mut writer = stream;
        writer.write_all(&encode(&response)?)?;
    }
}

#[cfg(test)]
mod tests;
