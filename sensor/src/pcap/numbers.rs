//! Numbers of files, none of which is ever given twice.
//!
//! Sessions point at files by their number, and go to the collector before the file is on disk, so a number counts as used
//! once it was given. What may be given is written down ahead: after a crash numbers are left out, none is used again.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use packets::Name;

/// Where it is written down what was given at most.
const FILE: &str = "numbers-used";
/// Numbers that are taken at once.
const AHEAD: u32 = 4096;
/// How far numbers jump when it cannot be read what was given: beyond what a sensor gives in years.
const JUMP: u32 = 10_000_000;

/// The numbers of one folder. Shared by the feeds, which take them, and the writer, which sees to it that there are some.
#[derive(Debug)]
pub(super) struct Numbers {
    /// The next one.
    next: AtomicU32,
    /// The first that must not be given yet.
    end: AtomicU32,
    folder: PathBuf,
}

impl Numbers {
    /// Goes on after the highest number that was given, or that a file in the folder bears. None is given before
    /// [`Numbers::tend`] has written it down.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let explain = |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let path = folder.join(FILE);
        let used: u32 = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().unwrap_or_else(|_| {
                tracing::warn!(file = %path.display(), "damaged: new captures are numbered far from the earlier ones");
                JUMP
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(explain(&path, error)),
        };
        let mut highest = 0;
        for entry in fs::read_dir(folder).map_err(|error| explain(folder, error))? {
            highest = highest.max(Name::of(&entry?.path()).map_or(0, |name| name.number));
        }
        let next = if used == JUMP { highest.saturating_add(JUMP) } else { highest.max(used).saturating_add(1) };
        Ok(Self { next: AtomicU32::new(next), end: AtomicU32::new(0), folder: folder.to_owned() })
    }

    /// A number that nobody else has; nothing if none could be written down ahead.
    pub(super) fn next(&self) -> Option<u32> {
        let within = |next: u32| (next < self.end.load(Ordering::Acquire)).then(|| next + 1);
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).ok()
    }

    /// Sees to it that there are numbers for a while.
    pub(super) fn tend(&self) -> io::Result<()> {
        let left = self.end.load(Ordering::Relaxed).saturating_sub(self.next.load(Ordering::Relaxed));
        if left < AHEAD / 2 { self.take_more() } else { Ok(()) }
    }

    /// Gives back what was not needed. No number is given afterwards.
    pub(super) fn close(&self) -> io::Result<()> {
        self.end.store(0, Ordering::Release);
        self.write_down(self.next.load(Ordering::Relaxed).saturating_sub(1))
    }

    fn take_more(&self) -> io::Result<()> {
        let end = self.next.load(Ordering::Relaxed).saturating_add(AHEAD);
        self.write_down(end - 1)?;
        self.end.store(end, Ordering::Release);
        Ok(())
    }

    /// In a new file that takes the place of the old one: there is a number at any instant.
    fn write_down(&self, used: u32) -> io::Result<()> {
        let (path, new) = (self.folder.join(FILE), self.folder.join(format!("{FILE}.new")));
        let mut file = File::create(&new)?;
        writeln!(file, "{used}")?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> Numbers {
        let numbers = Numbers::open(folder).unwrap();
        numbers.tend().unwrap();
        numbers
    }

    #[test]
    fn numbers_go_on_after_a_good_end_and_leave_a_gap_after_a_bad_one() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path());
        assert_eq!((first.next(), first.next()), (Some(1), Some(2)));
        first.close().unwrap();
        assert_eq!(first.next(), None);
        let killed = open(folder.path());
        assert_eq!(killed.next(), Some(3));
        drop(killed);
        assert_eq!(open(folder.path()).next(), Some(3 + AHEAD));
    }

    #[test]
    fn a_file_that_bears_a_higher_number_counts_as_well() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tenrec-eth1-20231114T221320.000001Z-00009000.pcap"), "").unwrap();
        assert_eq!(open(folder.path()).next(), Some(9001));
    }

    #[test]
    fn numbers_that_were_not_written_down_are_not_given() {
        let folder = tempfile::tempdir().unwrap();
        let numbers = Numbers::open(folder.path()).unwrap();
        assert_eq!(numbers.next(), None);
        numbers.tend().unwrap();
        let given = std::iter::from_fn(|| numbers.next()).count();
        assert_eq!(given as u32, AHEAD);
        numbers.tend().unwrap();
        assert_eq!(numbers.next(), Some(AHEAD + 1));
    }

    #[test]
    fn what_cannot_be_read_costs_numbers_and_no_capture() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tenrec-eth1-20231114T221320.000001Z-00000500.pcap"), "").unwrap();
        fs::write(folder.path().join(FILE), "\0\0\0").unwrap();
        assert_eq!(open(folder.path()).next(), Some(500 + JUMP));
    }
}
