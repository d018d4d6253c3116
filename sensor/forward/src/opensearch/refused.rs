//! Documents that OpenSearch refuses for good, kept beside the spool with the reason: nothing that was recorded goes without
//! a trace, and the queue goes on.
//!
//! ```text
//! refused.ndjson       {"at","host","status","type","reason","action","document"} a line
//! refused.old.ndjson   the one before, once the first has reached its limit
//! ```

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::error;

use super::action;
use super::answer::Reason;

/// Bytes after which the file is set aside: thousands of documents, and no danger to the disk.
const MAX_BYTES: u64 = 16 << 20;

/// Kinds of refusal that are told once each.
const MAX_KINDS: usize = 1000;

/// The file.
pub(crate) struct Refused {
    path: PathBuf,
    told: HashSet<(String, String)>,
}

/// A document that was refused.
pub(crate) struct Letter<'a> {
    /// Action and document, as they were sent.
    pub(crate) record: &'a [u8],
    pub(crate) status: u16,
    pub(crate) reason: Reason,
}

impl Refused {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, told: HashSet::new() }
    }

    /// Writes the letters and syncs them.
    ///
    /// # Errors
    /// In plain words; then the documents must stay in the queue.
    pub(crate) fn keep(&mut self, host: &str, letters: &[Letter<'_>]) -> Result<(), String> {
        let mut lines = Vec::new();
        for letter in letters {
            self.tell(host, letter);
            // Writing a Value into a Vec does not fail.
            let _ = serde_json::to_writer(&mut lines, &line(host, letter));
            lines.push(b'\n');
        }
        self.append(&lines).map_err(|error| {
            format!("documents that were refused cannot be written to {} ({error}), and stay in the queue: free space", self.path.display())
        })
    }

    fn append(&self, lines: &[u8]) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|file| file.len() > 0 && file.len() + lines.len() as u64 > MAX_BYTES) {
            fs::rename(&self.path, older(&self.path))?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(lines)?;
        file.sync_data()
    }

    /// Says each kind of refusal once: of which index, day left away, and which error.
    fn tell(&mut self, host: &str, letter: &Letter<'_>) {
        let index = action::parse(letter.record).map_or_else(String::new, |(target, _)| target.index);
        let family = index.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
        let kind = (family, letter.reason.kind.clone());
        if self.told.len() < MAX_KINDS && self.told.insert(kind) {
            error!(
                host, index, status = letter.status, error = letter.reason.kind, reason = %letter.reason.text(),
                kept_in = %self.path.display(),
                "OpenSearch refuses documents for good; they are kept, the others go on; told once for each index and error"
            );
        }
    }
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("old.ndjson")
}

fn line(host: &str, letter: &Letter<'_>) -> Value {
    let end = letter.record.iter().position(|byte| *byte == b'\n').unwrap_or(letter.record.len());
    let (action, document) = letter.record.split_at(end);
    json!({
        "at": Timestamp::now().to_string(),
        "host": host,
        "status": letter.status,
        "type": letter.reason.kind,
        "reason": letter.reason.text(),
        "action": value(action),
        "document": value(document),
    })
}

/// JSON as it is, anything else as text.
fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(record: &[u8]) -> Letter<'_> {
        Letter { record, status: 400, reason: Reason::new("mapper_parsing_exception", "no") }
    }

    #[test]
    fn a_refused_document_is_kept_whole_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refused.ndjson");
        let mut refused = Refused::new(path.clone());
        refused.keep("h", &[letter(b"{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"n\":1}\n")]).unwrap();
        let kept: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!((&kept["document"], &kept["action"]["index"]["_id"]), (&json!({"n": 1}), &json!("1")));
        assert_eq!((&kept["status"], &kept["type"]), (&json!(400), &json!("mapper_parsing_exception")));
    }

    #[test]
    fn the_file_is_set_aside_at_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refused.ndjson");
        let big = vec![b'x'; MAX_BYTES as usize / 2];
        let mut refused = Refused::new(path.clone());
        for _ in 0..4 {
            refused.keep("h", &[letter(&big)]).unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() <= MAX_BYTES);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
