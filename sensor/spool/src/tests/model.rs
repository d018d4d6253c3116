//! A file system in memory that forgets at a power cut what was not synced, and fills up when it is told to.
//!
//! Stricter than the real ones: of the writes and changes of length since a file's last sync, any may have reached the disk
//! and any may not, a write also in part; the same holds for names that a folder got or lost since its own sync.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::{Disk, Mode, Opened};

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<(PathBuf, Option<usize>)>,
    /// Bytes that may still be written; `None`: any number.
    room: Option<usize>,
    /// How often the power was cut: a file opened before is dead.
    cuts: u32,
}

#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write(offset, bytes) => {
                let end = offset + bytes.len();
                to.resize(to.len().max(end), 0);
                to[*offset..end].copy_from_slice(bytes);
            }
            Self::Length(length) => to.resize(*length, 0),
        }
    }
}

impl Model {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Bytes that the disk still takes.
    pub(super) fn set_room(&self, room: Option<usize>) {
        self.lock().room = room;
    }

    /// Cuts the power: files that are open are of no more use, and what was not synced is there or not, as `random` has it.
    pub(super) fn cut(&self, mut random: impl FnMut(usize) -> usize) {
        let state = &mut *self.lock();
        state.cuts += 1;
        for (path, file) in std::mem::take(&mut state.unsynced_names) {
            if random(2) == 0 {
                match file {
                    Some(file) => drop(state.durable_names.insert(path, file)),
                    None => drop(state.durable_names.remove(&path)),
                }
            }
        }
        state.names = state.durable_names.clone();
        for content in &mut state.files {
            for change in std::mem::take(&mut content.unsynced) {
                match (random(3), change) {
                    (0, _) => {}
                    (1, Change::Write(offset, mut bytes)) => {
                        bytes.truncate(random(bytes.len() + 1));
                        Change::Write(offset, bytes).apply(&mut content.durable);
                    }
                    (_, change) => change.apply(&mut content.durable),
                }
            }
            content.now = content.durable.clone();
        }
    }
}

impl Disk for Model {
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        let inside = state.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn Opened>> {
        let state = &mut *self.lock();
        let file = match (state.names.get(path), mode) {
            (Some(file), Mode::New) => {
                let content = &mut state.files[*file];
                content.now.clear();
                content.unsynced.push(Change::Length(0));
                *file
            }
            (Some(file), _) => *file,
            (None, Mode::New) => {
                let file = state.files.len();
                state.files.push(Content::default());
                state.names.insert(path.to_owned(), file);
                state.unsynced_names.push((path.to_owned(), Some(file)));
                file
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(File { model: self.clone(), file, cuts: state.cuts }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.lock();
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.unsynced_names.push((path.to_owned(), None));
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        let state = &mut *self.lock();
        state.unsynced_names.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }
}

#[derive(Debug)]
struct File {
    model: Model,
    file: usize,
    cuts: u32,
}

impl File {
    fn with<T>(&self, act: impl FnOnce(&mut Content, &mut Option<usize>) -> io::Result<T>) -> io::Result<T> {
        let state = &mut *self.model.lock();
        if state.cuts != self.cuts {
            return Err(io::Error::other("opened before the power was cut"));
        }
        act(&mut state.files[self.file], &mut state.room)
    }
}

impl Opened for File {
    fn len(&self) -> io::Result<u64> {
        self.with(|content, _| Ok(content.now.len() as u64))
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|content, _| {
            let offset = offset as usize;
            let found = content.now.get(offset..offset + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            bytes.copy_from_slice(found);
            Ok(())
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|content, room| {
            // What there is room for is written, then the disk is full, as with write(2).
            let taken = room.map_or(bytes.len(), |room| room.min(bytes.len()));
            *room = room.map(|room| room - taken);
            let change = Change::Write(offset as usize, bytes[..taken].to_vec());
            change.apply(&mut content.now);
            content.unsynced.push(change);
            if taken < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.with(|content, _| {
            let change = Change::Length(length as usize);
            change.apply(&mut content.now);
            content.unsynced.push(change);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|content, _| {
            content.unsynced.clear();
            content.durable = content.now.clone();
            Ok(())
        })
    }
}
