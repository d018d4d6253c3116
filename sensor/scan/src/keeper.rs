//! The keeper: gives privileges up, starts the worker, and starts another when that one dies. It reads nothing that comes
//! from the network, so it survives what kills the worker.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use tracing::{error, info, warn};

use crate::protocol::{Answer, send};
use crate::rules::Folder;
use crate::sandbox;
use crate::worker::{self, Engines};

/// A worker that dies younger than this died of its start, not of a file: the next waits a little.
const YOUNG: Duration = Duration::from_secs(1);

/// The command line of the scanner.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Folder of YARA rules (*.yar, *.yara), any number of times
    #[arg(long, value_name = "FOLDER")]
    pub rules: Vec<PathBuf>,
    /// Socket of a running clamd
    #[arg(long, value_name = "SOCKET")]
    pub clamd: Option<PathBuf>,
    /// Seconds for one file
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Megabytes of memory
    #[arg(long, value_name = "MEGABYTES", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(64..=65536))]
    pub memory: u64,
    /// Listen on this socket; without it, the socket is the standard input
    #[arg(long, value_name = "SOCKET")]
    pub socket: Option<PathBuf>,
    /// Be the worker on the standard input
    #[arg(long, hide = true)]
    pub worker: bool,
    /// Descriptors of the rule folders, in their order, open for the worker
    #[arg(long, hide = true, value_delimiter = ',')]
    pub rules_open: Vec<i32>,
    /// Scan these files, print the verdicts as JSON lines, and end
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

impl Arguments {
    /// The folders of rules, by way of their open descriptors where there are some.
    pub(crate) fn folders(&self) -> Vec<Folder> {
        let opened = |at: usize| self.rules_open.get(at).filter(|descriptor| **descriptor >= 0);
        let folders = self.rules.iter().enumerate().map(|(at, name)| match opened(at) {
            Some(descriptor) => Folder { place: PathBuf::from(format!("/proc/self/fd/{descriptor}")), name: name.clone() },
            None => name.clone().into(),
        });
        folders.collect()
    }

    /// The command line, without the program and its subcommand, that these settings mean.
    #[must_use]
    pub fn of(settings: &settings::Scan) -> Vec<std::ffi::OsString> {
        let mut line: Vec<std::ffi::OsString> = Vec::new();
        for folder in &settings.rules {
            line.extend(["--rules".into(), folder.into()]);
        }
        if let Some(clamd) = &settings.clamd {
            line.extend(["--clamd".into(), clamd.into()]);
        }
        line.extend(["--timeout".into(), settings.timeout_seconds.to_string().into()]);
        line.extend(["--memory".into(), settings.memory_megabytes.to_string().into()]);
        line
    }
}

/// Runs the scanner as its command line says, until its socket is closed.
#[must_use]
pub fn main(arguments: Arguments) -> ExitCode {
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            error!(%error, cause, "the scanner ends");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), worker::Error> {
    if !arguments.files.is_empty() {
        return by_hand(arguments);
    }
    if arguments.worker {
        return worker::run(arguments, &standard_input()?);
    }
    match &arguments.socket {
        None => {
            let socket = standard_input()?;
            let folders = open_folders(&arguments.rules);
            sandbox::become_nobody()?;
            keep(&socket, &folders)
        }
        Some(path) => {
            let listener = listen(path)?;
            let folders = open_folders(&arguments.rules);
            sandbox::become_nobody()?;
            info!(socket = %path.display(), "scanner listens");
            loop {
                let (socket, _) = listener.accept()?;
                keep(&socket, &folders)?;
            }
        }
    }
}

/// The rule folders, opened while we may still walk to them. The worker inherits the descriptors and reads below them what
/// is readable for everyone. A folder that does not open is tried by its path.
fn open_folders(rules: &[PathBuf]) -> Vec<Option<OwnedFd>> {
    // Without CLOEXEC: the worker is to have them.
    let open = |folder: &PathBuf| rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).ok();
    rules.iter().map(open).collect()
}

/// Keeps a worker on `socket` until the daemon hangs up.
fn keep(socket: &UnixStream, folders: &[Option<OwnedFd>]) -> Result<(), worker::Error> {
    let descriptors: Vec<String> = folders.iter().map(|folder| folder.as_ref().map_or(-1, AsRawFd::as_raw_fd).to_string()).collect();
    loop {
        let began = Instant::now();
        let status = Command::new("/proc/self/exe")
            .args(std::env::args_os().skip(1))
            .arg("--worker")
            .args(descriptors.first().map(|_| format!("--rules-open={}", descriptors.join(","))))
            .env_clear()
            .stdin(OwnedFd::from(socket.try_clone()?))
            .stdout(std::process::Stdio::null())
            .status()?;
        if status.success() {
            return Ok(());
        }
        let how = how(status);
        warn!(how, "the scan worker died");
        if send(socket, &Answer::Died(how), None).is_err() {
            return Ok(());
        }
        thread::sleep(YOUNG.saturating_sub(began.elapsed()));
    }
}

fn how(status: ExitStatus) -> String {
    match status.signal() {
        Some(libc::SIGXCPU) => "its CPU time ran out".to_owned(),
        Some(signal) => format!("it was killed by signal {signal}"),
        None => format!("it ended with code {}", status.code().unwrap_or(-1)),
    }
}

fn standard_input() -> io::Result<UnixStream> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    if !File::from(input.try_clone()?).metadata()?.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the standard input is no socket: the daemon starts the scanner, or use --socket",
        ));
    }
    Ok(UnixStream::from(input))
}

/// A socket that its owner and its group may use. One that an earlier scanner left behind is replaced.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// For the operator who tries rules out on files of their own: without sandbox and bounds.
#[expect(clippy::print_stdout, reason = "the verdicts are this command's output")]
fn by_hand(arguments: &Arguments) -> Result<(), worker::Error> {
    let engines = Engines::load(arguments);
    for broken in &engines.rules.broken {
        warn!(broken, "rules left out");
    }
    for path in &arguments.files {
        let verdict = engines.scan(&File::open(path)?);
        println!("{}", serde_json::json!({"file": path, "verdict": verdict}));
    }
    Ok(())
}
