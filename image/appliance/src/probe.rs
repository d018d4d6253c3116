//! Trying every link that settings name, before they are in force.
//!
//! `tenrec probe` runs as the sensor's user in a unit of its own, which sees the given settings and files in place of
//! /etc/tenrec, so that what works in the probe works in the sensor.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rustix::fs::{Mode, chmod, chown};
use settings::Settings;
use settings::appliance::Link;

use crate::attached::Whole;
use crate::files::{self, Access, group_id};
use crate::places::Places;
use crate::services;

const UNIT: &str = "tenrec-probe.service";
/// Stands for /etc/tenrec in the unit.
const FOLDER: &str = "probe";
/// Where the unit's output goes.
const LINKS: &str = "probe-links.json";
/// The unit ends the probe before.
const PATIENCE: Duration = Duration::from_secs(75);
/// Bytes of the answer at most: a few lines for each of a few links.
const MAX_LINKS: u64 = 1 << 20;

/// Tries the links of the settings in `text`.
///
/// # Errors
/// When they are no settings, or the probe does not end well.
pub(crate) fn links(places: &Places, text: &str) -> anyhow::Result<Vec<Link>> {
    let whole = Whole::parse(text)?;
    Settings::parse(&whole.settings, Path::new("tenrec.toml"), |_| None)?;
    let outcome = lay_out(places, whole).and_then(|()| services::run_to_end(UNIT, PATIENCE)).and_then(|()| read(places));
    // Keys lie here for as long as it takes.
    drop(fs::remove_dir_all(places.run(FOLDER)));
    outcome.context("the links cannot be tried")
}

/// The given settings and files, over those that are there.
fn lay_out(places: &Places, given: Whole) -> anyhow::Result<()> {
    let folder = places.run(FOLDER);
    drop(fs::remove_dir_all(&folder));
    drop(fs::remove_file(places.run(LINKS)));
    let mut attached = Whole::load(places, true).map(|there| there.attached).unwrap_or_default();
    attached.extend(given.attached);
    // What the sensor has no business with, the probe has none either.
    attached.retain(|name, _| name.starts_with("certs/") || name.starts_with("opensearch."));
    fs::create_dir_all(folder.join("certs"))?;
    for folder in [&folder, &folder.join("certs")] {
        if let Some(group) = group_id(places, "tenrec") {
            chown(folder, None, Some(group))?;
        }
        chmod(folder, Mode::from_raw_mode(0o750))?;
    }
    for (name, text) in &attached {
        files::write(places, &folder.join(name), text.as_bytes(), Access::group("tenrec"))?;
    }
    files::write(places, &folder.join("tenrec.toml"), given.settings.as_bytes(), Access::group("tenrec"))?;
    Ok(())
}

fn read(places: &Places) -> anyhow::Result<Vec<Link>> {
    let mut text = Vec::new();
    fs::File::open(places.run(LINKS)).context("the probe says nothing")?.take(MAX_LINKS).read_to_end(&mut text)?;
    serde_json::from_slice(&text).context("the probe's answer is not understood")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attached;

    #[test]
    fn the_probe_sees_what_is_given_over_what_is_there_and_no_more() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        fs::create_dir_all(places.etc()).unwrap();
        fs::write(places.settings(), "[node]\n").unwrap();
        for (name, text) in [("certs/ca.crt", "old"), ("certs/client.key", "key"), ("web.key", "web"), ("viewer.secret", "s")] {
            attached::write(&places, name, text).unwrap();
        }
        lay_out(&places, Whole::parse("[node]\nname = \"n\"\n[attached]\n\"certs/ca.crt\" = \"new\"\n").unwrap()).unwrap();
        let at = |name: &str| fs::read_to_string(places.run("probe").join(name)).unwrap_or_default();
        assert_eq!(
            (at("certs/ca.crt").as_str(), at("certs/client.key").as_str(), at("web.key").as_str(), at("viewer.secret").as_str()),
            ("new", "key", "", "")
        );
        assert!(at("tenrec.toml").contains("\"n\"") && !at("tenrec.toml").contains("attached"));
        assert_eq!(attached::read(&places, "certs/ca.crt").unwrap(), "old");
    }

    #[test]
    fn the_answer_of_the_probe_is_read_as_links() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        assert!(read(&places).is_err());
        fs::create_dir_all(places.run("")).unwrap();
        fs::write(
            places.run(LINKS),
            r#"[{"name":"logs","address":"c:5044","steps":[{"name":"port","outcome":"failed","words":"closed"}]}]"#,
        )
        .unwrap();
        assert!(!read(&places).unwrap()[0].works());
    }
}
