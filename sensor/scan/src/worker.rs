//! The worker: loads rules, seals itself off, and scans what it is handed until the other side hangs up.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::keeper::Arguments;
use crate::protocol::{Answer, Lines, Outcome, Request, Verdict, send};
use crate::rules::RuleSet;
use crate::{clamd, sandbox};

/// Why a worker ends before the other side hangs up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    #[error("the daemon's socket failed")]
    Socket(#[from] io::Error),
}

/// How files are scanned.
pub(crate) struct Engines {
    pub(crate) rules: RuleSet,
    pub(crate) clamd: Option<PathBuf>,
    pub(crate) timeout: Duration,
}

impl Engines {
    pub(crate) fn load(arguments: &Arguments) -> Self {
        Self { rules: RuleSet::load(&arguments.folders()), clamd: arguments.clamd.clone(), timeout: Duration::from_secs(arguments.timeout) }
    }

    pub(crate) fn scan(&self, file: &File) -> Verdict {
        let began = Instant::now();
        let mut verdict = Verdict { scanners: vec!["yara".to_owned()], ..Verdict::default() };
        match self.rules.scan(file, self.timeout) {
            Ok(matches) => verdict.matches = matches,
            Err(error) => verdict.errors.push(error),
        }
        if let Some(socket) = &self.clamd {
            verdict.scanners.push("clamav".to_owned());
            match clamd::scan(socket, file, self.timeout) {
                Ok(found) => verdict.matches.extend(found),
                Err(error) => verdict.errors.push(error),
            }
        }
        verdict.outcome = match (verdict.matches.is_empty(), verdict.errors.is_empty()) {
            (false, _) => Outcome::Matched,
            (true, false) => Outcome::Failed,
            (true, true) => Outcome::Clean,
        };
        verdict.seconds = began.elapsed().as_secs_f64();
        verdict
    }
}

pub(crate) fn run(arguments: &Arguments, socket: &UnixStream) -> Result<(), Error> {
    sandbox::bound(arguments.memory)?;
    let engines = Engines::load(arguments);
    if !sandbox::seal()? {
        warn!("this kernel has no Landlock: only the scanner's user keeps files from it");
    }
    send(socket, &Answer::Ready { rules: engines.rules.len(), broken: engines.rules.broken.clone() }, None)?;
    let mut lines = Lines::default();
    while let Some((request, file)) = lines.next::<Request>(socket)? {
        sandbox::allow_cpu(engines.timeout * 2)?;
        let verdict = match file {
            Some(file) => engines.scan(&File::from(file)),
            None => Verdict::failed(format!("{} came without its file", request.name)),
        };
        send(socket, &Answer::Verdict { id: request.id, verdict }, None)?;
    }
    Ok(())
}
