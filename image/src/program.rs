//! Programs that are run while building: what they say goes to a log, and its end is shown when one fails.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// Lines of the log that are shown when a program has failed.
const LAST_LINES: usize = 25;

/// The log of a build, and what the person who waits sees of it.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    begun: Instant,
}

impl Log {
    /// Begins a log.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn begin(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write the log {}", path.display()))?;
        println!("image: the log is {}", path.display());
        Ok(Self { path: path.to_path_buf(), file, begun: Instant::now() })
    }

    /// Tells what is done now.
    pub(crate) fn step(&mut self, what: &str) {
        println!("image: {:>4} s  {what}", self.begun.elapsed().as_secs());
        // The log is for reading after a failure; one that cannot be written is no failure of the build.
        let _ = writeln!(self.file, "== {what}");
    }

    /// Runs a program. `stage` names the stage of the work that a line of its output begins, if it does.
    ///
    /// # Errors
    /// When it cannot be run or fails, with the end of what it said.
    pub(crate) fn run(&mut self, command: &mut Command, stage: fn(&str) -> Option<&str>) -> anyhow::Result<()> {
        let name = command.get_program().to_string_lossy().into_owned();
        let (output, both) = std::io::pipe().context("cannot make a pipe")?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(both.try_clone().context("cannot make a pipe")?)
            .stderr(both)
            .spawn()
            .with_context(|| format!("cannot run {name}"))?;
        // The command holds the writing end; without this the reader would never see its end.
        command.stdout(Stdio::null()).stderr(Stdio::null());

        let spinner = spinner();
        let mut last = std::collections::VecDeque::new();
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read what a program says")?;
            let line = String::from_utf8_lossy(&line);
            let _ = writeln!(self.file, "{line}");
            if let Some(stage) = stage(&line) {
                spinner.suspend(|| println!("image: {:>4} s    {stage}", self.begun.elapsed().as_secs()));
                spinner.set_message(stage.to_owned());
            }
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line.into_owned());
        }
        spinner.finish_and_clear();
        let status = child.wait().with_context(|| format!("cannot wait for {name}"))?;
        if !status.success() {
            for line in &last {
                eprintln!("    {line}");
            }
            bail!("{name} failed ({status}); the whole log is {}", self.path.display());
        }
        Ok(())
    }
}

/// What a program prints, or why it failed.
///
/// # Errors
/// When it cannot be run or fails.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// No stages.
pub(crate) fn whole(_: &str) -> Option<&str> {
    None
}

fn spinner() -> ProgressBar {
    if !std::io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner
}
