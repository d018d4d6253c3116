//! Setting up without the wizard: a settings file on the medium, or on a volume labelled `TENREC-SET`.
//!
//! Looked at only while no settings exist, so that a stick which stays in its port changes nothing later.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use settings::Settings;

use crate::attached::{self, Whole};
use crate::files::{self, Access};
use crate::places::{Places, read_trimmed};
use crate::program::Program;
use crate::{medium, setup};

/// Name of the file in the root of a volume.
const FILE: &str = "tenrec-settings.toml";
/// Where the word is left.
const NOTE: &str = "provision-note";
/// Label of a volume that is looked at wherever it is.
const LABEL: &str = "TENREC-SET";
/// Bytes of the file at most: what 64 attached files of common size take.
const MAX_BYTES: u64 = 4 << 20;

/// Takes settings up from the medium if there are none, and leaves word for `serve` if there are some that cannot be taken.
///
/// # Errors
/// When not even the word can be left.
pub(crate) fn run(places: &Places) -> anyhow::Result<()> {
    match take_up(places) {
        Ok(Some(from)) => {
            tracing::info!(from, "settings were taken up");
            put_in_force()?;
        }
        Ok(None) => {}
        Err(error) => {
            let note = format!("The settings on the medium were not taken: {error:#}.").replace('\n', "; ");
            tracing::error!(note);
            files::write(places, &places.run(NOTE), note.as_bytes(), Access::PRIVATE)?;
            Program::new("systemctl").args(["--no-block", "restart", "tenrec-appliance.service"]).run()?;
        }
    }
    Ok(())
}

/// The appliance's service is up already, or about to be: waiting for the medium would cost every first start seconds. The
/// others did not start for want of settings, or started with none.
fn put_in_force() -> anyhow::Result<()> {
    for (how, unit) in [
        ("restart", "tenrec-appliance.service"),
        ("restart", "tenrec-scan.service"),
        ("restart", "tenrec-viewer.service"),
        ("try-restart", "tenrec-web.service"),
        ("start", "tenrec.service"),
    ] {
        Program::new("systemctl").args(["--no-block", how, unit]).run()?;
    }
    Ok(())
}

/// Why settings on the medium were not taken; none if all is well.
pub(crate) fn note(places: &Places) -> Option<String> {
    Some(read_trimmed(&places.run(NOTE))).filter(|note| !note.is_empty())
}

/// Where they came from. If there is such a file and it cannot be taken, nothing of it is.
fn take_up(places: &Places) -> anyhow::Result<Option<String>> {
    if places.settings().exists() {
        return Ok(None);
    }
    let Some((text, from)) = find(places)? else { return Ok(None) };
    install(places, &text).with_context(|| format!("{FILE} on {from}"))?;
    Ok(Some(from))
}

/// Checks the whole, then writes it.
fn install(places: &Places, text: &str) -> anyhow::Result<()> {
    let whole = Whole::parse(text)?;
    Settings::parse(&whole.settings, Path::new(FILE), |_| None)?;
    if let Some(hash) = whole.attached.get("web.password") {
        setup::check_hash(hash).context("web.password")?;
    }
    for (name, text) in &whole.attached {
        attached::write(places, name, text).with_context(|| format!("cannot write {name}"))?;
    }
    files::write(places, &places.settings(), whole.settings.as_bytes(), Access::group("tenrec")).context("cannot write the settings")
}

fn find(places: &Places) -> anyhow::Result<Option<(String, String)>> {
    // Where this system started from is mounted already.
    let on_medium = places.at(medium::MOUNT).join(FILE);
    if on_medium.exists() {
        return Ok(Some((read(&on_medium)?, "the medium".to_owned())));
    }
    for device in candidates(places) {
        if let Some(text) = look(places, &device)? {
            return Ok(Some((text, device.display().to_string())));
        }
    }
    Ok(None)
}

/// The partitions of the medium's disk while it is live, and the labelled volume.
fn candidates(places: &Places) -> Vec<PathBuf> {
    let mut devices: Vec<PathBuf> = fs::canonicalize(places.at("/dev/disk/by-label").join(LABEL)).ok().into_iter().collect();
    let disk = medium::boot_disk(places).filter(|_| medium::slot(places).is_empty());
    let parts = disk.and_then(|disk| fs::read_dir(places.at("/sys/class/block").join(disk)).ok());
    for entry in parts.into_iter().flatten().flatten() {
        if !read_trimmed(&entry.path().join("partition")).is_empty() {
            devices.push(places.at("/dev").join(entry.file_name()));
        }
    }
    devices
}

/// Mounts a volume for a moment, read-only, in this unit's own namespace.
fn look(places: &Places, device: &Path) -> anyhow::Result<Option<String>> {
    let at = places.run("volume");
    fs::create_dir_all(&at)?;
    let mounted = Program::new("mount")
        .args(["-o", "ro,nodev,nosuid,noexec"])
        .args([device.to_string_lossy(), at.to_string_lossy()])
        .within(Duration::from_secs(20))
        .run();
    // A partition without a file system that is known here has no settings either.
    if mounted.is_err() {
        return Ok(None);
    }
    let path = at.join(FILE);
    let text = if path.exists() { read(&path).map(Some) } else { Ok(None) };
    Program::new("umount").arg(at.to_string_lossy()).run()?;
    text
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text).with_context(|| format!("{FILE} cannot be read"))?;
    if text.len() as u64 > MAX_BYTES {
        bail!("{FILE} is larger than {MAX_BYTES} bytes");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium_with(text: &str) -> (tempfile::TempDir, Places) {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        fs::create_dir_all(places.at(medium::MOUNT)).unwrap();
        fs::write(places.at(medium::MOUNT).join(FILE), text).unwrap();
        (root, places)
    }

    #[test]
    fn settings_on_the_medium_are_taken_up_once() {
        let hash = setup::hash("correct horse battery").unwrap();
        let (_root, places) = medium_with(&format!("[node]\nname = \"n\"\n\n[attached]\n\"web.password\" = '{hash}'\n"));
        assert_eq!(take_up(&places).unwrap().as_deref(), Some("the medium"));
        assert_eq!(fs::read_to_string(places.settings()).unwrap(), "[node]\nname = \"n\"\n\n");
        assert!(places.password().exists());
        fs::write(places.at(medium::MOUNT).join(FILE), "nonsense").unwrap();
        assert_eq!(take_up(&places).unwrap(), None);
    }

    #[test]
    fn wrong_settings_leave_nothing_behind() {
        for text in
            ["[node]\nname = 7\n", "[attached]\n\"../x\" = \"\"\n", "[attached]\n\"certs/a.crt\" = \"A\"\n\"web.password\" = \"plain\"\n"]
        {
            let (_root, places) = medium_with(text);
            assert!(take_up(&places).is_err(), "{text}");
            assert!(!places.settings().exists() && !places.etc().join("certs/a.crt").exists(), "{text}");
        }
    }
}
