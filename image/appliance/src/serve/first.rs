//! The start: settings are taken up, what the first boot needs is made, `[system]` is put in force.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use settings::Settings;

use super::{Appliance, lock};
use crate::places::{self, Places};
use crate::{interfaces, network, provision, setup};

/// How long a link may take to come up at the start before the management interface is chosen without.
const LINK: Duration = Duration::from_secs(6);

impl Appliance {
    /// Nothing that goes wrong here keeps the web UI away: it is told to the operator instead.
    pub(super) fn start(&self) {
        let mut notes: Vec<String> = provision::note(&self.places).into_iter().collect();
        let (settings, note) = load(&self.places);
        notes.extend(note);
        *lock(&self.settings) = settings.map(Arc::new);
        self.wait_for_a_link();
        self.enforce_network();
        if let Err(error) = setup::ensure(&self.places) {
            tracing::error!(%error, "there is no setup code");
            notes.push(format!("There is no setup code: {error}."));
        }
        notes.extend(self.flag_the_sensor());
        lock(&self.troubles).settings = notes;
        self.tell_the_consoles();
    }

    /// The management interface is the first with a link where none is named: the choice waits a moment for it.
    fn wait_for_a_link(&self) {
        let system = self.system();
        let captured = self.settings().map(|settings| settings.capture.interfaces.clone()).unwrap_or_default();
        network::bring_up(&interfaces::ports(&self.places));
        let deadline = Instant::now() + LINK;
        loop {
            let ports = interfaces::ports(&self.places);
            let chosen = network::management(&ports, &system.management, &captured);
            let is_settled = !system.management.is_empty() && chosen.is_some() || chosen.is_some_and(|port| port.carrier);
            if is_settled || Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The settings in force, or those before them: after a fall-back to an older system, newer settings may have keys that it does
/// not know. None if neither can be taken, and why.
fn load(places: &Places) -> (Option<Settings>, Option<String>) {
    let error = match read(&places.settings()) {
        Ok(settings) => return (Some(settings), None),
        Err(settings::Error::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return (None, None),
        Err(error) => error,
    };
    tracing::error!(%error, "the settings cannot be taken");
    let version = places::read_trimmed(&places.written_by());
    let by = if version.is_empty() { String::new() } else { format!(" (written by version {version})") };
    let wrong = format!("{}{by}", error.to_string().replace('\n', "; "));
    match read(&places.previous()) {
        Ok(settings) => {
            (Some(settings), Some(format!("The settings are wrong, so the system follows the former ones and the sensor is off: {wrong}.")))
        }
        Err(_) => (None, Some(format!("The settings are wrong, so the defaults hold and the sensor is off: {wrong}."))),
    }
}

fn read(path: &Path) -> Result<Settings, settings::Error> {
    let text = fs::read_to_string(path).map_err(|source| settings::Error::Read { path: path.to_owned(), source })?;
    Settings::parse(&text, path, |_| None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_newer_version_give_way_to_the_former_ones() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        assert_eq!(load(&places), (None, None));
        fs::create_dir_all(places.etc()).unwrap();
        fs::write(places.settings(), "[node]\nname = \"new\"\nshoe_size = 43\n").unwrap();
        fs::write(places.written_by(), "9.9\n").unwrap();
        let (settings, note) = load(&places);
        let note = note.unwrap();
        assert!(settings.is_none() && note.contains("shoe_size") && note.contains("version 9.9"), "{note}");
        fs::write(places.previous(), "[node]\nname = \"old\"\n").unwrap();
        let (settings, note) = load(&places);
        assert_eq!(settings.unwrap().node.name, "old");
        assert!(note.unwrap().contains("sensor is off"));
        fs::write(places.settings(), "[node]\nname = \"new\"\n").unwrap();
        assert_eq!(load(&places).0.unwrap().node.name, "new");
    }
}
