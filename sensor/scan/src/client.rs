//! The daemon's side: a bounded queue in front of the scanner, and a verdict for every file that was taken into it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use tracing::{error, info, warn};

use crate::protocol::{Answer, Lines, Outcome, Request, Verdict, send};

/// Longest wait for a worker that loads its rules: the largest public collections take half a minute.
const READY: Duration = Duration::from_secs(120);

/// What is added to the time for one file before the scanner is given up: it knows its own limit.
const GRACE: Duration = Duration::from_secs(15);

/// Time between two attempts to reach a scanner's socket.
const RETRY: Duration = Duration::from_millis(200);

/// The way to a scanner.
#[derive(Debug)]
pub enum Link {
    /// A keeper that the daemon has started itself.
    Child(UnixStream, Child),
    /// The socket of a scanner that runs as a unit of its own.
    Socket(PathBuf),
}

impl Link {
    /// Starts `command` (`tenrec scan …` with [`crate::Arguments::of`]) as a child. To be called before the daemon gives up
    /// the right to start programs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn child(mut command: Command) -> io::Result<Self> {
        let (here, there) = UnixStream::pair()?;
        let child = command.stdin(OwnedFd::from(there)).spawn()?;
        // `command` still holds the child's end: it goes here, so that the child's death is seen.
        drop(command);
        Ok(Self::Child(here, child))
    }

    /// The scanner that listens on `path`. It may come and go.
    #[must_use]
    pub fn socket(path: impl Into<PathBuf>) -> Self {
        Self::Socket(path.into())
    }
}

/// What the scanner has done.
#[derive(Debug, Default)]
pub struct Counters {
    /// Files with a verdict other than `failed`.
    pub scanned: AtomicU64,
    /// Of those, files that matched.
    pub matched: AtomicU64,
    /// Files whose scan failed.
    pub failed: AtomicU64,
    /// Files not taken, since the queue was full.
    pub dropped: AtomicU64,
    /// Workers that died.
    pub deaths: AtomicU64,
    /// Rules loaded by the present worker.
    pub rules: AtomicU64,
    broken: Mutex<Vec<String>>,
}

impl Counters {
    /// Rule files that the present worker left out: `file:line: why`.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Job<T> {
    path: PathBuf,
    subject: T,
}

/// A queue of files with a scanner at its end. `T` is what the caller wants back with the verdict.
pub struct Scanner<T> {
    queue: Option<SyncSender<Job<T>>>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Scanner<T> {
    /// Starts the thread that talks to the scanner. `timeout` is that of the scanner for one file; `on_verdict` is called from
    /// the thread for every file that [`Scanner::submit`] took, in order.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(link: Link, queue: usize, timeout: Duration, mut on_verdict: impl FnMut(T, Verdict) + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let counters = Arc::new(Counters::default());
        let mut desk = Desk { link, open: None, lines: Lines::default(), next: 0, timeout, counters: Arc::clone(&counters) };
        let thread = thread::Builder::new().name("scan".to_owned()).spawn(move || desk.serve(&receiver, &mut on_verdict))?;
        Ok(Self { queue: Some(sender), counters, thread: Some(thread) })
    }

    /// Has the file at `path` scanned. `false`, and counted, when the queue is full: the file stays unscanned.
    pub fn submit(&self, path: impl Into<PathBuf>, subject: T) -> bool {
        let taken = self.queue.as_ref().is_some_and(|queue| queue.try_send(Job { path: path.into(), subject }).is_ok());
        if !taken {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// The counters, for the status page.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Waits until every file taken has its verdict, and lets the scanner go.
    pub fn finish(mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's state.
struct Desk {
    link: Link,
    open: Option<UnixStream>,
    lines: Lines,
    next: u64,
    timeout: Duration,
    counters: Arc<Counters>,
}

impl Desk {
    fn serve<T>(&mut self, queue: &Receiver<Job<T>>, on_verdict: &mut impl FnMut(T, Verdict)) {
        // Before the first file, so that broken rules are told when the daemon starts.
        let mut trouble = self.connect().err();
        for job in queue {
            if self.open.is_none() {
                trouble = self.connect().err();
            }
            let verdict = match &trouble {
                Some(why) => Verdict::failed(why.clone()),
                None => self.scan(&job.path).unwrap_or_else(Verdict::failed),
            };
            let counter = if verdict.outcome == Outcome::Failed { &self.counters.failed } else { &self.counters.scanned };
            counter.fetch_add(1, Ordering::Relaxed);
            if verdict.outcome == Outcome::Matched {
                self.counters.matched.fetch_add(1, Ordering::Relaxed);
            }
            on_verdict(job.subject, verdict);
        }
        if let Link::Child(socket, child) = &mut self.link {
            let _ = socket.shutdown(std::net::Shutdown::Both);
            let _ = child.wait();
        }
    }

    /// Reaches the scanner and waits until it is ready.
    fn connect(&mut self) -> Result<(), String> {
        let socket = match &self.link {
            Link::Child(socket, _) => socket.try_clone().map_err(|error| error.to_string())?,
            Link::Socket(path) => {
                let give_up = Instant::now() + self.timeout;
                loop {
                    match UnixStream::connect(path) {
                        Ok(socket) => break socket,
                        Err(_) if Instant::now() < give_up => thread::sleep(RETRY),
                        Err(error) => {
                            return Err(format!(
                                "the scanner does not listen on {} ({error}): see `systemctl status tenrec-scan`",
                                path.display()
                            ));
                        }
                    }
                }
            }
        };
        self.lines = Lines::default();
        self.open = Some(socket);
        self.until_ready()
    }

    fn until_ready(&mut self) -> Result<(), String> {
        let give_up = Instant::now() + READY;
        loop {
            match self.hear(give_up.saturating_duration_since(Instant::now()))? {
                Answer::Ready { rules, broken } => {
                    info!(rules, broken = broken.len(), "scanner ready");
                    for broken in &broken {
                        warn!(broken, "YARA rules left out: correct the file, or remove it");
                    }
                    self.counters.rules.store(rules as u64, Ordering::Relaxed);
                    *self.counters.broken.lock().unwrap_or_else(PoisonError::into_inner) = broken;
                    return Ok(());
                }
                Answer::Died(how) => {
                    self.counters.deaths.fetch_add(1, Ordering::Relaxed);
                    error!(how, "the scanner died while it started");
                }
                Answer::Verdict { .. } => {}
            }
        }
    }

    fn scan(&mut self, path: &std::path::Path) -> Result<Verdict, String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| format!("cannot open {}: {errno}", path.display()))?;
        self.next += 1;
        let id = self.next;
        let request = Request { id, name: path.file_name().unwrap_or_default().to_string_lossy().into_owned() };
        let Some(socket) = &self.open else { return Err("the scanner is gone".to_owned()) };
        if let Err(error) = send(socket, &request, Some(file.as_fd())) {
            self.open = None;
            return Err(format!("the scanner is gone ({error})"));
        }
        loop {
            match self.hear(self.timeout * 2 + GRACE)? {
                Answer::Verdict { id: answered, verdict } if answered == id => return Ok(verdict),
                // Of a file that was given up.
                Answer::Verdict { .. } | Answer::Ready { .. } => {}
                Answer::Died(how) => {
                    self.counters.deaths.fetch_add(1, Ordering::Relaxed);
                    error!(file = request.name, how, "the scanner died of a file");
                    // A worker that cannot start again is found out with the next file.
                    if let Err(why) = self.until_ready() {
                        error!(why, "the scanner does not come back");
                    }
                    return Err(format!("the scanner failed on this file: {how}"));
                }
            }
        }
    }

    /// The next thing that the scanner says.
    fn hear(&mut self, patience: Duration) -> Result<Answer, String> {
        let Some(socket) = &self.open else { return Err("the scanner is gone".to_owned()) };
        let heard = socket.set_read_timeout(Some(patience.max(Duration::from_millis(1)))).and_then(|()| self.lines.next::<Answer>(socket));
        match heard {
            Ok(Some((answer, _))) => Ok(answer),
            Ok(None) => {
                self.open = None;
                Err("the scanner is gone".to_owned())
            }
            Err(error) => {
                self.open = None;
                Err(format!("the scanner does not answer ({error})"))
            }
        }
    }
}
