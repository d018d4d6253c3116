//! New settings without a reboot: checked, written, put in force, and taken back if a service does not come up with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use settings::Settings;

use super::{Appliance, lock};
use crate::attached::{self, Whole};
use crate::files::{self, Access};
use crate::job::Progress;
use crate::places::Places;
use crate::{certificate, medium, services, setup};

/// For whom settings are: the users of all our units are in this group, or reach it by their unit.
pub(crate) const SETTINGS_ACCESS: Access = Access::group("tenrec");

/// A former state of /etc/tenrec, as far as an application of settings changes it.
struct Former {
    settings: Option<String>,
    attached: BTreeMap<String, Option<String>>,
}

impl Appliance {
    /// The job.
    pub(super) fn apply(&self, text: &str, progress: &mut Progress) -> anyhow::Result<()> {
        progress.step("Check the settings");
        let (whole, new) = check(&self.places, text)?;
        let old = self.settings();
        let former = remember(&self.places, &whole);

        progress.step("Write the settings");
        let changed_files = write(&self.places, &whole, &former)?;
        let units = touched(old.as_deref(), &new, &changed_files);
        let Err(error) = self.put_in_force(new, &units, progress) else { return Ok(()) };

        let Some(old) = old else {
            // There is nothing to go back to: what was given stays, so that it can be mended in the web UI.
            return Err(error.context("the settings are kept, but not all of them work"));
        };
        progress.step("Put the former settings back");
        restore(&self.places, &former).context("the former settings cannot be written")?;
        if let Err(again) = self.put_in_force((*old).clone(), &units, progress) {
            bail!("{error:#}. The former settings are back, but do not work either: {again:#}");
        }
        Err(error.context("the former settings are in force again"))
    }

    fn put_in_force(&self, settings: Settings, units: &BTreeSet<&'static str>, progress: &mut Progress) -> anyhow::Result<()> {
        *lock(&self.settings) = Some(Arc::new(settings));
        progress.step("Network, name, time and packet filter");
        let before = certificate::fingerprint(&self.places);
        let notes = self.enforce();
        let after = certificate::fingerprint(&self.places);
        if after != before {
            progress.remark(format!("the web UI has a new certificate, SHA-256 {after}"));
        }
        self.tell_the_consoles();
        if !notes.is_empty() {
            bail!("{}", notes.join(" "));
        }
        lock(&self.troubles).settings = self.flag_the_sensor().into_iter().collect();
        // The web UI last: who waits for this job asks it.
        for unit in ["tenrec-scan.service", "tenrec.service", "tenrec-viewer.service", "tenrec-web.service"] {
            if !units.contains(unit) {
                continue;
            }
            if unit == "tenrec.service" && !self.sensor_wanted() {
                progress.step("Stop the sensor: no interface is named");
                services::stop(unit)?;
                continue;
            }
            progress.step(format!("Start {unit}"));
            services::restart(unit)?;
        }
        Ok(())
    }
}

/// The parts of the text, if they are settings that can be taken.
fn check(places: &Places, text: &str) -> anyhow::Result<(Whole, Settings)> {
    let whole = Whole::parse(text)?;
    let settings = Settings::parse(&whole.settings, Path::new("tenrec.toml"), |_| None)?;
    if let Some(hash) = whole.attached.get("web.password") {
        setup::check_hash(hash).context("web.password")?;
    }
    for (key, path) in references(&settings) {
        let Ok(name) = path.strip_prefix("/etc/tenrec") else { continue };
        let name = name.to_string_lossy();
        if !whole.attached.contains_key(&*name) && !places.etc().join(&*name).exists() {
            bail!("{key}: there is no {}: attach it as \"{name}\"", path.display());
        }
    }
    Ok((whole, settings))
}

/// Files that the settings name, with the key. Not the web UI's certificate, which is made here.
fn references(settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let (f, o) = (&settings.forward, &settings.opensearch);
    let named = [
        ("forward.ca", &f.ca, f.enabled),
        ("forward.certificate", &f.certificate, f.enabled),
        ("forward.key", &f.key, f.enabled),
        ("opensearch.ca", &o.ca, o.enabled),
        ("opensearch.certificate", &o.certificate, o.enabled),
        ("opensearch.key", &o.key, o.enabled),
        ("opensearch.password_file", &o.password_file, o.enabled),
        ("viewer.secret_file", &settings.viewer.secret_file, true),
        ("system.update_ca", &settings.system.update_ca, true),
    ];
    let used = named.into_iter().filter(|(_, _, used)| *used);
    let rules = settings.analysis.rules.iter().map(|path| ("analysis.rules", path.clone()));
    used.filter_map(|(key, path, _)| Some((key, path.clone()?))).chain(rules).collect()
}

fn remember(places: &Places, whole: &Whole) -> Former {
    let attached = whole.attached.keys().map(|name| (name.clone(), attached::read(places, name))).collect();
    Former { settings: fs::read_to_string(places.settings()).ok(), attached }
}

/// Writes what differs; the names of the attached files that did.
fn write(places: &Places, whole: &Whole, former: &Former) -> anyhow::Result<Vec<String>> {
    let mut changed = Vec::new();
    for (name, text) in &whole.attached {
        if former.attached.get(name).is_none_or(|before| before.as_ref() != Some(text)) {
            attached::write(places, name, text).with_context(|| format!("cannot write {name}"))?;
            changed.push(name.clone());
        }
    }
    if let Some(before) = former.settings.as_ref().filter(|before| **before != whole.settings) {
        files::write(places, &places.previous(), before.as_bytes(), SETTINGS_ACCESS).context("cannot keep the former settings")?;
    }
    files::write(places, &places.settings(), whole.settings.as_bytes(), SETTINGS_ACCESS).context("cannot write the settings")?;
    let version = format!("{}\n", medium::version(places));
    files::write(places, &places.written_by(), version.as_bytes(), Access::PUBLIC).context("cannot write the settings' version")?;
    setup::ensure(places).context("cannot take the setup code away")?;
    Ok(changed)
}

fn restore(places: &Places, former: &Former) -> anyhow::Result<()> {
    for (name, text) in &former.attached {
        match text {
            Some(text) => attached::write(places, name, text)?,
            None => drop(fs::remove_file(places.etc().join(name))),
        }
    }
    if let Some(text) = &former.settings {
        files::write(places, &places.settings(), text.as_bytes(), SETTINGS_ACCESS)?;
    }
    Ok(())
}

/// Units that read something which changed.
fn touched(old: Option<&Settings>, new: &Settings, files: &[String]) -> BTreeSet<&'static str> {
    let mut units: BTreeSet<&'static str> = files.iter().flat_map(|name| attached::readers(name).iter().copied()).collect();
    let Some(old) = old else {
        // The web UI that gave the first settings runs by what it was started with.
        units.extend(["tenrec-scan.service", "tenrec.service", "tenrec-viewer.service"]);
        return units;
    };
    let mut changed = |differs: bool, unit| {
        if differs {
            units.insert(unit);
        }
    };
    // [system] is put in force by this service; [viewer] and [web] have processes of their own.
    let sensor = |s: &Settings| {
        let mut sections = settings::Sections::clone(s);
        sections.system = settings::System::default();
        sections.viewer = settings::Viewer::default();
        sections.web = settings::Web::default();
        sections.collector = settings::Collector::default();
        sections
    };
    changed(sensor(old) != sensor(new), "tenrec.service");
    changed(old.scan != new.scan, "tenrec-scan.service");
    changed(old.viewer != new.viewer || old.pcap != new.pcap || old.node != new.node, "tenrec-viewer.service");
    changed(old.web != new.web || old.control != new.control || old.viewer.socket != new.viewer.socket, "tenrec-web.service");
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::parse(text, Path::new("t"), |_| None).unwrap()
    }

    #[test]
    fn only_services_whose_settings_changed_are_started_again() {
        let old = settings("[capture]\ninterfaces = [\"eth1\"]\n");
        let check = |text: &str, files: &[&str], expected: &[&str]| {
            let files: Vec<String> = files.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(touched(Some(&old), &settings(text), &files).into_iter().collect::<Vec<_>>(), expected, "{text}");
        };
        let same = "[capture]\ninterfaces = [\"eth1\"]\n";
        check(same, &[], &[]);
        check(same, &["web.crt", "web.password"], &[]);
        check(same, &["viewer.secret"], &["tenrec-viewer.service"]);
        check(same, &["rules/a.yar"], &["tenrec-scan.service", "tenrec.service"]);
        check(&format!("{same}[system]\nhost_name = \"n\"\n"), &[], &[]);
        check(&format!("{same}[viewer]\nlisten = \"0.0.0.0:8006\"\n"), &[], &["tenrec-viewer.service"]);
        check(&format!("{same}[pcap]\nrotate_minutes = 5\n"), &[], &["tenrec-viewer.service", "tenrec.service"]);
        check("", &[], &["tenrec.service"]);
        assert_eq!(touched(None, &old, &[]).len(), 3);
    }

    #[test]
    fn files_that_are_named_must_be_there_or_come_with_them() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        let text = "[forward]\nenabled = true\nhosts = [\"c\"]\nca = \"/etc/tenrec/certs/ca.crt\"\n";
        let error = check(&places, text).unwrap_err().to_string();
        assert!(error.contains("forward.ca") && error.contains("certs/ca.crt"), "{error}");
        let with = format!("{text}[attached]\n\"certs/ca.crt\" = \"PEM\"\n");
        let (whole, _) = check(&places, &with).unwrap();
        write(&places, &whole, &remember(&places, &whole)).unwrap();
        assert!(check(&places, text).is_ok());
        assert!(check(&places, "[node]\nnme = \"x\"\n").unwrap_err().to_string().contains("did you mean name"));
    }

    #[test]
    fn what_was_there_before_comes_back_whole() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        let first = Whole::parse("[node]\nname = \"a\"\n[attached]\n\"viewer.secret\" = \"1\"\n").unwrap();
        assert_eq!(write(&places, &first, &remember(&places, &first)).unwrap(), ["viewer.secret"]);
        assert!(!places.previous().exists());
        let second = Whole::parse("[node]\nname = \"b\"\n[attached]\n\"viewer.secret\" = \"1\"\n\"certs/ca.crt\" = \"2\"\n").unwrap();
        let former = remember(&places, &second);
        assert_eq!(write(&places, &second, &former).unwrap(), ["certs/ca.crt"]);
        assert!(fs::read_to_string(places.previous()).unwrap().contains("\"a\""));
        restore(&places, &former).unwrap();
        assert!(fs::read_to_string(places.settings()).unwrap().contains("\"a\""));
        assert!(!places.etc().join("certs/ca.crt").exists());
        assert_eq!(attached::read(&places, "viewer.secret").unwrap(), "1");
    }
}
