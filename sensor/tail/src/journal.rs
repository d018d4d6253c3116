//! Which lines went into the spool, in a form that a crash cannot make wrong.
//!
//! ```text
//! {"at":SEQUENCE,"lines":N,"file":"DEVICE:INODE","path":"…","from":BYTE,"to":BYTE,"sum":CRC32C,"seen":SECONDS}
//! ```
//! An entry is written before the lines that it speaks of are put into the spool: "the N records from SEQUENCE on are the
//! bytes FROM to TO of this file". At the next start the spool says how far it got, and only entries up to there hold; since the
//! lines of an entry share a block of the spool, it has all of them or none. `sum` is over the last bytes before `to`: a file
//! that does not hold them any more is another one, or was emptied in between.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;

const NAME: &str = "journal";

/// Bytes after which the journal is written anew with one entry for each file.
const COMPACT: u64 = 4 << 20;

/// A file, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl Serialize for FileId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}:{}", self.device, self.inode))
    }
}

impl<'de> Deserialize<'de> for FileId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let parts = text.split_once(':').and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
        let (device, inode) = parts.ok_or_else(|| serde::de::Error::custom("no file id"))?;
        Ok(Self { device, inode })
    }
}

/// Lines of one file that go into the spool together; also, with `lines` 0, how far a file was read without finding any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at: u64,
    pub(crate) lines: u64,
    pub(crate) file: FileId,
    pub(crate) path: PathBuf,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// CRC-32C of the last bytes before `to`: see [`crate::followed::TAIL`].
    pub(crate) sum: u32,
    /// When the file last gave a line, seconds since 1970.
    pub(crate) seen: i64,
    /// Whether `to` is inside of a line of which no more is wanted.
    #[serde(default)]
    pub(crate) skipping: bool,
}

impl Entry {
    fn end(&self) -> u64 {
        self.at + self.lines
    }
}

/// The journal of one spool.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Journal {
    /// Opens the journal in `folder`, and says of each file the last entry that holds, when the spool's next sequence number
    /// is `next`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn open(folder: &Path, next: u64) -> Result<(Self, HashMap<FileId, Entry>), Error> {
        fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
        let path = folder.join(NAME);
        let known = match fs::read(&path) {
            Ok(bytes) => fold(&bytes, next),
            Err(error) if error.kind() == io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let (file, bytes) = rewrite(&path, known.values(), next)?;
        Ok((Self { path, file, bytes }, known))
    }

    /// Writes an entry ahead of its lines.
    ///
    /// # Errors
    /// When the disk refuses; then the lines must not go into the spool.
    pub(crate) fn write(&mut self, entry: &Entry) -> Result<(), Error> {
        let line = encode(entry);
        if let Err(error) = self.file.write_all_at(&line, self.bytes) {
            // A part of the line must not become the begin of the next.
            let _ = self.file.set_len(self.bytes);
            return Err(failed("write", &self.path)(error));
        }
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Whether it should be written anew.
    pub(crate) fn is_long(&self) -> bool {
        self.bytes > COMPACT
    }

    /// Writes it anew: `known` are the last entries of all files. The spool must be synced, since afterwards they hold only if it
    /// has everything before `next`.
    ///
    /// # Errors
    /// When the disk refuses; the old one is still there then.
    pub(crate) fn compact<'a>(&mut self, known: impl Iterator<Item = &'a Entry>, next: u64) -> Result<(), Error> {
        (self.file, self.bytes) = rewrite(&self.path, known, next)?;
        Ok(())
    }

    /// Makes it durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(failed("sync", &self.path))
    }
}

fn encode(entry: &Entry) -> Vec<u8> {
    // A plain struct of numbers and a path; a path that is no UTF-8 is not followed.
    let mut line = serde_json::to_vec(entry).unwrap_or_default();
    line.push(b'\n');
    line
}

/// What holds of a journal when the spool has got everything before `next`.
fn fold(bytes: &[u8], next: u64) -> HashMap<FileId, Entry> {
    let mut standing: Vec<Entry> = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        // A torn last line, or one that a power cut left unwritten.
        let Ok(entry) = serde_json::from_slice::<Entry>(line) else { continue };
        // That this one could begin where it does means that nothing beyond had got into the spool.
        while standing.last().is_some_and(|before| before.end() > entry.at) {
            standing.pop();
        }
        standing.push(entry);
    }
    standing.into_iter().filter(|entry| entry.end() <= next).map(|entry| (entry.file, entry)).collect()
}

fn rewrite<'a>(path: &Path, known: impl Iterator<Item = &'a Entry>, next: u64) -> Result<(File, u64), Error> {
    let temporary = path.with_extension("new");
    // As entries without lines they hold whatever the spool says.
    let bytes: Vec<u8> = known.flat_map(|entry| encode(&Entry { at: next, lines: 0, ..entry.clone() })).collect();
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&temporary).map_err(failed("make", &temporary))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed("write", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("replace", path))?;
    if let Some(folder) = path.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync the folder", folder))?;
    }
    Ok((file, bytes.len() as u64))
}

fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Journal { act, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64, lines: u64, inode: u64, to: u64) -> Entry {
        Entry { at, lines, file: FileId { device: 1, inode }, path: "/x".into(), from: 0, to, sum: 0, seen: 0, skipping: false }
    }

    fn folded(entries: &[Entry], next: u64) -> Vec<(u64, u64)> {
        let bytes: Vec<u8> = entries.iter().flat_map(encode).collect();
        let mut known: Vec<_> = fold(&bytes, next).into_values().map(|entry| (entry.file.inode, entry.to)).collect();
        known.sort_unstable();
        known
    }

    #[test]
    fn only_what_the_spool_has_holds() {
        let entries = [entry(1, 5, 7, 100), entry(6, 5, 8, 50), entry(11, 5, 7, 200)];
        assert_eq!(folded(&entries, 16), [(7, 200), (8, 50)]);
        assert_eq!(folded(&entries, 11), [(7, 100), (8, 50)]);
        assert_eq!(folded(&entries, 1), []);
    }

    #[test]
    fn an_entry_whose_lines_were_refused_does_not_hold_when_others_took_its_place() {
        assert_eq!(folded(&[entry(1, 5, 7, 100), entry(1, 5, 8, 50)], 6), [(8, 50)]);
        assert_eq!(folded(&[entry(1, 5, 7, 100), entry(1, 3, 8, 50), entry(4, 3, 9, 60)], 7), [(8, 50), (9, 60)]);
    }

    #[test]
    fn a_torn_last_entry_is_left_out() {
        let mut bytes: Vec<u8> = [entry(1, 5, 7, 100), entry(6, 5, 7, 200)].iter().flat_map(encode).collect();
        bytes.truncate(bytes.len() - 4);
        assert_eq!(fold(&bytes, 11).into_values().map(|entry| entry.to).collect::<Vec<_>>(), [100]);
    }
}
