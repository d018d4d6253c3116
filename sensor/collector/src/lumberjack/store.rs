//! JSON lines on disk, one file per stream. What [`Store::write`] took is synced when it returns.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::Counts;

/// Files open at most: more streams than there are logs, less than a process may open.
const MAX_STREAMS: usize = 400;

/// The stream of what finds no file of its own.
const OVERFLOW: &str = "other";

#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    files: HashMap<String, File>,
    counts: Counts,
}

impl Store {
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, files: HashMap::new(), counts: Counts::new() })
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Appends the events of one window, each to its stream, and syncs the files that grew.
    pub(crate) fn write(&mut self, events: &[(String, Vec<u8>)]) -> io::Result<()> {
        let mut by_stream: HashMap<&str, (u64, Vec<u8>)> = HashMap::new();
        for (stream, event) in events {
            let known = self.files.contains_key(stream) || self.files.len() + by_stream.len() < MAX_STREAMS;
            let (count, lines) = by_stream.entry(if known { stream } else { OVERFLOW }).or_default();
            *count += 1;
            lines.extend_from_slice(event);
            lines.push(b'\n');
        }
        for (stream, (count, lines)) in by_stream {
            if !self.files.contains_key(stream) {
                let path = self.folder.join(format!("{stream}.ndjson"));
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                self.files.insert(stream.to_owned(), file);
            }
            if let Some(file) = self.files.get_mut(stream) {
                file.write_all(&lines)?;
                file.sync_data()?;
            }
            *self.counts.entry(stream.to_owned()).or_default() += count;
        }
        Ok(())
    }
}
