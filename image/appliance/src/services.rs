//! Services: how they are, restarting one and waiting for it, their lines in the journal. All by systemd's own programs.

use std::time::Duration;

use anyhow::{Context as _, bail};
use settings::appliance::{Service, UNITS};

use crate::program::Program;

/// How long a service may take to stop and to start: the sensor drains its rings for up to 30 seconds.
const RESTART: Duration = Duration::from_secs(120);
/// Bytes of journal lines in one answer: well within a message.
const MAX_JOURNAL: usize = 2 << 20;
/// Bytes of one line.
const MAX_JOURNAL_LINE: usize = 4096;
const PROPERTIES: &str = "Id,Description,LoadState,ActiveState,SubState,MemoryCurrent,NRestarts,StateChangeTimestamp";

/// Of every unit that may be asked about.
///
/// # Errors
/// When systemd does not answer.
pub(crate) fn list() -> anyhow::Result<Vec<Service>> {
    let text = Program::new("systemctl")
        .args(["show", "--timestamp=unix", "--property", PROPERTIES])
        .args(UNITS.iter().copied())
        .run()
        .context("systemd does not answer")?;
    Ok(parse(&text))
}

/// `Key=Value` lines, an empty line between units.
fn parse(text: &str) -> Vec<Service> {
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    blocks
        .filter_map(|block| {
            let value = |key: &str| block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default().to_owned();
            (value("LoadState") != "not-found").then(|| Service {
                unit: value("Id"),
                description: value("Description"),
                state: value("ActiveState"),
                substate: value("SubState"),
                // "[not set]" where there is no process; the largest number where it is not counted.
                memory: value("MemoryCurrent").parse().ok().filter(|bytes| *bytes != u64::MAX),
                restarts: value("NRestarts").parse().unwrap_or(0),
                since: value("StateChangeTimestamp").trim_start_matches('@').parse().unwrap_or(0.0),
            })
        })
        .collect()
}

/// Only the named units may be touched.
///
/// # Errors
/// When it is none of them.
pub(crate) fn known(unit: &str) -> anyhow::Result<()> {
    if UNITS.contains(&unit) { Ok(()) } else { bail!("{unit:?} is not one of {}", UNITS.join(", ")) }
}

/// Restarts a unit and waits until it is up.
///
/// # Errors
/// When it does not come up, with its last words.
pub(crate) fn restart(unit: &str) -> anyhow::Result<()> {
    // A unit that failed too often is started no more until this.
    drop(Program::new("systemctl").args(["reset-failed", unit]).run());
    let started = Program::new("systemctl").args(["restart", unit]).within(RESTART).run();
    // A unit whose condition does not hold is skipped without an error.
    if started.is_ok() && is_active(unit) {
        return Ok(());
    }
    let words = journal(unit, 5).map(|lines| lines.join("; ")).unwrap_or_default();
    bail!("{unit} does not come up; its last words: {words}")
}

/// Stops a unit.
pub(crate) fn stop(unit: &str) -> anyhow::Result<()> {
    Program::new("systemctl").args(["stop", unit]).within(RESTART).run().with_context(|| format!("{unit} does not stop"))?;
    Ok(())
}

/// Whether it runs.
pub(crate) fn is_active(unit: &str) -> bool {
    Program::new("systemctl").args(["is-active", "--quiet", unit]).run().is_ok()
}

/// Runs a oneshot unit to its end.
///
/// # Errors
/// When it fails, or takes longer.
pub(crate) fn run_to_end(unit: &str, within: Duration) -> anyhow::Result<()> {
    drop(Program::new("systemctl").args(["reset-failed", unit]).run());
    Program::new("systemctl").args(["start", unit]).within(within).run().with_context(|| format!("{unit} failed"))?;
    Ok(())
}

/// The last lines of a unit in the journal, oldest first.
///
/// # Errors
/// When the journal cannot be read.
pub(crate) fn journal(unit: &str, lines: u32) -> anyhow::Result<Vec<String>> {
    let text = Program::new("journalctl")
        .args(["--no-pager", "--quiet", "--output=short-iso", "--unit", unit, "--lines", &lines.clamp(1, 1000).to_string()])
        .within(Duration::from_secs(30))
        .run()
        .context("the journal cannot be read")?;
    Ok(newest(&text))
}

/// As many of the newest lines as fit.
fn newest(text: &str) -> Vec<String> {
    let mut room = MAX_JOURNAL;
    let mut kept: Vec<String> = text
        .lines()
        .rev()
        .map(|line| line.chars().take(MAX_JOURNAL_LINE).collect::<String>())
        .take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        })
        .collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read_from_systemd_s_words() {
        let text = "Id=tenrec.service\nDescription=Tenrec network sensor\nLoadState=loaded\nActiveState=active\nSubState=running\n\
                    MemoryCurrent=1048576\nNRestarts=2\nStateChangeTimestamp=@1700000000\n\n\
                    Id=ssh.service\nDescription=ssh.service\nLoadState=not-found\nActiveState=inactive\n\n\
                    Id=tenrec-web.service\nLoadState=loaded\nActiveState=inactive\nSubState=dead\nMemoryCurrent=[not set]\nNRestarts=0\nStateChangeTimestamp=\n";
        let services = parse(text);
        assert_eq!(services.len(), 2);
        assert_eq!((services[0].memory, services[0].restarts, services[0].since), (Some(1_048_576), 2, 1_700_000_000.0));
        assert_eq!((services[1].state.as_str(), services[1].memory, services[1].since), ("inactive", None, 0.0));
    }

    #[test]
    fn only_our_units_may_be_touched() {
        assert!(known("tenrec.service").is_ok());
        for unit in ["", "dbus.service", "tenrec.service ssh.service", "--all"] {
            assert!(known(unit).is_err(), "{unit}");
        }
    }

    #[test]
    fn the_newest_lines_fit_into_a_message() {
        assert_eq!(newest("a\nb\n"), ["a", "b"]);
        let long = format!("{}\n", "x".repeat(10_000)).repeat(1000);
        let kept = newest(&long);
        assert!(kept.len() > 500 && kept.iter().map(String::len).sum::<usize>() <= MAX_JOURNAL);
    }
}
