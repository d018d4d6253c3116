//! Which captures are to be analysed, and which were.
//!
//! ```text
//! logs.folder/captures/analysed       names of captures whose results are complete, a line each
//! ```
//! The list outlives the results, which are deleted by age. It forgets the oldest when it is opened and has become long.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use crossbeam_channel::Receiver;

use super::{OWN, Options, PARTIAL, WATCHED, sync_folder};
use crate::pcap::FileEvent;

const LIST: &str = "analysed";
/// Captures that are listed at most: years of them, and more than any disk keeps.
const MOST_LISTED: usize = 100_000;
const PROCESSED: &str = "processed";
/// How often the watched folder is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// A file that was not written to for so long is complete: whoever copies it there is done.
const STILL: Duration = Duration::from_secs(3);
/// Endings of files that are taken from the watched folder, before a compression's ending.
const ENDINGS: [&str; 4] = ["pcap", "pcapng", "cap", "dmp"];
const COMPRESSED: [&str; 3] = ["gz", "lz4", "zst"];

/// One capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// [`OWN`] or [`WATCHED`].
    pub(super) kind: &'static str,
    /// Where it is.
    pub(super) path: PathBuf,
    /// What its results are called.
    pub(super) name: String,
}

/// The captures that wait for their analysis, oldest first.
pub(super) struct Due {
    queue: VecDeque<Source>,
    analysed: HashSet<String>,
    list: File,
    captures: Option<Receiver<FileEvent>>,
    watched: Option<PathBuf>,
    looked: Option<Instant>,
    /// Files of the watched folder that are queued, or that could not be moved away.
    seen: HashMap<PathBuf, String>,
    /// Files of the watched folder that were written in the future, as they were found, and when.
    future: HashMap<PathBuf, (String, Instant)>,
}

impl Due {
    /// Opens the list, and makes the folders.
    ///
    /// # Errors
    /// If one cannot be made or read.
    pub(super) fn open(options: &Options) -> io::Result<Self> {
        for kind in [OWN, WATCHED, PARTIAL] {
            fs::create_dir_all(options.folder.join(kind))?;
        }
        if let Some(watched) = &options.watched {
            fs::create_dir_all(watched.join(PROCESSED))?;
        }
        let path = options.folder.join(LIST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        // A torn last line is of a capture whose results are there: it is found again.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = String::from_utf8_lossy(text.get(..whole).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let newest = lines.get(lines.len().saturating_sub(MOST_LISTED)..).unwrap_or_default();
        let analysed: HashSet<String> = newest.iter().map(|line| (*line).to_owned()).collect();
        if newest.len() < lines.len() {
            let shorter = path.with_extension("new");
            let mut file = File::create(&shorter)?;
            newest.iter().try_for_each(|line| writeln!(file, "{line}"))?;
            file.sync_all()?;
            fs::rename(&shorter, &path)?;
            sync_folder(&options.folder)?;
        }
        let list = OpenOptions::new().create(true).append(true).open(&path)?;
        if newest.len() == lines.len() {
            list.set_len(whole as u64)?;
        }
        let (captures, watched) = (options.captures.clone(), options.watched.clone());
        Ok(Self { queue: VecDeque::new(), analysed, list, captures, watched, looked: None, seen: HashMap::new(), future: HashMap::new() })
    }

    /// Captures that wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Looks for new captures; the names of those that were deleted before their turn came.
    pub(super) fn look(&mut self) -> Vec<String> {
        let lost = self.look_at_own();
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.looked = Some(Instant::now());
            self.look_at_watched();
        }
        lost
    }

    /// The capture whose turn it is.
    pub(super) fn next(&mut self) -> Option<Source> {
        self.queue.pop_front()
    }

    /// Puts a capture back.
    pub(super) fn again(&mut self, source: Source) {
        self.queue.push_front(source);
    }

    /// A capture's results are complete. One from the watched folder is moved out of the way.
    ///
    /// # Errors
    /// If that cannot be written down.
    pub(super) fn done(&mut self, source: &Source) -> io::Result<()> {
        if self.analysed.insert(source.name.clone()) {
            self.list.write_all(format!("{}\n", source.name).as_bytes())?;
            self.list.sync_data()?;
        }
        if source.kind == WATCHED
            && let Some(folder) = source.path.parent()
        {
            let to = free_name(&folder.join(PROCESSED), &source.path);
            match fs::rename(&source.path, &to).and_then(|()| sync_folder(folder)) {
                Ok(()) => drop(self.seen.remove(&source.path)),
                Err(error) => {
                    tracing::warn!(file = %source.path.display(), %error, "analysed, but it cannot be moved into `processed`: it stays where it is");
                }
            }
        }
        Ok(())
    }

    fn look_at_own(&mut self) -> Vec<String> {
        let mut lost = Vec::new();
        let Some(captures) = &self.captures else { return lost };
        while let Ok(event) = captures.try_recv() {
            match event {
                FileEvent::Found { path, .. } | FileEvent::Ended { path, .. } => {
                    let name = file_name(&path);
                    if !self.analysed.contains(&name) {
                        self.queue.push_back(Source { kind: OWN, path, name });
                    }
                }
                FileEvent::Deleted { path, .. } => {
                    let waited = self.queue.len();
                    self.queue.retain(|source| source.path != path);
                    if self.queue.len() < waited {
                        lost.push(file_name(&path));
                    }
                }
                FileEvent::Begun { .. } => {}
            }
        }
        lost
    }

    /// Whether nobody writes to it any more: by its own time or, where that says nothing, because it was the same for so long.
    fn is_still(&mut self, new: &New) -> bool {
        if let Some(age) = new.age {
            return age >= STILL;
        }
        let now = (new.name.clone(), Instant::now());
        let (name, since) = self.future.entry(new.path.clone()).or_insert_with(|| now.clone());
        if *name != new.name {
            (*name, *since) = now;
        }
        since.elapsed() >= STILL
    }

    fn look_at_watched(&mut self) {
        let Some(folder) = &self.watched else { return };
        let paths = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let mut found: Vec<_> = paths.filter_map(|path| new_one(&path)).collect();
        self.future.retain(|path, _| found.iter().any(|new| new.path == *path && new.age.is_none()));
        found.retain(|new| self.is_still(new));
        found.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
        for New { path, name, .. } in found {
            if self.seen.get(&path) == Some(&name) {
                continue;
            }
            self.seen.insert(path.clone(), name.clone());
            // Also one that was analysed already: it only has to be moved, which is what comes of it.
            self.queue.push_back(Source { kind: WATCHED, path, name });
        }
    }
}

/// A capture in the watched folder, perhaps not complete yet.
struct New {
    path: PathBuf,
    /// What its results are called: another name whenever it is written to.
    name: String,
    written: SystemTime,
    /// Nothing if it was written in the future: the clock was set back, or whoever writes it has another.
    age: Option<Duration>,
}

fn new_one(path: &Path) -> Option<New> {
    let name = path.file_name()?.to_str()?;
    let mut parts = name.rsplit('.');
    let mut ending = parts.next()?.to_ascii_lowercase();
    if COMPRESSED.contains(&ending.as_str()) {
        ending = parts.next()?.to_ascii_lowercase();
    }
    if name.starts_with('.') || !ENDINGS.contains(&ending.as_str()) {
        return None;
    }
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let written = found.modified().ok()?;
    let name = format!("{name}~{:x}-{:x}{:08x}", found.len(), found.mtime(), found.mtime_nsec());
    (found.len() > 0).then(|| New { path: path.to_owned(), name, written, age: SystemTime::now().duration_since(written).ok() })
}

/// A name in `folder` that nothing has yet.
fn free_name(folder: &Path, path: &Path) -> PathBuf {
    let name = file_name(path);
    let mut to = folder.join(&name);
    let mut number = 1;
    while to.exists() {
        to = folder.join(format!("{number}-{name}"));
        number += 1;
    }
    to
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn options(folder: &Path, watched: Option<PathBuf>) -> Options {
        Options {
            captures: None,
            watched,
            folder: folder.join("logs"),
            analysis: analyze::Options::default(),
            rules: Arc::default(),
            format: analyze::log::Format::Json,
            node: String::new(),
            tags: Vec::new(),
            documents: false,
            budget_bytes: 0,
            share: Arc::default(),
            own: crossbeam_channel::bounded(1).0,
        }
    }

    #[test]
    fn the_list_forgets_a_torn_line_and_the_oldest_when_it_is_long() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path(), None);
        drop(Due::open(&options).unwrap());
        let list = options.folder.join(LIST);
        fs::write(&list, "one\ntwo\nthr").unwrap();
        let mut due = Due::open(&options).unwrap();
        assert_eq!(due.analysed, HashSet::from(["one".to_owned(), "two".to_owned()]));
        due.done(&Source { kind: OWN, path: "/x/three".into(), name: "three".to_owned() }).unwrap();
        assert_eq!(fs::read_to_string(&list).unwrap(), "one\ntwo\nthree\n");
        let long: String = (0..MOST_LISTED + 3).map(|number| format!("{number}\n")).collect();
        fs::write(&list, long).unwrap();
        let due = Due::open(&options).unwrap();
        assert!(due.analysed.len() == MOST_LISTED && !due.analysed.contains("2") && due.analysed.contains("3"));
        assert!(fs::read_to_string(&list).unwrap().starts_with("3\n4\n"));
    }

    #[test]
    fn a_file_from_the_future_is_complete_when_it_has_been_the_same_for_long_enough() {
        let folder = tempfile::tempdir().unwrap();
        let watched = folder.path().join("watched");
        let options = options(folder.path(), Some(watched.clone()));
        let mut due = Due::open(&options).unwrap();
        let path = watched.join("a.pcap");
        fs::write(&path, "x").unwrap();
        File::open(&path).unwrap().set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
        due.look();
        assert_eq!(due.len(), 0, "somebody with another clock may be writing it");
        let (_, since) = due.future.get_mut(&path).unwrap();
        *since = since.checked_sub(STILL).unwrap();
        due.looked = None;
        due.look();
        assert_eq!(due.len(), 1);
        // It is written to after all: from the start again.
        fs::write(&path, "xy").unwrap();
        File::open(&path).unwrap().set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
        due.looked = None;
        due.look();
        assert_eq!(due.len(), 1);
        assert!(due.future[&path].1.elapsed() < STILL);
    }
}
