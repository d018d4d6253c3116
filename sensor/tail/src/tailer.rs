//! Finds the files, reads what is new, and puts it into the spool. One thread, which may wait for the disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use spool::{MAX_RECORD, Stats, Writer};

use crate::event::Envelope;
use crate::followed::{Followed, Lines};
use crate::journal::{FileId, Journal};
use crate::{Error, Input, Shape};

/// Batches that one file gives before the next has its turn.
const TURN: usize = 16;
/// Shortest and longest pause when no file has anything new.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often the journal is made durable, which is before the spool makes its lines so.
const SYNC: Duration = Duration::from_millis(500);
/// Bytes kept of each line when a batch of them would not fit into the spool as JSON.
const SHORTENED: usize = 64 << 10;

/// What is followed and where it goes.
#[derive(Debug)]
pub struct Options {
    /// Inputs; a file that several match belongs to the first.
    pub inputs: Vec<Input>,
    /// Name of the machine in events.
    pub name: String,
    /// Bytes of the spool's folder beyond which the reading waits: the files themselves are the queue then.
    pub most_waiting: u64,
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Lines that became events.
    pub lines: u64,
    /// Lines that were left out by the input's patterns.
    pub left_out: u64,
    /// Files that are known.
    pub files: usize,
    /// Whether the reading waits for the collector.
    pub waits: bool,
}

/// Follows files into a spool.
pub struct Tailer {
    options: Options,
    envelopes: Vec<Envelope>,
    spool: Writer,
    journal: Journal,
    followed: BTreeMap<FileId, Followed>,
    /// When each input looks for new files again.
    look: Vec<Instant>,
    synced: Instant,
    progress: Progress,
    /// The last trouble, which is told once.
    trouble: String,
}

impl Tailer {
    /// Takes up where the journal in `folder`, which belongs to `spool`, left off.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub fn open(options: Options, folder: &Path, spool: Writer) -> Result<Self, Error> {
        let (journal, known) = Journal::open(folder, spool.next_sequence())?;
        let now = Timestamp::now().as_second();
        let input_of = |path: &Path| options.inputs.iter().position(|input| matches(input, path));
        let followed = known
            .into_values()
            .filter_map(|entry| {
                let mut known = Followed::known(&entry, input_of(&entry.path)?, now);
                find_again(&mut known);
                Some((known.id, known))
            })
            .collect();
        let envelopes = options.inputs.iter().map(|input| Envelope::new(input, &options.name)).collect();
        let look = vec![Instant::now(); options.inputs.len()];
        let progress = Progress::default();
        Ok(Self { options, envelopes, spool, journal, followed, look, synced: Instant::now(), progress, trouble: String::new() })
    }

    /// Follows until `stop` is set; whoever sets it unparks the thread. `each` hears of the progress after every round.
    pub fn run(&mut self, stop: &AtomicBool, mut each: impl FnMut(Progress, Stats)) {
        let mut pause = PAUSE.0;
        while !stop.load(Ordering::Acquire) {
            let moved = self.round();
            each(self.progress, self.spool.stats());
            pause = if moved { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
            if !moved {
                std::thread::park_timeout(pause);
            }
        }
        self.save();
    }

    /// Reads everything that there is now.
    ///
    /// # Errors
    /// The trouble that stands in the way of the rest.
    pub fn run_once(&mut self) -> Result<Progress, String> {
        self.trouble.clear();
        while self.round() {}
        self.save();
        if self.trouble.is_empty() { Ok(self.progress) } else { Err(std::mem::take(&mut self.trouble)) }
    }

    /// The counters of the spool.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.spool.stats()
    }

    /// One look at everything. Whether there was anything new.
    fn round(&mut self) -> bool {
        self.progress.waits = self.is_full();
        if self.progress.waits {
            return false;
        }
        self.look_for_files();
        let mut moved = false;
        for id in self.followed.keys().copied().collect::<Vec<_>>() {
            let Some(mut file) = self.followed.remove(&id) else { continue };
            match self.turn(&mut file) {
                Ok(Turn { moved: more, keep }) => {
                    moved |= more;
                    if keep {
                        self.followed.insert(id, file);
                    }
                }
                Err(error) => {
                    self.tell(format!("{error:#}"));
                    self.followed.insert(id, file);
                }
            }
        }
        self.progress.files = self.followed.len();
        if let Err(error) = self.tidy() {
            self.tell(format!("{error:#}"));
        }
        moved
    }

    fn is_full(&self) -> bool {
        self.spool.stats().bytes >= self.options.most_waiting
    }

    fn look_for_files(&mut self) {
        let now = Instant::now();
        for number in 0..self.options.inputs.len() {
            let (Some(input), Some(next)) = (self.options.inputs.get(number), self.look.get_mut(number)) else { continue };
            if *next > now {
                continue;
            }
            *next = now + input.scan_frequency;
            for path in input.paths.iter().filter_map(|pattern| glob::glob(pattern).ok()).flatten().flatten() {
                if path.to_str().is_none() || input.exclude_files.iter().any(|out| out.is_match(path.as_os_str().as_encoded_bytes())) {
                    continue;
                }
                // Gone again, or not to be looked at: the next look will show.
                let Ok(Some((id, changed))) = Followed::look(&path) else { continue };
                if let Some(known) = self.followed.get_mut(&id) {
                    if known.path != path && Followed::look(&known.path).ok().flatten().is_none_or(|(at, _)| at != id) {
                        known.path = path;
                    }
                    continue;
                }
                let time = Timestamp::now().as_second();
                let mut new = Followed::new(id, &path, number, time);
                let is_old = !input.ignore_older.is_zero() && time.saturating_sub(changed) > input.ignore_older.as_secs() as i64;
                if (input.tail_files || is_old) && new.open().and_then(|()| new.skip_to_end()).is_err() {
                    continue;
                }
                // Known from now on, also by the next process: its first whole line may come under another name.
                if let Err(error) = self.journal.write(&new.place(self.spool.next_sequence())) {
                    self.trouble = format!("{error:#}");
                    continue;
                }
                tracing::debug!(path = %path.display(), from = new.offset, "a new file");
                self.followed.insert(id, new);
            }
        }
    }

    /// Lets a file give what is new.
    fn turn(&mut self, file: &mut Followed) -> Result<Turn, Error> {
        let Some(input) = self.options.inputs.get(file.input) else { return Ok(Turn { moved: false, keep: false }) };
        let (most, close, clean) = (input.max_bytes, input.close_inactive, input.clean_inactive);
        if file.idle().is_none() {
            match Followed::look(&file.path) {
                Ok(Some((id, _))) if id == file.id => {}
                // Read up to its end when it was closed, and now it has another name, or none.
                _ if !find_again(file) => return Ok(Turn { moved: false, keep: false }),
                _ => {}
            }
        }
        if let Err(error) = file.open() {
            if error.kind() != io::ErrorKind::NotFound {
                self.tell(format!("{}: {error}: it is tried again", file.path.display()));
            }
            return Ok(Turn { moved: false, keep: true });
        }
        let mut moved = false;
        for _ in 0..TURN {
            if self.is_full() || file.is_at_end() || !self.take(file, most, false)? {
                break;
            }
            moved = true;
        }
        if !moved && file.is_gone() {
            // The rest is as whole as it will ever be.
            self.take(file, most, true)?;
            return Ok(Turn { moved: false, keep: false });
        }
        if !moved && file.idle().is_some_and(|idle| idle > close) {
            file.close();
        }
        let keep = moved || clean.is_zero() || file.silent() <= clean.as_secs() as i64;
        Ok(Turn { moved, keep })
    }

    /// Puts the next lines of a file into the spool: first the entry that says so, then the lines, all or none.
    fn take(&mut self, file: &mut Followed, most: usize, last: bool) -> Result<bool, Error> {
        let lines = match file.read(most, last) {
            Ok(lines) => lines,
            Err(error) => {
                self.tell(format!("{}: {error}: it is tried again", file.path.display()));
                return Ok(false);
            }
        };
        if lines.to == file.offset {
            return Ok(false);
        }
        let at = Timestamp::now();
        let (mut events, left_out) = self.events(file, &lines, at, usize::MAX);
        if events.iter().map(|event| 4 + event.len()).sum::<usize>() > MAX_RECORD {
            tracing::warn!(path = %file.path.display(), bytes = SHORTENED, "lines that are too long for one record are shortened");
            (events, _) = self.events(file, &lines, at, SHORTENED);
        }
        if self.synced.elapsed() >= SYNC {
            self.journal.sync()?;
            self.synced = Instant::now();
        }
        let entry = file.entry(&lines, self.spool.next_sequence(), events.len() as u64, at.as_second());
        self.journal.write(&entry)?;
        self.spool.append_together(events.iter().map(Vec::as_slice))?;
        self.progress.lines += events.len() as u64;
        self.progress.left_out += left_out;
        file.advance(&lines, at.as_second());
        self.trouble.clear();
        Ok(true)
    }

    fn events(&self, file: &Followed, lines: &Lines, at: Timestamp, most: usize) -> (Vec<Vec<u8>>, u64) {
        let (Some(input), Some(envelope)) = (self.options.inputs.get(file.input), self.envelopes.get(file.input)) else {
            return (Vec::new(), 0);
        };
        let marked = input.marks.map(|marks| Envelope::marked(input, &self.options.name, &marks(&file.path)));
        let envelope = marked.as_ref().unwrap_or(envelope);
        let mut left_out = 0;
        let mut events = Vec::new();
        for (line, offset) in lines.iter() {
            if !input.takes(line) {
                left_out += 1;
                continue;
            }
            let mut event = Vec::with_capacity(line.len() + 512);
            match input.shape {
                Shape::Event => envelope.write(at, line.get(..most).unwrap_or(line), &file.path, offset, &mut event),
                Shape::Document => {
                    event.extend(line.iter().map(|byte| if *byte == b'\t' { b'\n' } else { *byte }));
                    event.push(b'\n');
                }
            }
            events.push(event);
        }
        (events, left_out)
    }

    /// What has to be done from time to time.
    fn tidy(&mut self) -> Result<(), Error> {
        self.spool.flush()?;
        let (followed, next) = (&self.followed, self.spool.next_sequence());
        if self.journal.is_long() {
            self.spool.sync()?;
            let known: Vec<_> = followed.values().map(|file| file.place(next)).collect();
            self.journal.compact(known.iter(), next)?;
        }
        Ok(())
    }

    fn save(&mut self) {
        let saved = self.spool.sync().map_err(Error::from).and_then(|()| self.journal.sync());
        if let Err(error) = saved {
            self.tell(format!("{error:#}"));
        }
    }

    fn tell(&mut self, trouble: String) {
        if self.trouble != trouble {
            tracing::warn!("{trouble}");
            self.trouble = trouble;
        }
    }
}

struct Turn {
    moved: bool,
    keep: bool,
}

fn matches(input: &Input, path: &Path) -> bool {
    input.paths.iter().any(|pattern| glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_path(path)))
}

/// Looks where a file has gone whose name is another's now: rotation leaves it in its folder, under a name that no
/// pattern may match. Whether it is where its path says.
fn find_again(file: &mut Followed) -> bool {
    let is_it = |path: &Path| Followed::look(path).ok().flatten().is_some_and(|(id, _)| id == file.id);
    if is_it(&file.path) {
        return true;
    }
    let siblings = file.path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let found: Option<PathBuf> = siblings.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).find(|path| is_it(path));
    let Some(found) = found else { return false };
    if found.to_str().is_none() {
        return false;
    }
    tracing::debug!(from = %file.path.display(), to = %found.display(), "the file was renamed");
    file.path = found;
    true
}
