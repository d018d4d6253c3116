//! Other programs: what they are called with, how long they may take, and what is said when they fail.
//!
//! Arguments are handed over one by one, never through a shell. Output is bounded; who prints more is cut, not obeyed.

use std::io::{Read, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Bytes of output that are kept: a thousand journal lines of generous width.
const MAX_OUTPUT: u64 = 4 << 20;
/// Lines of a failed program that are shown.
const LAST_LINES: usize = 4;
/// Where programs are looked for. The environment of who starts us does not matter.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// It is not there, or may not be started.
    #[error("cannot start {program}")]
    Start {
        /// Its name.
        program: String,
        #[source]
        source: std::io::Error,
    },
    /// It took too long and was ended.
    #[error("{program} did not end within {seconds} seconds")]
    Slow { program: String, seconds: u64 },
    /// It said no.
    #[error("{program} failed{}", said(.lines))]
    Failed { program: String, lines: String },
}

fn said(lines: &str) -> String {
    if lines.is_empty() { String::new() } else { format!(": {lines}") }
}

/// A program that is to be run.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    arguments: Vec<String>,
    input: Vec<u8>,
    bound: Duration,
}

impl Program {
    /// By its name; it may take ten seconds unless told otherwise.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), arguments: Vec::new(), input: Vec::new(), bound: Duration::from_secs(10) }
    }

    /// One more argument.
    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    pub(crate) fn args<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// What it reads on standard input.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// How long it may take.
    pub(crate) fn within(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// Runs it and gives what it printed.
    ///
    /// # Errors
    /// When it cannot be started, takes too long, or ends with anything but success.
    pub(crate) fn run(self) -> Result<String, ProgramError> {
        let (name, ended) = (self.name.clone(), self.run_whole()?);
        if ended.status == Some(0) {
            return Ok(ended.out);
        }
        Err(ProgramError::Failed { program: name, lines: last_lines(&ended.err, &ended.out) })
    }

    /// Runs a program whose exit status says more than whether it went well; -1 if a signal ended it.
    ///
    /// # Errors
    /// When it cannot be started or takes too long.
    pub(crate) fn run_status(self) -> Result<i32, ProgramError> {
        let name = self.name.clone();
        let ended = self.run_whole()?;
        if ended.status != Some(0) {
            tracing::info!(program = name, status = ended.status, said = last_lines(&ended.err, &ended.out));
        }
        Ok(ended.status.unwrap_or(-1))
    }

    fn run_whole(self) -> Result<Ended, ProgramError> {
        let mut child = Command::new(&self.name)
            .args(&self.arguments)
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| ProgramError::Start { program: self.name.clone(), source })?;
        let out = child.stdout.take().map(|pipe| thread::spawn(move || drain(pipe)));
        let err = child.stderr.take().map(|pipe| thread::spawn(move || drain(pipe)));
        if let Some(mut stdin) = child.stdin.take() {
            let input = self.input;
            // Who does not read its input has said so by its exit status.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
        let Some(status) = wait(&mut child, self.bound) else {
            return Err(ProgramError::Slow { program: self.name, seconds: self.bound.as_secs() });
        };
        let text = |reader: Option<thread::JoinHandle<Vec<u8>>>| {
            let bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok(Ended { status: status.code(), out: text(out), err: text(err) })
    }
}

/// How a program ended, and what it said.
struct Ended {
    /// None if a signal ended it.
    status: Option<i32>,
    out: String,
    err: String,
}

/// Reads to the end, and keeps what is within the bound: a program that waits for its reader would never end.
fn drain(mut pipe: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    if pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut kept).is_ok() {
        drop(std::io::copy(&mut pipe, &mut std::io::sink()));
    }
    kept
}

/// How it ended; none if it had to be ended.
fn wait(child: &mut Child, bound: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + bound;
    let pidfd = Pid::from_raw(child.id().cast_signed()).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    while let Some(fd) = &pidfd {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut watched = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
        match poll(&mut watched, Some(&left.try_into().ok()?)) {
            Ok(0) => {
                drop(child.kill());
                drop(child.wait());
                return None;
            }
            Err(rustix::io::Errno::INTR) => {}
            _ => break,
        }
    }
    child.wait().ok()
}

/// The last lines of what was said about the failure, in one line.
fn last_lines(err: &str, out: &str) -> String {
    let text = if err.trim().is_empty() { out } else { err };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_comes_back_and_input_goes_in() {
        assert_eq!(Program::new("cat").input("words").run().unwrap(), "words");
    }

    #[test]
    fn a_failure_tells_the_last_lines() {
        let error = Program::new("sh").args(["-c", "seq 9 >&2; exit 3"]).run().unwrap_err();
        assert_eq!(error.to_string(), "sh failed: 6; 7; 8; 9");
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let error = Program::new("sleep").arg("1000").within(Duration::from_millis(50)).run().unwrap_err();
        assert!(matches!(error, ProgramError::Slow { .. }), "{error}");
    }

    #[test]
    fn a_program_that_babbles_is_cut_and_still_ends() {
        let text = Program::new("head").args(["-c", "6000000", "/dev/zero"]).run().unwrap();
        assert_eq!(text.len() as u64, MAX_OUTPUT);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        assert_eq!(Program::new("no-such-program").run().unwrap_err().to_string(), "cannot start no-such-program");
    }
}
