//! What changes by itself: cables, addresses, and what the collectors' names resolve to.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{Appliance, lock};
use crate::console::Facts;
use crate::interfaces::{self, Port};
use crate::{console, firewall};

/// How often the ports are looked at: a cable that is plugged in is noticed within this.
const LOOK: Duration = Duration::from_secs(2);
/// How often names are resolved: as long as a name server's answer commonly lives.
const RESOLVE: Duration = Duration::from_secs(300);
/// How often while a name has no address.
const RESOLVE_AGAIN: Duration = Duration::from_secs(15);

/// Begins both threads.
///
/// # Errors
/// When there are no threads to be had.
pub(super) fn begin(appliance: &Arc<Appliance>) -> io::Result<()> {
    let looking = Arc::clone(appliance);
    thread::Builder::new().name("network".to_owned()).spawn(move || {
        // Nothing was seen: between the start, which looked too, and now a port may have come or been given its name.
        let mut seen = (Vec::new(), Facts::default());
        loop {
            thread::sleep(LOOK);
            look(&looking, &mut seen);
        }
    })?;
    let resolving = Arc::clone(appliance);
    thread::Builder::new().name("collectors".to_owned()).spawn(move || {
        loop {
            thread::sleep(if resolve(&resolving) { RESOLVE } else { RESOLVE_AGAIN });
        }
    })?;
    Ok(())
}

fn look(appliance: &Appliance, seen: &mut (Vec<Port>, Facts)) {
    let ports = interfaces::ports(&appliance.places);
    if ports != seen.0 {
        tracing::info!(ports = ports.len(), "a port or a link has changed");
        appliance.enforce_network();
        seen.0 = ports;
    }
    let facts = appliance.facts();
    if facts != seen.1 {
        match console::tell(&appliance.places, &facts) {
            Ok(()) => seen.1 = facts,
            Err(error) => tracing::warn!(%error, "the consoles cannot be told"),
        }
    }
}

/// Lets the collectors in by their addresses of now; whether there is one for each that is named.
fn resolve(appliance: &Appliance) -> bool {
    let Some(settings) = appliance.settings() else { return false };
    let found = firewall::collectors(&settings);
    let named = settings.forward.enabled || settings.opensearch.enabled;
    let is_complete = !named || !found.is_empty();
    let mut network = lock(&appliance.network);
    // A name server that is away for a while does not lock a collector out.
    if found == network.collectors || (named && found.is_empty()) {
        return is_complete;
    }
    network.collectors.clone_from(&found);
    network.openings.collectors = found;
    match network.openings.apply() {
        Ok(()) => is_complete,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the collectors cannot be let in");
            false
        }
    }
}
