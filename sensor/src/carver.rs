//! Carved files on disk: each content once, under its SHA-256, and Malcolm's name as a link to it.
//!
//! ```text
//! files/HTTP-F…-C…-20261124104721.exe    the name of files.log, a hard link to
//! files/by-hash/<sha256>                 the content
//! files/partial/<fuid>                   while it is being transferred
//! ```

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use analyze::Uid;
use analyze::files::{Carved, Chunk};
use sha2::{Digest, Sha256};

/// Files that are written at once; a new one beyond it is counted and left out.
const MAX_OPEN: usize = 4096;

/// A file that is complete on disk.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What the analysis told of it.
    pub carved: Carved,
    /// Where it is, under Malcolm's name.
    pub path: PathBuf,
    /// SHA-256 of what is on disk, in hexadecimal.
    pub sha256: String,
    /// Bytes on disk.
    pub size: u64,
    /// Whether every byte was seen.
    pub complete: bool,
}

/// What the carver has counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct CarverCounters {
    /// Files kept.
    pub files: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files that were there already.
    pub duplicates: u64,
    /// Files left out: too many at once, or the disk refused them.
    pub dropped: u64,
}

/// Writes carved files into one folder.
pub struct Carver {
    folder: PathBuf,
    open: HashMap<Uid, Open>,
    counters: CarverCounters,
}

struct Open {
    carved: Carved,
    file: File,
    partial: PathBuf,
    hash: Sha256,
    position: u64,
    /// Bytes came out of order: the hash is taken from the disk at the end.
    rehash: bool,
    size: u64,
}

impl Carver {
    /// Makes the folder; what an earlier run left half-written there is removed.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let partial = folder.join("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        fs::create_dir_all(folder.join("by-hash"))?;
        Ok(Self { folder: folder.to_owned(), open: HashMap::new(), counters: CarverCounters::default() })
    }

    /// What was counted so far.
    pub const fn counters(&self) -> CarverCounters {
        self.counters
    }

    /// Takes one piece of news; gives the file that is now complete.
    ///
    /// # Errors
    /// If the disk refuses: the file is dropped and counted, others go on.
    pub fn take(&mut self, chunk: Chunk) -> io::Result<Option<Finished>> {
        match chunk {
            Chunk::Start(carved) => self.start(*carved).map(|()| None),
            Chunk::Data { fuid, offset, bytes } => {
                let Some(open) = self.open.get_mut(&fuid) else { return Ok(None) };
                if let Err(e) = open.write(offset, &bytes) {
                    self.give_up(fuid);
                    return Err(e);
                }
                Ok(None)
            }
            Chunk::End { fuid, complete } => {
                let Some(open) = self.open.remove(&fuid) else { return Ok(None) };
                self.finish(open, complete).map(Some).inspect_err(|_| self.counters.dropped += 1)
            }
        }
    }

    fn start(&mut self, carved: Carved) -> io::Result<()> {
        if self.open.len() >= MAX_OPEN {
            self.counters.dropped += 1;
            return Ok(());
        }
        let partial = self.folder.join("partial").join(carved.fuid.to_string());
        // Not executable, and not for others: it may be malware.
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o640).open(&partial);
        let file = file.inspect_err(|_| self.counters.dropped += 1)?;
        let fuid = carved.fuid;
        self.open.insert(fuid, Open { carved, file, partial, hash: Sha256::new(), position: 0, rehash: false, size: 0 });
        Ok(())
    }

    fn give_up(&mut self, fuid: Uid) {
        if let Some(open) = self.open.remove(&fuid) {
            // The disk has just refused to write: that it may also refuse to remove is no news.
            drop(fs::remove_file(&open.partial));
            self.counters.dropped += 1;
        }
    }

    fn finish(&mut self, mut open: Open, complete: bool) -> io::Result<Finished> {
        let sha256 = open.digest()?;
        let content = self.folder.join("by-hash").join(&sha256);
        if content.exists() {
            self.counters.duplicates += 1;
            fs::remove_file(&open.partial)?;
        } else {
            fs::rename(&open.partial, &content)?;
            self.counters.bytes += open.size;
        }
        let path = self.folder.join(&open.carved.name);
        match fs::hard_link(&content, &path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        self.counters.files += 1;
        Ok(Finished { carved: open.carved, path, sha256, size: open.size, complete })
    }
}

impl Open {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)?;
        if offset == self.position {
            self.hash.update(bytes);
            self.position = self.position.saturating_add(bytes.len() as u64);
        } else {
            self.rehash = true;
        }
        self.size = self.size.max(offset.saturating_add(bytes.len() as u64));
        Ok(())
    }

    fn digest(&mut self) -> io::Result<String> {
        if self.rehash {
            let mut hash = Sha256::new();
            io::copy(&mut File::open(&self.partial)?, &mut hash)?;
            return Ok(hex::encode(hash.finalize()));
        }
        Ok(hex::encode(self.hash.clone().finalize()))
    }
}
