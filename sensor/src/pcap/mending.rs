//! Mends the indices of files that an earlier run left: a crash cuts them off, an older version wrote none.
//!
//! In a thread of its own, behind everything else: until it has come to a file, questions to that file are answered by
//! reading it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crossbeam_channel::{Receiver, Sender};
use packets::{
    Name,
    capture::Capture,
    index::{SUFFIX, path_of},
    mend::mend,
};

use super::budget::Budget;

/// Niceness of the thread: the last to get a core.
const NICENESS: i32 = 19;
/// Files of which it may be told at once. The writer asks all the time.
const TOLD: usize = 64;

/// The thread, as the writer sees it. Dropped, the thread ends after the file at hand.
pub(super) struct Mending {
    grown: Receiver<(PathBuf, u64)>,
    stop: Arc<AtomicBool>,
}

/// Starts to mend what the budget counts; nothing if there is nothing.
pub(super) fn start(budget: &Budget) -> Option<Mending> {
    let captures: Vec<_> = budget.list().filter_map(|(path, _)| Capture::at(path)).collect();
    if captures.is_empty() {
        return None;
    }
    let (sender, grown) = crossbeam_channel::bounded(TOLD);
    let stop = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&stop);
    let thread = thread::Builder::new().name("pcap-index".to_owned());
    if let Err(error) = thread.spawn(move || mend_all(&captures, &sender, &ended)) {
        tracing::warn!(%error, "indices of earlier captures are not looked at: those without one are read in full");
        return None;
    }
    Some(Mending { grown, stop })
}

/// Deletes indices whose captures are gone: a crash between the two leaves one behind.
pub(super) fn remove_orphans(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let capture = path.to_str().and_then(|path| path.strip_suffix(SUFFIX)).map(Path::new);
        if capture.is_some_and(|capture| Name::of(capture).is_some() && !capture.exists()) {
            tracing::debug!(file = %path.display(), "index without its capture deleted");
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

impl Mending {
    /// By how much which file's index has grown.
    pub(super) fn grown(&self) -> impl Iterator<Item = (PathBuf, u64)> {
        self.grown.try_iter()
    }
}

impl Drop for Mending {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn mend_all(captures: &[Capture], sender: &Sender<(PathBuf, u64)>, stop: &AtomicBool) {
    let _ = rustix::process::setpriority_process(None, NICENESS);
    let mut mended = 0;
    // The newest are asked for first.
    for capture in captures.iter().rev() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        match mend(capture) {
            Ok(None) => {}
            Ok(Some(done)) => {
                mended += 1;
                tracing::debug!(file = %capture.path.display(), blocks = done.blocks, "index mended");
                if !remains(&capture.path) {
                    continue;
                }
                if sender.send((capture.path.clone(), done.after.saturating_sub(done.before))).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(file = %capture.path.display(), %error, "the index of a capture cannot be mended: packets are found by reading the file");
            }
        }
    }
    if mended > 0 {
        tracing::info!(files = mended, "indices of captures of an earlier run were mended");
    }
}

/// Whether a file is still there. If it was deleted in the meantime, its index goes, too.
fn remains(capture: &Path) -> bool {
    let remains = capture.exists();
    if !remains {
        let _ = fs::remove_file(path_of(capture));
    }
    remains
}
