//! The carver's thread: pieces of files to disk. It falls behind before anything else does, and then files are torn, not
//! packets lost.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use analyze::files::Chunk;
use rtrb::Consumer;

use crate::carver::{Carver, Finished};

/// How long the carver rests when there is nothing to do.
const REST: Duration = Duration::from_millis(5);

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
    folder: PathBuf,
    workers: Vec<Consumer<Vec<Chunk>>>,
    finished: impl FnMut(Finished) + Send + 'static,
) -> io::Result<(JoinHandle<()>, Arc<Carved>)> {
    let carver = Carver::create(&folder)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot keep files in {}: {error}", folder.display())))?;
    let carved = Arc::new(Carved::default());
    let shared = Arc::clone(&carved);
    let thread = thread::Builder::new().name("carver".to_owned()).spawn(move || run(carver, workers, finished, &shared))?;
    Ok((thread, carved))
}

fn run(mut carver: Carver, mut workers: Vec<Consumer<Vec<Chunk>>>, mut finished: impl FnMut(Finished), carved: &Carved) {
    let mut failing = false;
    loop {
        let mut idle = true;
        // Asked first: what a worker left behind is then seen once more.
        let ended = workers.iter().all(Consumer::is_abandoned);
        for worker in &mut workers {
            let Ok(batch) = worker.pop() else { continue };
            idle = false;
            for chunk in batch {
                match carver.take(chunk) {
                    Ok(Some(file)) => finished(file),
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
            carved.dropped.store(counters.dropped, Ordering::Relaxed);
        }
        if idle {
            if ended {
                break;
            }
            thread::park_timeout(REST);
        }
    }
}
