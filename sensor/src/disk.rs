//! One budget for everything that is kept on the disk, and who gives way when it is used up.
//!
//! ```text
//! 1  carving stops           nothing new is carved until there is room
//! 2  captures                the oldest file; they are a ring and take whatever the others leave
//! 3  carved files            the oldest
//! 4  log files set aside     the oldest; before them the logs of captures that were analysed whole
//! 5  waiting records         the oldest that no collector has taken
//! ```
//! Each part keeps its own files and is the only one that deletes them. Here it is looked at once a second how much they hold
//! together and how full the file systems are, and each part is asked for what it has to give up. What is given up is told, so
//! that it becomes a record.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Bytes that are freed beyond what is needed, so that not every second a file is deleted.
const MARGIN: u64 = 8 << 20;

/// What one part holds, and what it is asked to give up.
#[derive(Debug, Default)]
pub struct Share {
    held: AtomicU64,
    spare: AtomicU64,
    wanted: AtomicU64,
    given_bytes: AtomicU64,
    given: AtomicU64,
    most: AtomicU64,
}

impl Share {
    /// Says what the part holds, and how much of that it could delete: bytes.
    pub fn holds(&self, held: u64, spare: u64) {
        self.held.store(held, Ordering::Relaxed);
        self.spare.store(spare, Ordering::Relaxed);
    }

    /// Bytes that the part is asked to delete now. To be asked often; it costs nothing while there is nothing to do.
    pub fn wanted(&self) -> u64 {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Answers [`Share::wanted`]: what could be deleted is deleted.
    pub fn answer(&self) {
        self.wanted.store(0, Ordering::Relaxed);
    }

    /// Counts what was deleted for want of room, whoever asked for it: bytes, and files or records.
    pub fn dropped(&self, bytes: u64, things: u64) {
        self.given_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.given.fetch_add(things, Ordering::Relaxed);
    }

    /// Bytes that the part may hold so that all together stay within the budget; 0: no bound.
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}

/// The parts, in the order in which they give way.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    /// Captures.
    pub captures: Arc<Share>,
    /// Carved files.
    pub files: Arc<Share>,
    /// Logs of captures that were analysed whole.
    pub results: Arc<Share>,
    /// Log files.
    pub logs: Arc<Share>,
    /// Records that wait for a collector.
    pub spool: Arc<Share>,
    /// Set while nothing new is to be carved.
    pub is_tight: Arc<AtomicBool>,
}

/// One of the parts and where it keeps what it has.
#[derive(Debug)]
struct Part {
    what: Given,
    share: Arc<Share>,
    folder: PathBuf,
    /// Bytes that stay free on its file system.
    floor: u64,
}

/// What was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Capture files.
    Captures,
    /// Carved files.
    Files,
    /// Logs of captures that were analysed whole.
    Results,
    /// Log files.
    Logs,
    /// Records that no collector had taken.
    Records,
}

impl Given {
    /// What is counted.
    #[must_use]
    pub const fn things(self) -> &'static str {
        match self {
            Self::Captures => "capture files",
            Self::Files => "carved files",
            Self::Results => "logs of captures",
            Self::Logs => "log files",
            Self::Records => "records that no collector had taken",
        }
    }
}

/// Something that was given up for want of room, or that carving stopped or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sacrifice {
    /// Nothing new is carved.
    CarvingStopped,
    /// Files are carved again.
    CarvingResumed,
    /// Things of one kind were deleted.
    Deleted {
        /// What.
        what: Given,
        /// How many.
        things: u64,
        /// Their bytes.
        bytes: u64,
    },
}

/// Looks after the room on the disk.
#[derive(Debug)]
pub struct Disk {
    budget: u64,
    parts: Vec<Part>,
    is_tight: Arc<AtomicBool>,
}

/// Where the parts keep what they have.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Captures.
    pub captures: PathBuf,
    /// Carved files.
    pub files: PathBuf,
    /// Log files.
    pub logs: PathBuf,
    /// Waiting records.
    pub spool: PathBuf,
}

impl Disk {
    /// Keeps everything within `budget` bytes (0: no bound), with `floor` bytes free on every file system that is used.
    #[must_use]
    pub fn new(budget: u64, floor: u64, folders: &Folders, shares: &Shares) -> Self {
        let part = |what, share: &Arc<Share>, folder: &Path| Part {
            what,
            share: Arc::clone(share),
            folder: folder.to_owned(),
            floor: self::floor(folder, floor),
        };
        let parts = vec![
            part(Given::Captures, &shares.captures, &folders.captures),
            part(Given::Files, &shares.files, &folders.files),
            part(Given::Results, &shares.results, &folders.logs),
            part(Given::Logs, &shares.logs, &folders.logs),
            part(Given::Records, &shares.spool, &folders.spool),
        ];
        Self { budget, parts, is_tight: Arc::clone(&shares.is_tight) }
    }

    /// One look at everything; what has been given up since the last one. To be called about once a second.
    pub fn look(&mut self) -> Vec<Sacrifice> {
        let free: Vec<_> = self.parts.iter().map(|part| free(&part.folder)).collect();
        self.weigh(&free)
    }

    /// `free`: for each part its file system, by number, and the bytes that are free there.
    fn weigh(&mut self, free: &[Option<(u64, u64)>]) -> Vec<Sacrifice> {
        let mut told: Vec<_> = self.parts.iter().filter_map(Part::given).collect();
        let held: u64 = self.parts.iter().map(|part| part.share.held.load(Ordering::Relaxed)).sum();
        self.bound_captures(held);
        let over = if self.budget > 0 { held.saturating_sub(self.budget) } else { 0 };
        let mut systems: Vec<(u64, u64)> = free.iter().flatten().copied().collect();
        systems.sort_unstable();
        systems.dedup_by_key(|(system, _)| *system);
        let mut tight = self.ask(over, |_| true);
        for (system, free_there) in systems {
            let is_there = |at: usize| free.get(at).copied().flatten().is_some_and(|(at, _)| at == system);
            let floor = self.parts.iter().enumerate().filter(|(at, _)| is_there(*at)).map(|(_, part)| part.floor).max().unwrap_or(0);
            tight |= self.ask(floor.saturating_sub(free_there), is_there);
        }
        if tight != self.is_tight.swap(tight, Ordering::Relaxed) {
            told.push(if tight { Sacrifice::CarvingStopped } else { Sacrifice::CarvingResumed });
        }
        told
    }

    /// Captures may take what the others leave.
    fn bound_captures(&self, held: u64) {
        let Some(captures) = self.parts.first().filter(|_| self.budget > 0) else { return };
        let others = held.saturating_sub(captures.share.held.load(Ordering::Relaxed));
        // Never 0, which would be no bound.
        captures.share.most.store(self.budget.saturating_sub(others).max(1), Ordering::Relaxed);
    }

    /// Asks the parts in their order for so many bytes. Whether there was anything to ask for.
    fn ask(&self, need: u64, concerns: impl Fn(usize) -> bool) -> bool {
        if need == 0 {
            return false;
        }
        let mut rest = need.saturating_add(MARGIN);
        for (_, part) in self.parts.iter().enumerate().filter(|(at, _)| concerns(*at)) {
            let asked = rest.min(part.share.spare.load(Ordering::Relaxed));
            if asked > 0 {
                part.share.wanted.fetch_max(asked, Ordering::Relaxed);
                rest -= asked;
            }
            if rest == 0 {
                break;
            }
        }
        true
    }
}

impl Part {
    fn given(&self) -> Option<Sacrifice> {
        let bytes = self.share.given_bytes.swap(0, Ordering::Relaxed);
        let things = self.share.given.swap(0, Ordering::Relaxed);
        (things > 0).then_some(Sacrifice::Deleted { what: self.what, things, bytes })
    }
}

/// Bytes that stay free on the file system of `folder`: `wanted`, and no more than an eighth of it, since what is little for a
/// disk would leave no room at all on a small one, or in memory.
#[must_use]
pub fn floor(folder: &Path, wanted: u64) -> u64 {
    size(folder).map_or(wanted, |size| wanted.min(size / 8))
}

/// Bytes after which a new file is begun in `folder`: `wanted`, and no more than a sixteenth of its file system, so that there are
/// always older files that can give way.
#[must_use]
pub fn rotation(folder: &Path, wanted: u64) -> u64 {
    size(folder).map_or(wanted, |size| wanted.min(size / 16))
}

/// Size of the file system that a folder is on, or will be once it is made.
fn size(folder: &Path) -> Option<u64> {
    let state = folder.ancestors().find_map(|there| rustix::fs::statvfs(there).ok())?;
    Some(state.f_blocks.saturating_mul(state.f_frsize))
}

/// The number of a folder's file system, and the bytes that are free there; nothing if it does not say.
fn free(folder: &Path) -> Option<(u64, u64)> {
    let state = rustix::fs::statvfs(folder).ok()?;
    let device = rustix::fs::stat(folder).ok()?.st_dev;
    Some((device, state.f_bavail.saturating_mul(state.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn disk(budget: u64, floor: u64) -> (Disk, Shares) {
        let shares = Shares::default();
        let folders = Folders { captures: "/a".into(), files: "/b".into(), logs: "/c".into(), spool: "/d".into() };
        (Disk::new(budget, floor, &folders, &shares), shares)
    }

    fn wanted(shares: &Shares) -> [u64; 4] {
        [&shares.captures, &shares.files, &shares.logs, &shares.spool].map(|share| share.wanted() / MB)
    }

    #[test]
    fn the_parts_give_way_in_their_order() {
        let (mut disk, shares) = disk(0, 1000 * MB);
        shares.captures.holds(50 * MB, 40 * MB);
        shares.files.holds(30 * MB, 30 * MB);
        shares.logs.holds(30 * MB, 20 * MB);
        shares.spool.holds(900 * MB, 900 * MB);
        let told = disk.weigh(&[Some((1, 900 * MB)); 5]);
        assert_eq!(told, [Sacrifice::CarvingStopped]);
        assert_eq!(wanted(&shares), [40, 30, 20, 18]);
    }

    #[test]
    fn only_who_is_on_the_full_file_system_gives_way() {
        let (mut disk, shares) = disk(0, 100 * MB);
        shares.captures.holds(50 * MB, 50 * MB);
        shares.spool.holds(50 * MB, 50 * MB);
        disk.weigh(&[Some((1, 500 * MB)), Some((1, 500 * MB)), Some((2, 90 * MB)), Some((2, 90 * MB)), Some((2, 90 * MB))]);
        assert_eq!(wanted(&shares), [0, 0, 0, 18]);
    }

    #[test]
    fn captures_may_take_what_the_others_leave_of_the_budget() {
        let (mut disk, shares) = disk(100 * MB, 0);
        shares.captures.holds(50 * MB, 40 * MB);
        shares.logs.holds(30 * MB, 20 * MB);
        assert!(disk.weigh(&[Some((1, 0)); 5]).is_empty());
        assert_eq!(shares.captures.most(), 70 * MB);
        shares.logs.holds(60 * MB, 20 * MB);
        disk.weigh(&[Some((1, 0)); 5]);
        assert_eq!((shares.captures.most(), wanted(&shares)), (40 * MB, [18, 0, 0, 0]));
    }

    #[test]
    fn floor_and_rotation_fit_the_file_system() {
        let here = tempfile::tempdir().unwrap();
        let size = size(&here.path().join("not/yet/made")).unwrap();
        assert_eq!((floor(here.path(), u64::MAX), rotation(here.path(), u64::MAX)), (size / 8, size / 16));
        assert_eq!((floor(here.path(), 1), rotation(here.path(), 1)), (1, 1));
    }

    #[test]
    fn what_was_given_up_is_told_once_and_carving_goes_on_when_there_is_room() {
        let (mut disk, shares) = disk(0, 100 * MB);
        shares.captures.holds(50 * MB, 50 * MB);
        disk.weigh(&[Some((1, 95 * MB)); 5]);
        assert!(shares.is_tight.load(Ordering::Relaxed));
        shares.captures.dropped(20 * MB, 2);
        shares.captures.answer();
        let told = disk.weigh(&[Some((1, 115 * MB)); 5]);
        assert_eq!(told, [Sacrifice::Deleted { what: Given::Captures, things: 2, bytes: 20 * MB }, Sacrifice::CarvingResumed]);
        assert_eq!((disk.weigh(&[Some((1, 115 * MB)); 5]), wanted(&shares)), (Vec::new(), [0; 4]));
    }
}
