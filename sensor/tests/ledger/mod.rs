//! What a daemon owes its collector, and what has come there: the books of the tests that make both fail.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use crate::{
    daemon::{TENREC, exchange},
    wire::Wire,
};

/// Rounds that a test is to run: `TENREC_ROUNDS`, or the few with which `make test` stays short.
pub(crate) fn rounds(few: u32) -> u32 {
    std::env::var("TENREC_ROUNDS").map_or(few, |text| text.parse().expect("TENREC_ROUNDS is a number"))
}

/// Numbers that nobody chose, but which can be had again by the seed that is printed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        let seed = std::env::var("TENREC_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
        println!("TENREC_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// `tenrec collector` over TLS on ports that stay the same over its deaths, with everything in a folder of its own.
pub(crate) struct Collector {
    folder: PathBuf,
    ports: [u16; 2],
    child: Child,
}

impl Collector {
    pub(crate) fn start(folder: &Path) -> Self {
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = ports.map(|listener| listener.local_addr().unwrap().port());
        Self { folder: folder.to_owned(), ports, child: spawn(folder, ports) }
    }

    /// What has to stand in the settings so that a daemon delivers here.
    pub(crate) fn settings(&self) -> String {
        let ([logs, sessions], at) = (self.ports, self.folder.display());
        format!(
            "spool.folder = '{at}/spool'\n\
             forward = {{ enabled = true, hosts = ['127.0.0.1:{logs}'], ca = '{at}/certs/ca.crt', window = {WINDOW} }}\n\
             opensearch = {{ enabled = true, hosts = ['https://127.0.0.1:{sessions}'], ca = '{at}/certs/ca.crt' }}\n"
        )
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.folder, self.ports);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Records in a window of Lumberjack.
pub(crate) const WINDOW: usize = 200;

fn spawn(folder: &Path, [logs, sessions]: [u16; 2]) -> Child {
    let mut child = Command::new(TENREC)
        .args(["collector", "--listen", &format!("127.0.0.1:{logs}"), "--opensearch-listen", &format!("127.0.0.1:{sessions}")])
        .arg("--folder")
        .arg(folder.join("received"))
        .arg("--certificates")
        .arg(folder.join("certs"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("collecting on ")), "the collector did not start");
    // It goes on telling, and somebody has to listen.
    thread::spawn(move || lines.for_each(drop));
    child
}

/// Connections of HTTP on the wire, so many a second, until the guard is dropped or `most` of them were made.
pub(crate) fn traffic<T>(wire: &Wire, a_second: u32, most: u64, during: impl FnOnce() -> T) -> (u64, T) {
    let (stop, stopped) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let begun = Instant::now();
            for number in 0..most {
                let due = begun + Duration::from_secs(1) / a_second * number as u32;
                match stopped.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return number,
                }
                exchange(1024 + (number % 60_000) as u16).iter().for_each(|frame| wire.send(frame));
            }
            most
        });
        let done = during();
        drop(stop);
        (sender.join().unwrap(), done)
    })
}

/// Everything that was ever found in the spools.
#[derive(Default)]
pub(crate) struct Owed {
    /// Events, by their digests: there may be hundreds of thousands.
    logs: HashSet<[u8; 32]>,
    /// Documents, by index and id.
    sessions: HashMap<String, serde_json::Value>,
}

impl Owed {
    /// Enters what the spools in `folder` hold, looked at in a copy: acknowledged or not, since what was acknowledged has
    /// arrived. Gives how many of logs and of sessions were not acknowledged.
    pub(crate) fn enter(&mut self, folder: &Path) -> [u64; 2] {
        let copy = tempfile::tempdir().unwrap();

        let logs = look(folder, copy.path(), "forward", |record| {
            self.logs.insert(Sha256::digest(record).into());
        });
        let sessions = look(&folder.join("opensearch/sessions"), &copy.path().join("sessions"), "bulk", |record| {
            let (id, document) = document(record);
            if let Some(before) = self.sessions.insert(id.clone(), document.clone()) {
                assert_eq!(before, document, "{id} is in the queue with two contents");
            }
        });
        [logs, sessions]
    }

    /// Closes the books: everything that was owed has come, byte for byte.
    pub(crate) fn settle(&self, received: &Path) -> Settled {
        let mut came: HashMap<[u8; 32], u32> = HashMap::new();
        for path in files(received) {
            for line in BufReader::new(fs::File::open(path).unwrap()).split(b'\n') {
                *came.entry(Sha256::digest(line.unwrap()).into()).or_default() += 1;
            }
        }
        let lost = self.logs.iter().filter(|digest| !came.contains_key(*digest)).count();
        assert_eq!(lost, 0, "of {} events that the spools held did not come", self.logs.len());
        let documents = documents(received, "arkime_sessions3-");
        for (id, owed) in &self.sessions {
            assert_eq!(documents.get(id).map(|change| &change["_source"]), Some(owed), "{id}");
        }
        let again = |versions: u64| versions - 1;
        Settled {
            logs: [self.logs.len() as u64, came.len() as u64, came.values().map(|times| again((*times).into())).sum()],
            sessions: [
                self.sessions.len() as u64,
                documents.len() as u64,
                documents.values().map(|change| again(change["_version"].as_u64().unwrap())).sum(),
            ],
        }
    }
}

/// Records that were seen in a spool, that came, and that came again.
pub(crate) struct Settled {
    pub(crate) logs: [u64; 3],
    pub(crate) sessions: [u64; 3],
}

impl std::fmt::Display for Settled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |[seen, came, again]: [u64; 3]| format!("{seen} seen in the spool, {came} came, {again} came again");
        write!(f, "events: {}; sessions: {}", line(self.logs), line(self.sessions))
    }
}

/// Copies a spool and gives every record that is readable; how many of them `reader` has not acknowledged.
fn look(spool: &Path, copy: &Path, reader: &str, mut each: impl FnMut(&[u8])) -> u64 {
    if !spool.exists() {
        return 0;
    }
    fs::create_dir_all(copy).unwrap();
    for entry in fs::read_dir(spool).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let writer = spool::Writer::open(copy, spool::Options::with_budget(1 << 40)).unwrap();
    let (mut all, mut rest) = (writer.reader("all").unwrap(), writer.reader(reader).unwrap());
    loop {
        let batch = all.read(1000, 1 << 20).unwrap();
        if batch.is_empty() {
            break;
        }
        batch.iter().for_each(&mut each);
    }
    assert_eq!(writer.stats().corrupt, 0, "a kill tears the end of a spool and nothing else");
    let mut waiting = 0;
    loop {
        match rest.read(1000, 1 << 20).unwrap().len() {
            0 => return waiting,
            more => waiting += more as u64,
        }
    }
}

/// Index and id of a record of the sessions' queue, and its document.
fn document(record: &[u8]) -> (String, serde_json::Value) {
    let mut lines = record.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).ok());
    let action: serde_json::Value = lines.next().flatten().unwrap();
    let text = |member: &str| action["index"][member].as_str().unwrap().to_owned();
    (format!("{}/{}", text("_index"), text("_id")), lines.next().flatten().unwrap())
}

/// The documents at the collector, by index and id, as their last change left them. Indices whose names begin with `index`.
pub(crate) fn documents(received: &Path, index: &str) -> BTreeMap<String, serde_json::Value> {
    let mut documents = BTreeMap::new();
    for path in files(&received.join("opensearch")) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with(index) {
            continue;
        }
        for line in BufReader::new(fs::File::open(&path).unwrap()).lines() {
            // The last line of one that was killed may be a part of one.
            let Ok(change) = serde_json::from_str::<serde_json::Value>(&line.unwrap()) else { continue };
            documents.insert(format!("{name}/{}", change["_id"].as_str().unwrap()), change);
        }
    }
    documents
}

/// Lines of a file, each counted once.
pub(crate) fn distinct(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().collect::<HashSet<_>>().len() as u64
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "ndjson")).collect()
}
