//! Who did what, from where, and how it ended: a line of JSON for each change and each login, in the web UI's own folder.
//!
//! ```text
//! audit.jsonl      {"time":1764000000.123,"from":"192.0.2.9","who":"administrator","what":"settings applied","detail":"…","done":true}
//! audit.1.jsonl    the one before, and so on
//! ```
//!
//! It also goes to the journal, which whoever takes over the web UI cannot change.

use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Bytes after which a file is set aside.
const MAX_BYTES: u64 = 1 << 20;
/// Files that are kept beside the current one.
const KEPT: u32 = 4;
/// Bytes of one detail.
const MAX_DETAIL: usize = 400;

/// One act.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Entry {
    /// Seconds since 1970.
    pub(crate) time: f64,
    /// Address it came from.
    pub(crate) from: String,
    /// `administrator`, `setup`, `token NAME`, `nobody`.
    pub(crate) who: String,
    /// The act.
    pub(crate) what: String,
    /// What it was done to.
    pub(crate) detail: String,
    /// Whether it was done, or refused.
    pub(crate) done: bool,
}

/// The log.
pub(crate) struct Audit(Option<Mutex<PathBuf>>);

impl Audit {
    /// Writes into the folder; without one the journal alone has it.
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        Self(folder.map(|folder| Mutex::new(folder.join("audit.jsonl"))))
    }

    /// Notes an act. That it could not be written is told in the journal, and hinders nobody.
    pub(crate) fn note(&self, from: IpAddr, who: &str, what: &str, detail: &str, done: bool) {
        let detail: String = detail.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_DETAIL).collect();
        tracing::info!(%from, who, detail, done, "audit: {what}");
        let Some(file) = &self.0 else { return };
        let time = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
        let from = from.to_canonical().to_string();
        let entry = Entry { time, from, who: who.to_owned(), what: what.to_owned(), detail, done };
        let file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = append(&file, &entry) {
            tracing::error!(%error, file = %file.display(), "the audit log cannot be written");
        }
    }

    /// The acts noted last, newest first.
    pub(crate) fn last(&self, rows: usize) -> Vec<Entry> {
        let Some(file) = &self.0 else { return Vec::new() };
        let file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::new();
        for path in [file.clone(), aside(&file, 1)] {
            let text = fs::read_to_string(path).unwrap_or_default();
            entries.extend(text.lines().rev().filter_map(|line| serde_json::from_str(line).ok()).take(rows - entries.len()));
            if entries.len() >= rows {
                break;
            }
        }
        entries
    }
}

fn append(file: &Path, entry: &Entry) -> io::Result<()> {
    if fs::metadata(file).is_ok_and(|known| known.len() >= MAX_BYTES) {
        for number in (1..KEPT).rev() {
            match fs::rename(aside(file, number), aside(file, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(file, aside(file, 1))?;
    }
    let mut line = serde_json::to_vec(entry).map_err(io::Error::other)?;
    line.push(b'\n');
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file)?.write_all(&line)
}

fn aside(file: &Path, number: u32) -> PathBuf {
    file.with_extension(format!("{number}.jsonl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_are_lines_that_stay_one_and_come_back_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::new(Some(folder.path()));
        let from = "192.0.2.9".parse().unwrap();
        audit.note(from, "administrator", "settings applied", "two\nlines", true);
        audit.note(from, "nobody", "login", "", false);
        let last = audit.last(10);
        assert_eq!((last[0].what.as_str(), last[0].done, last[1].detail.as_str()), ("login", false, "two lines"));
        assert_eq!(audit.last(1).len(), 1);
    }

    #[test]
    fn a_full_file_is_set_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::new(Some(folder.path()));
        let file = folder.path().join("audit.jsonl");
        for round in 0..7 {
            fs::write(&file, vec![b'\n'; MAX_BYTES as usize]).unwrap();
            audit.note([192, 0, 2, 9].into(), "administrator", "round", &round.to_string(), true);
            assert_eq!(audit.last(1)[0].detail, round.to_string());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + KEPT as usize);
    }
}
