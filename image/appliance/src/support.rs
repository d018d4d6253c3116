//! What someone who helps wants to see, in one zip file. No password, no key and no packet is in it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use settings::Settings;
use settings::appliance::{State, UNITS};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::files::{self, Access};
use crate::interfaces::ports;
use crate::places::Places;
use crate::program::Program;
use crate::services;

/// Where it is, for the group of the socket.
const FILE: &str = "/var/lib/tenrec-appliance/support.zip";
/// Lines of each unit's journal.
const LINES: u32 = 1000;
/// Bytes of one text at most.
const MAX_TEXT: usize = 4 << 20;

/// Gathers it.
///
/// # Errors
/// When it cannot be written. What cannot be learned is said in its place.
pub(crate) fn gather(places: &Places, state: &State) -> anyhow::Result<PathBuf> {
    let path = places.at(FILE);
    let folder = path.parent().context("no folder")?;
    fs::create_dir_all(folder)?;
    let beside = folder.join(".support.zip.new");
    drop(fs::remove_file(&beside));
    let file = File::create_new(&beside).with_context(|| format!("cannot write {}", beside.display()))?;
    files::give(places, &file, Access::group("tenrec-web"))?;
    let mut zip = ZipWriter::new(file);
    for (name, text) in texts(places, state) {
        zip.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated))?;
        zip.write_all(text.as_bytes().get(..MAX_TEXT).unwrap_or(text.as_bytes()))?;
    }
    zip.finish()?.sync_all()?;
    fs::rename(&beside, &path)?;
    Ok(path)
}

fn texts(places: &Places, state: &State) -> Vec<(String, String)> {
    let mut texts = vec![
        ("state.json".to_owned(), serde_json::to_string_pretty(state).unwrap_or_default()),
        ("settings.toml".to_owned(), settings_text(places)),
        ("sensor.json".to_owned(), sensor_status()),
        ("cmdline.txt".to_owned(), places.read("/proc/cmdline")),
        ("meminfo.txt".to_owned(), places.read("/proc/meminfo")),
        ("cpuinfo.txt".to_owned(), places.read("/proc/cpuinfo")),
        ("interrupts.txt".to_owned(), places.read("/proc/interrupts")),
        ("mounts.txt".to_owned(), places.read("/proc/self/mountinfo")),
    ];
    #[rustfmt::skip]
    let programs: [(&str, &[&str]); 13] = [
        ("addresses", &["ip", "-details", "-statistics", "address"]),
        ("routes", &["ip", "route", "show", "table", "all"]),
        ("network", &["networkctl", "--no-pager", "--all", "status"]),
        ("names", &["resolvectl", "--no-pager", "status"]),
        ("packet-filter", &["nft", "list", "ruleset"]),
        ("units", &["systemctl", "--no-pager", "--all", "list-units"]),
        ("failed", &["systemctl", "--no-pager", "--failed", "status"]),
        ("kernel", &["journalctl", "--no-pager", "--dmesg", "--lines=5000"]),
        ("boot", &["systemd-analyze", "--no-pager", "critical-chain"]),
        ("disks", &["lsblk", "--output", "NAME,TYPE,SIZE,MODEL,SERIAL,FSTYPE,LABEL,PARTLABEL,MOUNTPOINTS"]),
        ("room", &["df", "--human-readable"]),
        ("sockets", &["ss", "--all", "--numeric", "--tcp", "--udp"]),
        ("time", &["timedatectl", "--no-pager", "timesync-status"]),
    ];
    for (name, words) in programs {
        texts.push((format!("{name}.txt"), printed(words)));
    }
    for port in ports(places) {
        texts.push((
            format!("ports/{}.txt", port.name),
            [printed(&["ethtool", "-i", &port.name]), printed(&["ethtool", "-k", &port.name]), printed(&["ethtool", "-S", &port.name])]
                .join("\n"),
        ));
    }
    for unit in UNITS.iter().chain(&[
        "tenrec-data.service",
        "tenrec-provision.service",
        "tenrec-install.service",
        "tenrec-update.service",
        "tenrec-good.service",
    ]) {
        let lines = services::journal(unit, LINES).map_or_else(|error| format!("{error:#}"), |lines| lines.join("\n"));
        texts.push((format!("journal/{unit}.txt"), lines));
    }
    texts
}

/// The settings that are in force, with "(not shown)" for every secret: they are written out from what was read, so that nothing
/// slips through in a comment.
fn settings_text(places: &Places) -> String {
    let text = match fs::read_to_string(places.settings()) {
        Ok(text) => text,
        Err(error) => return format!("# there are no settings: {error}\n"),
    };
    match Settings::parse(&text, &places.settings(), |_| None) {
        Ok(settings) => toml::to_string(&*settings).unwrap_or_else(|error| format!("# {error}\n")),
        // What is wrong may be a secret that stands in the wrong place: its line is not shown.
        Err(error) => format!(
            "# the settings are wrong at: {}\n",
            error.problems().iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn sensor_status() -> String {
    let socket = settings::Control::default().socket;
    match settings::control::Client::connect(&socket).and_then(|mut client| client.status()) {
        Ok(status) => serde_json::to_string_pretty(&status).unwrap_or_default(),
        Err(error) => format!("{error}\n"),
    }
}

fn printed(words: &[&str]) -> String {
    let Some((program, arguments)) = words.split_first() else { return String::new() };
    match Program::new(program).args(arguments.iter().copied()).within(Duration::from_secs(20)).run() {
        Ok(text) => text,
        Err(error) => format!("{error}\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::attached;

    #[test]
    fn nothing_secret_is_in_the_bundle() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        fs::create_dir_all(places.etc()).unwrap();
        let text = "# hunter2 is the password\n[opensearch]\nuser = \"u\"\npassword = \"hunter2\"\n[viewer]\nsecret = \"hunter2\"\n";
        fs::write(places.settings(), text).unwrap();
        for name in ["web.key", "viewer.secret", "certs/client.key"] {
            attached::write(&places, name, "hunter2").unwrap();
        }
        let path = gather(&places, &State::default()).unwrap();
        let mut zip = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
        let mut whole = String::new();
        for at in 0..zip.len() {
            zip.by_index(at).unwrap().read_to_string(&mut whole).unwrap();
        }
        assert!(whole.contains("(not shown)") && whole.contains("user = \"u\""), "settings are in it");
        assert!(!whole.contains("hunter2"));
        fs::write(places.settings(), "hunter2 = \"hunter2\"\n").unwrap();
        assert!(!settings_text(&places).contains("\"hunter2\""));
    }
}
