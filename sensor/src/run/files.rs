//! The carver's thread: pieces of files to disk. It falls behind before anything else does, and then files are torn, not
//! packets lost.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use analyze::files::Chunk;
use rtrb::Consumer;

use super::file_budget::FileBudget;
use crate::carver::{Carver, Finished};
use crate::disk::Share;

/// How long the carver rests when there is nothing to do.
const REST: Duration = Duration::from_millis(5);

/// How often the free space is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Where files are kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder.
    pub folder: PathBuf,
    /// Where it is asked for room.
    pub share: Arc<Share>,
    /// Set while there is no room: new files are left out and counted.
    pub is_tight: Arc<AtomicBool>,
    /// Bytes that all files may take, oldest deleted first; 0: no bound but the floor.
    pub budget_bytes: u64,
}

/// What the carver has done, for others to read.
#[derive(Debug, Default)]
pub struct Carved {
    /// Files on disk.
    pub files: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Files left out: too many at once, or the disk refused them.
    pub dropped: AtomicU64,
}

/// Starts the carver; `finished` hears of every file that is complete on disk. It ends when all workers have.
///
/// # Errors
/// If the folder cannot be made.
pub fn start(
    options: Options,
    workers: Vec<Consumer<Vec<Chunk>>>,
    finished: impl FnMut(Finished) + Send + 'static,
) -> io::Result<(JoinHandle<()>, Arc<Carved>)> {
    let folder = options.folder.display();
    let explain = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot keep files in {folder}: {error}; change files.folder in tenrec.toml"))
    };
    let carver = Carver::create(&options.folder).map_err(explain)?;
    let budget = FileBudget::open(&options.folder, options.budget_bytes).map_err(explain)?;
    let carved = Arc::new(Carved::default());
    let shared = Arc::clone(&carved);
    let thread =
        thread::Builder::new().name("carver".to_owned()).spawn(move || run(carver, budget, &options, workers, finished, &shared))?;
    Ok((thread, carved))
}

fn run(
    mut carver: Carver,
    mut budget: FileBudget,
    options: &Options,
    mut workers: Vec<Consumer<Vec<Chunk>>>,
    mut finished: impl FnMut(Finished),
    carved: &Carved,
) {
    super::ordinary_priority();
    let (mut failing, mut left_out) = (false, 0);
    let (mut room, mut looked) = (true, None);
    loop {
        if looked.is_none_or(|looked: Instant| looked.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            room = !options.is_tight.load(Ordering::Relaxed);
            let wanted = options.share.wanted();
            if wanted > 0 {
                let (bytes, names) = budget.give_up(wanted);
                options.share.dropped(bytes, names);
                options.share.answer();
            }
            options.share.holds(budget.bytes(), budget.bytes());
        }
        let mut idle = true;
        // Asked first: what a worker left behind is then seen once more.
        let ended = workers.iter().all(Consumer::is_abandoned);
        for worker in &mut workers {
            let Ok(batch) = worker.pop() else { continue };
            idle = false;
            for chunk in batch {
                if !room && matches!(chunk, Chunk::Start(_)) {
                    left_out += 1;
                    continue;
                }
                match carver.take(chunk) {
                    Ok(Some(file)) => {
                        failing = false;
                        budget.add(&file);
                        finished(file);
                    }
                    Ok(None) => {}
                    Err(error) if failing => tracing::debug!(%error, "a file could not be kept"),
                    Err(error) => {
                        failing = true;
                        tracing::error!(%error, "files cannot be kept, they are dropped: free space, or change files.folder in tenrec.toml");
                    }
                }
            }
            let counters = carver.counters();
            carved.files.store(counters.files, Ordering::Relaxed);
            carved.bytes.store(counters.bytes, Ordering::Relaxed);
            carved.dropped.store(counters.dropped + left_out, Ordering::Relaxed);
        }
        if idle {
            if ended {
                break;
            }
            thread::park_timeout(REST);
        }
    }
}
