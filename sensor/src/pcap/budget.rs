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

/// What every capture file's name begins with.
pub const PREFIX: &str = "tenrec-";

/// The closed files, oldest first, and the bounds.
#[derive(Debug)]
pub struct Budget {
    folder: PathBuf,
    closed: VecDeque<(PathBuf, u64)>,
    bytes: u64,
    most: u64,
    floor: u64,
}

impl Budget {
    /// Takes stock of a folder, which is made if it is missing: of the files that `is_ours` knows by name. `most` 0 is no
    /// bound.
    ///
    /// # Errors
    /// If the folder cannot be made or read; the message names it.
    pub fn open(folder: &Path, is_ours: fn(&str) -> bool, most: u64, floor: u64) -> io::Result<Self> {
        let explain = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot use the folder {}: {error}; change it in tenrec.toml", folder.display()))
        };
        fs::create_dir_all(folder).map_err(explain)?;
        let mut found: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
        for entry in fs::read_dir(folder).map_err(explain)? {
            let entry = entry.map_err(explain)?;
            if !entry.file_name().to_str().is_some_and(is_ours) {
                continue;
            }
            // A file that is deleted while we look is none.
            let Ok(metadata) = entry.metadata() else { continue };
            found.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path(), metadata.len()));
        }
        found.sort();
        let bytes = found.iter().map(|(_, _, bytes)| bytes).sum();
        let closed = found.into_iter().map(|(_, path, bytes)| (path, bytes)).collect();
        Ok(Self { folder: folder.to_owned(), closed, bytes, most, floor })
    }

    /// Makes room for `bytes` more by deleting the oldest closed files; returns how many were deleted, and whether there is
    /// room now.
    pub fn make_room(&mut self, bytes: u64) -> (u64, bool) {
        let mut deleted = 0;
        while !self.has_room(bytes) {
            if !self.delete_oldest() {
                return (deleted, false);
            }
            deleted += 1;
        }
        (deleted, true)
    }

    /// Deletes the oldest closed file; false if there is none.
    pub fn delete_oldest(&mut self) -> bool {
        let Some((path, bytes)) = self.closed.pop_front() else { return false };
        match fs::remove_file(&path) {
            Ok(()) => tracing::debug!(file = %path.display(), bytes, "oldest file deleted to make room"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(file = %path.display(), %error, "oldest file cannot be deleted"),
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }

    /// Counts bytes that were written to an open file.
    pub fn grown(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// A file is no longer written to and may be deleted when it is the oldest.
    pub fn closed(&mut self, path: PathBuf, bytes: u64) {
        self.closed.push_back((path, bytes));
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

/// Whether a name is that of a capture.
pub fn is_capture(name: &str) -> bool {
    name.starts_with(PREFIX) && (name.ends_with(".pcap") || name.ends_with(".pcap.lz4"))
}
