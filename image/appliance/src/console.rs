//! What the consoles show: how to reach the machine, how to know that it is the one, and the code of the first boot. Nothing
//! else, and no input is taken.

use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;
use serde::{Deserialize, Serialize};

use crate::files::{self, Access};
use crate::firewall::WEB_PORT;
use crate::places::Places;

/// Looks again after this long even if nothing was reported, since the kernel's messages may have painted over the screen.
const REDRAW: Duration = Duration::from_secs(300);

/// What is shown. `serve` writes it whenever it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The machine's name.
    pub(crate) host_name: String,
    /// Interface by which it is reached; empty for none.
    pub(crate) management: String,
    /// Its addresses, without prefix length.
    pub(crate) addresses: Vec<String>,
    /// The certificate's.
    pub(crate) fingerprint: String,
    /// The first boot's code; empty when setup is done.
    pub(crate) code: String,
    /// Why data is not kept or the sensor is off; empty if all is well.
    pub(crate) notes: Vec<String>,
}

fn file(places: &Places) -> PathBuf {
    places.run("console.json")
}

/// Hands new facts to the consoles.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn tell(places: &Places, facts: &Facts) -> io::Result<()> {
    files::write(places, &file(places), &serde_json::to_vec(facts)?, Access::PRIVATE)
}

/// Shows them on standard output, for ever.
///
/// # Errors
/// When the screen is gone.
pub(crate) fn show(places: &Places) -> anyhow::Result<()> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    inotify::add_watch(&watch, places.run(""), inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE)?;
    let mut shown = None;
    loop {
        let facts: Option<Facts> = std::fs::read(file(places)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if shown.as_ref() != Some(&facts) {
            let mut screen = io::stdout().lock();
            screen.write_all(paint(facts.as_ref()).as_bytes())?;
            screen.flush()?;
            shown = Some(facts);
        }
        let mut watched = [PollFd::new(&watch, PollFlags::IN)];
        if poll(&mut watched, Some(&REDRAW.try_into()?))? == 0 {
            shown = None;
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        while events.next().is_ok() {}
    }
}

/// The same as plain lines, for a screen that is shared.
pub(crate) fn text(places: &Places) -> String {
    let facts: Option<Facts> = std::fs::read(file(places)).ok().and_then(|text| serde_json::from_slice(&text).ok());
    format!("\n  Tenrec network sensor\n\n{}\n", facts.as_ref().map(body).unwrap_or_default().join("\n"))
}

/// The whole screen. Plain characters and two codes of every terminal since the VT100: home, and clear.
fn paint(facts: Option<&Facts>) -> String {
    let mut lines = vec![String::new(), "  Tenrec network sensor".to_owned(), String::new()];
    match facts {
        None => lines.push("  starting ...".to_owned()),
        Some(facts) => lines.extend(body(facts)),
    }
    format!("\x1b[H\x1b[2J{}\r\n", lines.join("\r\n"))
}

fn body(facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    if facts.addresses.is_empty() {
        lines.push(match facts.management.as_str() {
            "" => "  No wired network interface was found.".to_owned(),
            name => format!("  No address yet on {name}: is the cable plugged in?"),
        });
    }
    for (at, address) in facts.addresses.iter().enumerate() {
        let host = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        lines.push(format!("  {:<12} https://{host}:{WEB_PORT}/", if at == 0 { "Web UI" } else { "" }));
    }
    if !facts.fingerprint.is_empty() {
        // 95 characters do not fit into a line of 80.
        let middle = facts.fingerprint.len() / 2 + 1;
        let (left, right) = facts.fingerprint.split_at_checked(middle).unwrap_or((&facts.fingerprint, ""));
        lines.push(format!("  {:<12} SHA-256 {left}", "Certificate"));
        lines.push(format!("  {:<12}         {right}", ""));
    }
    if !facts.code.is_empty() {
        lines.push(format!("  {:<12} {}", "Setup code", facts.code));
    }
    if !facts.notes.is_empty() {
        lines.push(String::new());
    }
    lines.extend(facts.notes.iter().map(|note| format!("  ! {note}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            management: "eth0".to_owned(),
            addresses: vec!["192.0.2.7".to_owned(), "fe80::1".to_owned()],
            fingerprint: ["AB"; 32].join(":"),
            code: "ABCDE-FGHJK".to_owned(),
            ..Facts::default()
        }
    }

    #[test]
    fn address_fingerprint_and_code_fit_on_a_screen_of_80_columns() {
        let text = paint(Some(&facts()));
        assert!(
            text.contains("https://192.0.2.7:8443/") && text.contains("https://[fe80::1]:8443/") && text.contains("ABCDE-FGHJK"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.trim_start_matches("\x1b[H\x1b[2J").len() <= 80), "{text}");
        assert_eq!(text.matches("AB").count(), 33);
    }

    #[test]
    fn a_code_that_is_no_more_is_not_shown() {
        let text = paint(Some(&Facts { code: String::new(), ..facts() }));
        assert!(!text.contains("Setup"), "{text}");
    }

    #[test]
    fn without_an_address_it_is_said_what_to_look_at() {
        assert!(paint(Some(&Facts { addresses: Vec::new(), ..facts() })).contains("cable"));
        assert!(paint(Some(&Facts::default())).contains("No wired"));
        assert!(paint(None).contains("starting"));
    }
}
