//! `[system]` in force: network, name, packet filter, time, SSH, certificate. Each part is tried whatever becomes of the others.

use std::fs;
use std::net::IpAddr;

use anyhow::Context as _;
use settings::{InterfaceAddress, System};

use super::{Appliance, lock};
use crate::console::{self, Facts};
use crate::files::{self, Access};
use crate::firewall::Openings;
use crate::interfaces::{self, Port};
use crate::{certificate, clock, console_install, data, network, setup, ssh, update};

/// The sensor's unit starts where this exists.
const SENSOR_FLAG: &str = "sensor";

impl Appliance {
    /// Puts `[system]` in force; what went wrong, for the operator.
    pub(super) fn enforce(&self) -> Vec<String> {
        let mut notes = self.enforce_network();
        notes.extend(self.enforce_services(true));
        notes
    }

    /// What the web UI needs: network, packet filter, name, certificate.
    pub(super) fn enforce_network(&self) -> Vec<String> {
        let settings = self.settings();
        let system = self.system();
        let captured = settings.as_ref().map(|settings| settings.capture.interfaces.clone()).unwrap_or_default();
        let ports = interfaces::ports(&self.places);
        let before = lock(&self.network).management.clone();
        let management = choose(&ports, &system, &captured, before.as_ref());

        let mut notes = Vec::new();
        let mut part = |what: &str, outcome: anyhow::Result<()>| notes.extend(wrong(what, outcome));
        if management.is_none() && !system.management.is_empty() {
            part("Network", Err(anyhow::anyhow!("there is no interface {} (system.management)", system.management)));
        }
        // The filter first: an interface that is new is closed until it is known what for it is there.
        let openings = Openings {
            management: management.as_ref().map(|port| port.name.clone()).unwrap_or_default(),
            ssh: system.ssh,
            collectors: lock(&self.network).collectors.clone(),
        };
        part("Packet filter", openings.apply());
        let name = network::host_name(&system, management.as_ref());
        part("Host name", set_host_name(self, &name));
        let changed = network::apply(&self.places, &system, &ports, management.as_ref());
        let changed = changed.unwrap_or_else(|error| {
            part("Network", Err(error));
            false
        });
        if changed {
            part("Network", network::reload());
        }
        {
            let mut network = lock(&self.network);
            network.management = management;
            network.openings = openings;
        }
        let named = !system.host_name.is_empty();
        part("Certificate", certificate::ensure(&self.places, &name, named, &fixed(&system)).map(drop));
        lock(&self.troubles).network.clone_from(&notes);
        notes
    }

    /// Time and SSH. `wait` for SSH to be up, except at the machine's start.
    pub(super) fn enforce_services(&self, wait: bool) -> Vec<String> {
        let system = self.system();
        let parts = [
            ("Time", clock::apply(&self.places, &system.time_servers)),
            ("SSH", ssh::apply(&self.places, system.ssh, &system.ssh_keys, wait)),
        ];
        let notes: Vec<String> = parts.into_iter().filter_map(|(what, outcome)| wrong(what, outcome)).collect();
        lock(&self.troubles).services.clone_from(&notes);
        notes
    }

    /// Lets the sensor's unit start, if there is something to capture from; why not, if it is not the operator's wish.
    pub(super) fn flag_the_sensor(&self) -> Option<String> {
        let flag = self.places.run(SENSOR_FLAG);
        let text = fs::read_to_string(self.places.settings()).unwrap_or_default();
        let settings = settings::Settings::parse(&text, &self.places.settings(), |_| None);
        let wanted = settings.is_ok_and(|settings| !settings.capture.interfaces.is_empty());
        let outcome = if wanted {
            files::write(&self.places, &flag, b"", Access::PUBLIC)
        } else {
            fs::remove_file(&flag).or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
        };
        outcome.err().map(|error| format!("The sensor's start cannot be arranged: {error}."))
    }

    /// Whether the sensor is to run.
    pub(super) fn sensor_wanted(&self) -> bool {
        self.places.run(SENSOR_FLAG).exists()
    }

    /// What is not as it should be, in whole sentences.
    pub(super) fn notes(&self) -> Vec<String> {
        let kept = Some(data::read_outcome(&self.places).note).filter(|note| !note.is_empty());
        let slots = update::note(&self.slots_as_told());
        let installer = console_install::note(&self.places);
        let troubles = lock(&self.troubles);
        let ours = troubles.settings.iter().chain(&troubles.network).chain(&troubles.services).cloned();
        kept.into_iter().chain(slots).chain(installer).chain(ours).collect()
    }

    /// What the consoles are to show.
    pub(super) fn facts(&self) -> Facts {
        let management = lock(&self.network).management.as_ref().map(|port| port.name.clone()).unwrap_or_default();
        let addresses = interfaces::addresses().into_iter().filter(|(name, _)| *name == management);
        Facts {
            host_name: settings::host_name(),
            addresses: addresses.filter_map(|(_, address)| address.split('/').next().map(str::to_owned)).collect(),
            management,
            fingerprint: certificate::fingerprint(&self.places),
            code: setup::code(&self.places),
            notes: self.notes(),
        }
    }

    /// Tells them.
    pub(super) fn tell_the_consoles(&self) {
        if let Err(error) = console::tell(&self.places, &self.facts()) {
            tracing::warn!(%error, "the consoles cannot be told");
        }
    }
}

/// A part of the system that is not as the settings want it, for the operator.
fn wrong(what: &str, outcome: anyhow::Result<()>) -> Option<String> {
    let error = outcome.err()?;
    tracing::error!(error = format!("{error:#}"), part = what, "the system is not as the settings want it");
    Some(format!("{what}: {error:#}."))
}

/// Where none is named, the choice that was made stays as long as it has a link: the operator knows the machine by it.
fn choose(ports: &[Port], system: &System, captured: &[String], before: Option<&Port>) -> Option<Port> {
    let stays = |before: &&Port| system.management.is_empty() && before.carrier && !captured.contains(&before.name);
    let now = before.and_then(|before| ports.iter().find(|port| port.name == before.name));
    now.filter(stays).or_else(|| network::management(ports, &system.management, captured)).cloned()
}

/// Through /proc: root may write there, while sethostname(2) would want CAP_SYS_ADMIN.
fn set_host_name(appliance: &Appliance, name: &str) -> anyhow::Result<()> {
    if settings::host_name() == name {
        return Ok(());
    }
    fs::write(appliance.places.at("/proc/sys/kernel/hostname"), name).context("it cannot be set")
}

/// Addresses that the settings give this machine.
fn fixed(system: &System) -> Vec<IpAddr> {
    match system.address {
        InterfaceAddress::Fixed { address, .. } => vec![address],
        InterfaceAddress::Dhcp => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_management_interface_changes_only_when_it_loses_its_link_or_is_captured_from() {
        let port = |name: &str, index, carrier| Port { name: name.to_owned(), index, carrier, ..Port::default() };
        let system = System::default();
        let all = [port("a", 1, true), port("b", 2, true)];
        let name = |ports: &[Port], captured: &[String], before: &str| {
            choose(ports, &system, captured, Some(&port(before, 9, true))).unwrap().name
        };
        assert_eq!(name(&all, &[], "b"), "b");
        assert_eq!(name(&[port("a", 1, true), port("b", 2, false)], &[], "b"), "a");
        assert_eq!(name(&all, &["b".to_owned()], "b"), "a");
        assert_eq!(name(&all, &[], "gone"), "a");
    }
}
