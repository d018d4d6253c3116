//! JSON lines on disk, one file per stream. What [`Store::write`] took is synced when it returns.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

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
                let file = open(&self.folder.join(format!("{stream}.ndjson")))?;
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

/// Opens a stream's file to append to it. A line that was being written when the process died, and was not acknowledged, is
/// cut off: the next one would be part of it.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut end = file.metadata()?.len();
    let mut piece = vec![0; 64 << 10];
    while end > 0 {
        let start = end.saturating_sub(piece.len() as u64);
        let Some(bytes) = piece.get_mut(..(end - start) as usize) else { break };
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(bytes)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    file.set_len(end)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_torn_by_a_kill_is_cut_off_and_the_next_one_stands_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conn.ndjson");
        for (before, after) in [("{\"n\":1}\n{\"n\":", "{\"n\":1}\n"), ("{\"n\"", ""), ("", ""), ("{}\n", "{}\n")] {
            fs::write(&path, before).unwrap();
            let mut store = Store::open(folder.path().to_owned()).unwrap();
            store.write(&[("conn".to_owned(), b"{\"n\":2}".to_vec())]).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{after}{{\"n\":2}}\n"));
        }
        let long = format!("{{}}\n{}", "x".repeat(200_000));
        fs::write(&path, long).unwrap();
        open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
    }
}
