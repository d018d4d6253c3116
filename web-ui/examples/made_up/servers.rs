//! A made-up daemon, viewer and appliance, which answer as the real ones would: for the tests of the pages, and for looking
//! at them in a browser (`cargo run -p web-ui --example made_up`).
#![allow(dead_code, unreachable_pub, reason = "the tests and the example each use a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use settings::appliance::{
    DiskFound, Interface, Job, JobStep, Link, Outcome, Preview, Request, Response, Service, Slot, State, Step, Talker, UNITS,
};
use settings::control::{self, Connection, File, Status};
use settings::edit::Draft;
use settings::lines::{decode, encode};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// What the servers answer from, and what they were asked.
#[derive(Clone)]
pub struct World(Arc<Mutex<Inner>>);

struct Inner {
    folder: PathBuf,
    daemon: Daemon,
    state: State,
    text: String,
    job: Job,
    /// Times that the job was asked about since it began by itself; none if a test has set it.
    asked_job: Option<usize>,
    links: Vec<Link>,
    offset: f64,
    asked: Vec<String>,
}

/// What the daemon answers.
#[derive(Default)]
pub struct Daemon {
    /// Its status.
    pub status: Status,
    /// Its connections.
    pub connections: Vec<Connection>,
    /// Its files.
    pub files: Vec<File>,
    /// What was carved, by the name on disk.
    pub carved: BTreeMap<String, Vec<u8>>,
}

impl World {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// Changes what the daemon answers.
    pub fn daemon(&self, change: impl FnOnce(&mut Daemon)) {
        change(&mut self.inner().daemon);
    }

    /// Changes what the appliance is.
    pub fn state(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.inner().state);
    }

    /// Sets the job that runs.
    pub fn job(&self, job: Job) {
        let mut inner = self.inner();
        (inner.job, inner.asked_job) = (job, None);
    }

    /// Sets how the links are.
    pub fn links(&self, links: Vec<Link>) {
        self.inner().links = links;
    }

    /// Sets how far time servers are ahead.
    pub fn offset(&self, seconds: f64) {
        self.inner().offset = seconds;
    }

    /// Sets the settings in force.
    pub fn put(&self, text: &str) {
        text.clone_into(&mut self.inner().text);
    }

    /// The settings in force.
    pub fn settings(&self) -> settings::Settings {
        self.draft().check(Path::new("applied")).expect("what was applied is valid")
    }

    /// What was attached to them.
    pub fn attached(&self) -> BTreeMap<String, String> {
        self.draft().attached().clone()
    }

    fn draft(&self) -> Draft {
        Draft::parse(&self.inner().text, Path::new("applied")).expect("what was applied is TOML")
    }

    /// Whether settings were applied.
    pub fn is_configured(&self) -> bool {
        self.inner().state.configured
    }

    /// Whether the appliance was asked with these bytes in the line.
    pub fn was_asked(&self, part: &str) -> bool {
        self.inner().asked.iter().any(|line| line.contains(part))
    }
}

/// Starts them, with their sockets in the folder.
pub fn start(folder: &Path) -> World {
    let state = State {
        version: "0.1.0".into(),
        mode: "installed".into(),
        slot: "a".into(),
        host_name: "tenrec-0a0b0c".into(),
        management: "eth0".into(),
        addresses: vec!["192.0.2.50/24".into()],
        gateway: "192.0.2.1".into(),
        fingerprint: "12:34:56:78:9A:BC:DE:F0:12:34:56:78:9A:BC:DE:F0:12:34:56:78:9A:BC:DE:F0:12:34:56:78:9A:BC:DE:F0".into(),
        setup: true,
        data: true,
        data_bytes: 500_000_000_000,
        data_free: 420_000_000_000,
        memory_bytes: 8_000_000_000,
        memory_used: 300_000_000,
        cpu: 0.12,
        temperature: Some(47.5),
        uptime: 7380.0,
        time: 1_764_000_000.0,
        time_server: "192.0.2.1".into(),
        synchronized: true,
        ..State::default()
    };
    let good = |name: &str, words: &str| Step { name: name.into(), outcome: Outcome::Good, words: words.into() };
    let link = |name: &str, address: &str| Link {
        name: name.into(),
        address: address.into(),
        steps: vec![
            good("port", "it answers"),
            good("tls", "the chain is good"),
            good("credentials", "they are right"),
            good("clock", "the clocks agree to 0.1 seconds"),
            good("record", "the test record was taken"),
        ],
    };
    let links = vec![link("logs", "malcolm.example.org:5044"), link("sessions", "https://malcolm.example.org:9200")];
    let inner = Inner {
        folder: folder.to_owned(),
        daemon: Daemon::default(),
        state,
        text: String::new(),
        job: Job::default(),
        asked_job: None,
        links,
        offset: 0.01,
        asked: Vec::new(),
    };
    let world = World(Arc::new(Mutex::new(inner)));
    listen(&folder.join("appliance.sock"), world.clone(), |world, line| {
        let answer =
            decode(line).map_or_else(|error| Response::Error { message: error.to_string() }, |request| appliance(world, line, request));
        (encode(&answer).expect("answers are JSON"), Vec::new())
    });
    listen(&folder.join("control.sock"), world.clone(), daemon);
    viewer(&folder.join("viewer.sock"));
    world
}

/// What a line is answered with: a line, and the bytes that follow it.
type Answering = fn(&World, &[u8]) -> (Vec<u8>, Vec<u8>);

fn listen(socket: &Path, world: World, answer: Answering) {
    let listener = UnixListener::bind(socket).expect("the folder is ours");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, world.clone(), answer));
        }
    });
}

async fn talk(stream: UnixStream, world: World, answer: Answering) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (line, bytes) = answer(&world, line.as_bytes());
        if write.write_all(&line).await.is_err() || write.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Answers with what it was asked for, or refuses what has `bad` in it.
fn viewer(socket: &Path) {
    let listener = UnixListener::bind(socket).expect("the folder is ours");
    let answer = |request: axum::extract::Request| async move {
        let target = request.uri().to_string();
        if target.contains("bad") {
            return (StatusCode::BAD_REQUEST, "\"bad\" is no <filter>\n").into_response();
        }
        ([(header::CONTENT_DISPOSITION, "attachment; filename=\"packets.pcap\"")], target).into_response()
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
}

fn daemon(world: &World, line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let daemon = &world.inner().daemon;
    let answer = match decode::<control::Request>(line) {
        Ok(control::Request::Status) => control::Response::Status(Box::new(daemon.status.clone())),
        Ok(control::Request::Connections { .. }) => control::Response::Connections { connections: daemon.connections.clone() },
        Ok(control::Request::Files { .. }) => control::Response::Files { files: daemon.files.clone() },
        Ok(control::Request::Content { fuid }) => {
            let name = daemon.files.iter().find(|file| file.fuid == fuid).map(|file| file.extracted.clone()).unwrap_or_default();
            match daemon.carved.get(&name) {
                Some(bytes) => {
                    let line = encode(&control::Response::Content { name, size: bytes.len() as u64 }).expect("answers are JSON");
                    return (line, bytes.clone());
                }
                None => control::Response::Error { message: "this file is not on disk any more".into() },
            }
        }
        Ok(control::Request::Reload) => control::Response::Error { message: "not now".into() },
        Err(error) => control::Response::Error { message: error.to_string() },
    };
    (encode(&answer).expect("answers are JSON"), Vec::new())
}

fn appliance(world: &World, line: &[u8], request: Request) -> Response {
    let mut inner = world.inner();
    inner.asked.push(String::from_utf8_lossy(line).into_owned());
    match request {
        Request::State => Response::State(Box::new(inner.state.clone())),
        Request::Interfaces => Response::Interfaces { interfaces: interfaces() },
        Request::Preview { interface, seconds } => preview(&interface, seconds),
        Request::Settings { .. } => Response::Settings { text: inner.text.clone() },
        Request::Apply { text } => {
            if let Ok(draft) = Draft::parse(&text, Path::new("applied"))
                && let Some(hash) = draft.attached().get("web.password")
            {
                std::fs::write(inner.folder.join("web.password"), hash).expect("the folder is ours");
            }
            inner.text = text;
            inner.state.configured = true;
            begin(&mut inner, "apply", &["the settings are checked", "files are written", "the sensor starts again"])
        }
        Request::SetPassword { hash } => {
            std::fs::write(inner.folder.join("web.password"), hash.reveal()).expect("the folder is ours");
            inner.state.setup = false;
            Response::Done
        }
        Request::Probe { .. } => Response::Probe { links: inner.links.clone() },
        Request::Clock { server } => Response::Clock { offset: inner.offset, delay: 0.02, address: server },
        Request::Disks => Response::Disks { disks: disks() },
        Request::Install(_) => begin(&mut inner, "install", &["partitions are made", "the system is copied", "the disk is made to start"]),
        Request::Slots => Response::Slots { slots: slots() },
        Request::Update => begin(&mut inner, "update", &["the signature is checked", "the slot is written"]),
        Request::Fetch => begin(&mut inner, "fetch", &["the bundle is fetched", "the signature is checked", "the slot is written"]),
        Request::Job => Response::Job(advance(&mut inner)),
        Request::Services => Response::Services { services: services() },
        Request::Journal { unit, .. } => Response::Journal { lines: vec![format!("10:00:00 {unit} <started>"), "10:00:01 up".into()] },
        Request::Support => {
            let path = inner.folder.join("support.zip");
            std::fs::write(&path, b"PK made up").expect("the folder is ours");
            Response::Ready { path: path.display().to_string() }
        }
        Request::Blink { .. } | Request::RestartService { .. } | Request::Reboot | Request::PowerOff => Response::Done,
    }
}

/// A job goes one step on each time it is asked about, and is over after its last.
fn begin(inner: &mut Inner, name: &str, steps: &[&str]) -> Response {
    let steps = steps.iter().map(|what| JobStep { what: (*what).into(), began: 1_764_000_000.0, remark: String::new() });
    (inner.job, inner.asked_job) = (Job { name: name.into(), steps: steps.collect(), ..Job::default() }, Some(0));
    Response::Done
}

fn advance(inner: &mut Inner) -> Job {
    let mut now = inner.job.clone();
    if let Some(asked) = &mut inner.asked_job {
        now.over = *asked >= now.steps.len();
        now.steps.truncate(*asked + 1);
        now.fraction = (!now.over).then_some(0.5);
        *asked += 1;
    }
    now
}

fn interfaces() -> Vec<Interface> {
    let interface = |name: &str, last: u8, speed, carrier, management| Interface {
        name: name.into(),
        mac: format!("02:00:00:00:00:{last:02x}"),
        driver: "igb".into(),
        speed,
        carrier,
        management,
        packets: 12_345_678,
        bytes: 9_876_543_210,
        addresses: if management { vec!["192.0.2.50/24".into()] } else { Vec::new() },
        dropped: 0,
    };
    vec![
        interface("eth0", 0, 1000, true, true),
        interface("eth1", 1, 10_000, true, false),
        interface("eth2", 2, 1000, true, false),
        interface("eth3", 3, 0, false, false),
    ]
}

fn preview(interface: &str, seconds: u32) -> Response {
    let talker = |address: &str, bits| Talker { address: address.into(), bits };
    match interface {
        "eth1" => Response::Preview(Preview {
            seconds: f64::from(seconds),
            packets: 1234.0,
            bits: 8_500_000.0,
            talkers: vec![talker("10.0.0.1", 5_000_000.0), talker("2001:db8:1:2:3:4:5:6", 2_000_000.0), talker("10.0.0.7", 900_000.0)],
        }),
        "eth3" => Response::Error { message: "eth3 has no link: is the cable in?".into() },
        _ => Response::Preview(Preview { seconds: f64::from(seconds), ..Preview::default() }),
    }
}

fn disks() -> Vec<DiskFound> {
    let disk = |id: &str, bytes, contents: &[&str], refused: &str| DiskFound {
        id: id.into(),
        model: "Example SSD 870".into(),
        serial: "S7".into(),
        bytes,
        contents: contents.iter().map(|line| (*line).to_owned()).collect(),
        refused: refused.into(),
    };
    vec![
        disk("vda", 512_000_000_000, &["vda1: ext4 \"root\", 512 GB"], ""),
        disk("sdb", 1_000_000_000, &[], "it is too small: 8 GB are the least"),
    ]
}

fn slots() -> Vec<Slot> {
    let slot =
        |name: &str, version: &str, running| Slot { name: name.into(), version: version.into(), running, next: running, tries: None };
    vec![slot("a", "0.1.0", true), slot("b", "0.0.9", false)]
}

fn services() -> Vec<Service> {
    let service = |unit: &&str| Service {
        unit: (*unit).into(),
        description: format!("What {unit} does"),
        state: if *unit == "ssh.service" { "inactive" } else { "active" }.into(),
        substate: if *unit == "ssh.service" { "dead" } else { "running" }.into(),
        memory: (*unit != "ssh.service").then_some(23_000_000),
        restarts: 0,
        since: 1_764_000_000.0,
    };
    UNITS.iter().map(service).collect()
}
