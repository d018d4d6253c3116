//! One file that is followed: how far it was read, and the whole lines after that.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::journal::{Entry, FileId};

/// Bytes before the place read up to by which a file is recognised: enough for a time stamp and a uid.
pub(crate) const TAIL: u64 = 256;

/// Bytes read at a time.
const CHUNK: usize = 128 << 10;

/// A file that was found, or that the journal knows.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) id: FileId,
    pub(crate) path: PathBuf,
    /// Which input it belongs to.
    pub(crate) input: usize,
    /// Bytes that became events or were left out.
    pub(crate) offset: u64,
    sum: u32,
    /// When it last gave a line, seconds since 1970.
    pub(crate) seen: i64,
    file: Option<File>,
    /// When it last gave a line since it was opened.
    active: Instant,
    /// How long it had been silent, in seconds, at the instant from which that is measured: a clock that is set, as on a
    /// machine that starts in 1970, ages no file.
    silent: (i64, Instant),
    /// Inside a line that is longer than is kept: the rest of it is left out.
    skipping: bool,
}

/// Whole lines of a file, in order.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Begin and end of each line in `bytes`, without the line break, and its offset in the file.
    spans: Vec<(usize, usize, u64)>,
    /// Where the file was read up to.
    pub(crate) to: u64,
    sum: u32,
    skipping: bool,
}

impl Lines {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.spans.iter().map(|(from, to, offset)| (self.bytes.get(*from..*to).unwrap_or_default(), *offset))
    }
}

impl Followed {
    /// A file as the journal left it; `now` in seconds since 1970.
    pub(crate) fn known(entry: &Entry, input: usize, now: i64) -> Self {
        let silent = (now.saturating_sub(entry.seen).max(0), Instant::now());
        Self { offset: entry.to, sum: entry.sum, skipping: entry.skipping, silent, ..Self::new(entry.file, &entry.path, input, entry.seen) }
    }

    /// A file that was never read.
    pub(crate) fn new(id: FileId, path: &Path, input: usize, now: i64) -> Self {
        let path = path.to_owned();
        Self {
            id,
            path,
            input,
            offset: 0,
            sum: 0,
            seen: now,
            file: None,
            active: Instant::now(),
            silent: (0, Instant::now()),
            skipping: false,
        }
    }

    /// The id of the file at `path`, and the seconds since 1970 at which it last changed; `None` for what is no regular file.
    pub(crate) fn look(path: &Path) -> io::Result<Option<(FileId, i64)>> {
        let found = std::fs::metadata(path)?;
        Ok(found.is_file().then(|| (FileId { device: found.dev(), inode: found.ino() }, found.mtime())))
    }

    /// Opens it, if it is not, and goes back to the begin if it is not the file that was read before.
    ///
    /// # Errors
    /// When it cannot be read, or another file is in its place.
    pub(crate) fn open(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let file = File::open(&self.path)?;
            let found = file.metadata()?;
            if (FileId { device: found.dev(), inode: found.ino() }) != self.id {
                return Err(io::ErrorKind::NotFound.into());
            }
            self.file = Some(file);
            self.active = Instant::now();
        }
        if !self.is_as_read()? {
            tracing::info!(path = %self.path.display(), offset = self.offset, "the file was emptied or written anew: read from its begin");
            (self.offset, self.sum, self.skipping) = (0, 0, false);
        }
        Ok(())
    }

    /// Whether nothing is to be had from it for now. Also true while it cannot be looked at.
    pub(crate) fn is_at_end(&self) -> bool {
        self.file.as_ref().is_none_or(|file| file.metadata().map_or(0, |found| found.len()) <= self.offset)
    }

    /// Whether no folder names it any more. It can be read as long as it is open.
    pub(crate) fn is_gone(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.metadata().is_ok_and(|found| found.nlink() == 0))
    }

    /// Whether it is open, and for how long it has given nothing.
    pub(crate) fn idle(&self) -> Option<std::time::Duration> {
        self.file.as_ref().map(|_| self.active.elapsed())
    }

    /// Seconds for which it has given nothing, also before it was opened.
    pub(crate) fn silent(&self) -> i64 {
        self.silent.0.saturating_add_unsigned(self.silent.1.elapsed().as_secs())
    }

    /// Closes it. It is opened again when there is more.
    pub(crate) fn close(&mut self) {
        self.file = None;
    }

    /// The next whole lines, of which each has at most `most` bytes kept; `last`: also what stands at the end without a line break.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read(&self, most: usize, last: bool) -> io::Result<Lines> {
        let mut lines = Lines { to: self.offset, sum: self.sum, skipping: self.skipping, ..Lines::default() };
        let Some(file) = &self.file else { return Ok(lines) };
        // A line that is longer than a chunk is read until its end, or until no more of it is kept.
        let mut begin = 0;
        loop {
            let had = lines.bytes.len();
            lines.bytes.resize(had + CHUNK, 0);
            let read = read_up_to(file, lines.bytes.get_mut(had..).unwrap_or_default(), self.offset + had as u64)?;
            lines.bytes.truncate(had + read);
            let mut from = had;
            while let Some(length) = lines.bytes.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
                lines.end_line(self.offset, begin, from + length, most);
                begin = from + length + 1;
                from = begin;
                lines.to = self.offset + begin as u64;
            }
            if begin > 0 || read < CHUNK {
                break;
            }
            if lines.bytes.len() > most {
                lines.end_line(self.offset, begin, lines.bytes.len(), most);
                lines.skipping = true;
                lines.to = self.offset + lines.bytes.len() as u64;
                begin = lines.bytes.len();
                break;
            }
        }
        if last && begin < lines.bytes.len() {
            let end = lines.bytes.len();
            lines.end_line(self.offset, begin, end, most);
            lines.to = self.offset + end as u64;
        }
        lines.sum = self.sum_before(file, lines.to)?;
        Ok(lines)
    }

    /// The entry that says that these lines are read, from sequence number `at` of the spool on.
    pub(crate) fn entry(&self, lines: &Lines, at: u64, events: u64, now: i64) -> Entry {
        let seen = if lines.to > self.offset { now } else { self.seen };
        let (sum, skipping) = (lines.sum, lines.skipping);
        Entry { lines: events, from: self.offset, to: lines.to, sum, seen, skipping, ..self.place(at) }
    }

    /// The entry that says how far it was read.
    pub(crate) fn place(&self, at: u64) -> Entry {
        Entry {
            at,
            lines: 0,
            file: self.id,
            path: self.path.clone(),
            from: self.offset,
            to: self.offset,
            sum: self.sum,
            seen: self.seen,
            skipping: self.skipping,
        }
    }

    /// Moves on behind lines that the spool has taken.
    pub(crate) fn advance(&mut self, lines: &Lines, now: i64) {
        if lines.to > self.offset {
            (self.seen, self.active, self.silent) = (now, Instant::now(), (0, Instant::now()));
        }
        (self.offset, self.sum, self.skipping) = (lines.to, lines.sum, lines.skipping);
    }

    /// Goes to the end: what stands there already is not wanted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn skip_to_end(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            let end = file.metadata()?.len();
            (self.offset, self.sum) = (end, self.sum_before(file, end)?);
        }
        Ok(())
    }

    fn is_as_read(&self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(true) };
        Ok(file.metadata()?.len() >= self.offset && self.sum_before(file, self.offset)? == self.sum)
    }

    fn sum_before(&self, file: &File, end: u64) -> io::Result<u32> {
        let length = end.min(TAIL);
        let mut bytes = vec![0; length as usize];
        let read = read_up_to(file, &mut bytes, end - length)?;
        Ok(crc32c::crc32c(bytes.get(..read).unwrap_or_default()))
    }
}

impl Lines {
    fn end_line(&mut self, offset: u64, from: usize, to: usize, most: usize) {
        if std::mem::take(&mut self.skipping) {
            return;
        }
        let line = self.bytes.get(from..to).unwrap_or_default();
        let length = line.strip_suffix(b"\r").unwrap_or(line).len().min(most);
        self.spans.push((from, from + length, offset + from as u64));
    }
}

fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_the_journal_and_a_clock_that_was_set_back_adds_none() {
        let file = FileId { device: 1, inode: 2 };
        let entry = Entry { at: 0, lines: 0, file, path: "x".into(), from: 0, to: 0, sum: 0, seen: 1_000, skipping: false };
        assert_eq!(Followed::known(&entry, 0, 1_300).silent(), 300);
        assert_eq!(Followed::known(&entry, 0, 10).silent(), 0);
        assert_eq!(Followed::new(file, Path::new("x"), 0, 10).silent(), 0);
    }
}
