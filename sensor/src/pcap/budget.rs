//! Room on the disk for captures: a budget for all of them, and a floor of free space that is never gone below.
//!
//! The oldest file makes room. Files that are being written are never deleted. Only files that bear our names are counted
//! and deleted: an operator may put others beside them. Log files that were set aside are kept within theirs the same way.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The closed files, oldest first, and the bounds.
#[derive(Debug)]
pub struct Budget {
    folder: PathBuf,
    closed: VecDeque<(PathBuf, u64)>,
    bytes: u64,
    /// Bytes deleted to make room, and how many files, since [`Budget::take_deleted`] was asked.
    deleted: (u64, u64),
    most: u64,
    floor: u64,
    /// What is appended to the name of a file for that of the file that goes with it, such as its index; empty for none.
    companion: &'static str,
}

impl Budget {
    /// Takes stock of a folder, which is made if it is missing: of the files that `is_ours` knows by name, each with the one
    /// that bears its name and `companion`. `most` 0 is no bound.
    ///
    /// # Errors
    /// If the folder cannot be made or read; the message names it.
    pub fn open(folder: &Path, is_ours: fn(&str) -> bool, companion: &'static str, most: u64, floor: u64) -> io::Result<Self> {
        let explain = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot use the folder {}: {error}; change it in tenrec.toml", folder.display()))
        };
        fs::create_dir_all(folder).map_err(explain)?;
        let mut found: Vec<(u32, SystemTime, PathBuf, u64)> = Vec::new();
        for entry in fs::read_dir(folder).map_err(explain)? {
            let entry = entry.map_err(explain)?;
            if !entry.file_name().to_str().is_some_and(is_ours) {
                continue;
            }
            // A file that is deleted while we look is none.
            let Ok(metadata) = entry.metadata() else { continue };
            let with = with_companion(&entry.path(), companion).and_then(|path| fs::metadata(path).ok()).map_or(0, |with| with.len());
            // Captures by number: that of one which is made after the clock was set back is the highest all the same.
            let number = packets::Name::of(&entry.path()).map_or(0, |name| name.number);
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push((number, modified, entry.path(), metadata.len().saturating_add(with)));
        }
        found.sort();
        let bytes = found.iter().map(|(.., bytes)| bytes).sum();
        let closed = found.into_iter().map(|(.., path, bytes)| (path, bytes)).collect();
        Ok(Self { folder: folder.to_owned(), closed, bytes, deleted: (0, 0), most, floor, companion })
    }

    /// Makes room for `bytes` more by deleting the oldest closed files; returns which were deleted, and whether there is
    /// room now.
    pub fn make_room(&mut self, bytes: u64) -> (Vec<PathBuf>, bool) {
        let mut deleted = Vec::new();
        while !self.has_room(bytes) {
            match self.delete_oldest() {
                Some(path) => deleted.push(path),
                None => return (deleted, false),
            }
        }
        (deleted, true)
    }

    /// Bytes that were deleted to make room since the last call, and how many files.
    pub fn take_deleted(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.deleted)
    }

    /// Deletes the oldest closed files until so many bytes are free, or none is left: which.
    pub fn give_up(&mut self, bytes: u64) -> Vec<PathBuf> {
        let before = self.bytes;
        let mut deleted = Vec::new();
        while before - self.bytes < bytes {
            match self.delete_oldest() {
                Some(path) => deleted.push(path),
                None => break,
            }
        }
        deleted
    }

    /// Bytes of the closed files.
    pub fn spare(&self) -> u64 {
        self.closed.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Bounds all files together anew; 0 is no bound.
    pub fn set_most(&mut self, most: u64) {
        self.most = most;
    }

    /// Deletes the oldest closed file, and says which; nothing if there is none.
    pub fn delete_oldest(&mut self) -> Option<PathBuf> {
        let (path, bytes) = self.closed.pop_front()?;
        // The companion last: without its file it is of no use, and is looked for at the next start.
        for path in std::iter::once(path.clone()).chain(with_companion(&path, self.companion)) {
            match fs::remove_file(&path) {
                Ok(()) => tracing::debug!(file = %path.display(), bytes, "oldest file deleted to make room"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(file = %path.display(), %error, "oldest file cannot be deleted"),
            }
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.deleted = (self.deleted.0 + bytes, self.deleted.1 + 1);
        Some(path)
    }

    /// Counts bytes that were written to an open file.
    pub fn grown(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Counts bytes of an open file that are gone.
    pub fn shrunk(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// A file is no longer written to and may be deleted when it is the oldest.
    pub fn closed(&mut self, path: PathBuf, bytes: u64) {
        self.closed.push_back((path, bytes));
    }

    /// Counts bytes that came to a closed file, or to its companion.
    pub fn closed_grown(&mut self, path: &Path, bytes: u64) {
        // Most likely one of the newest.
        if let Some((_, known)) = self.closed.iter_mut().rev().find(|(closed, _)| closed == path) {
            *known += bytes;
            self.bytes += bytes;
        }
    }

    /// The files that are no longer written to, oldest first, each with its bytes (its companion's among them).
    pub fn list(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.closed.iter().map(|(path, bytes)| (path.as_path(), *bytes))
    }

    /// Files that are no longer written to.
    pub fn files(&self) -> usize {
        self.closed.len()
    }

    /// Bytes that all of them take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn has_room(&self, bytes: u64) -> bool {
        if self.most > 0 && self.bytes.saturating_add(bytes) > self.most {
            return false;
        }
        // A file system that does not say how full it is is tried.
        rustix::fs::statvfs(&self.folder)
            .map_or(true, |state| state.f_bavail.saturating_mul(state.f_frsize) >= self.floor.saturating_add(bytes))
    }
}

fn with_companion(path: &Path, companion: &str) -> Option<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(companion);
    (!companion.is_empty()).then(|| PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_of_before_a_clock_was_set_back_are_older_than_those_of_after() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["20261124T120000.000000Z-00000001", "20261123T120000.000000Z-00000002"];
        let names = names.map(|name| format!("tenrec-eth0-{name}.pcap"));
        for (name, age) in names.iter().zip([0, 86_400]) {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - std::time::Duration::from_secs(age)).unwrap();
        }
        let budget = Budget::open(folder.path(), |name| name.ends_with(".pcap"), "", 0, 0).unwrap();
        let list: Vec<_> = budget.list().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(list, names);
    }
}
