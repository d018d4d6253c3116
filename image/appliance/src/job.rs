//! What long work says of itself: the steps it took, how far it is, how it ended.
//!
//! Written to a file, since installing and updating run in units of their own while `serve` answers for them. There is one job
//! at a time: `serve` sees to that.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use settings::appliance::{Job, JobStep};

use crate::files::{self, Access};
use crate::places::Places;

/// How often a changed fraction is written at most.
const OFTEN: Duration = Duration::from_millis(300);
/// Steps that are told at most: an installation has about twenty.
const MAX_STEPS: usize = 100;

/// Where jobs tell how far they are.
pub(crate) fn file(places: &Places) -> PathBuf {
    places.run("job.json")
}

/// The current or last job; an empty one if there was none since the start.
pub(crate) fn read(path: &Path) -> Job {
    std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// A job that runs.
#[derive(Debug)]
pub(crate) struct Progress {
    places: Places,
    job: Job,
    written: Instant,
}

impl Progress {
    /// Begins a job: `apply`, `install`, `update`.
    pub(crate) fn begin(places: &Places, name: &str) -> Self {
        let job = Job { name: name.to_owned(), ..Job::default() };
        let this = Self { places: places.clone(), job, written: Instant::now() };
        this.write();
        this
    }

    /// Goes on with a job that `serve` began, in the process that does the work.
    pub(crate) fn go_on(places: &Places, name: &str) -> Self {
        let job = read(&file(places));
        let mut this = Self::begin(places, name);
        if job.name == name && !job.over {
            this.job = job;
        }
        this
    }

    /// The next step, in words for the operator.
    pub(crate) fn step(&mut self, what: impl Into<String>) {
        let what = what.into();
        tracing::info!(job = self.job.name, step = what);
        self.job.fraction = None;
        if self.job.steps.len() < MAX_STEPS {
            self.job.steps.push(JobStep { what, began: now(), remark: String::new() });
        }
        self.write();
    }

    /// What should be known of the current step though it did not fail.
    pub(crate) fn remark(&mut self, remark: impl Into<String>) {
        let remark = remark.into();
        if let Some(step) = self.job.steps.last_mut() {
            if !step.remark.is_empty() {
                step.remark.push_str("; ");
            }
            step.remark.push_str(&remark);
        }
        self.write();
    }

    /// How far the current step is, 0 to 1.
    pub(crate) fn fraction(&mut self, done: u64, whole: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a bar, not a sum")]
        let fraction = if whole == 0 { 1.0 } else { (done as f64 / whole as f64).min(1.0) };
        self.job.fraction = Some(fraction);
        if self.written.elapsed() >= OFTEN {
            self.written = Instant::now();
            self.write();
        }
    }

    /// The end.
    pub(crate) fn end(mut self, outcome: &anyhow::Result<()>) {
        self.job.over = true;
        self.job.fraction = None;
        match outcome {
            Ok(()) => tracing::info!(job = self.job.name, "done"),
            Err(error) => {
                tracing::error!(job = self.job.name, error = format!("{error:#}"), "failed");
                self.job.error = format!("{error:#}");
            }
        }
        self.write();
    }

    /// What is told cannot be told where the file cannot be written; the work goes on.
    fn write(&self) {
        if let Err(error) = write(&self.places, &self.job) {
            tracing::warn!(%error, "cannot write how far the job is");
        }
    }
}

/// Writes what is told of a job.
pub(crate) fn write(places: &Places, job: &Job) -> io::Result<()> {
    let text = serde_json::to_vec(job)?;
    files::write(places, &file(places), &text, Access::PRIVATE)
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_job_can_be_followed_from_another_process() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        let path = file(&places);
        assert_eq!(read(&path), Job::default());
        let mut progress = Progress::begin(&places, "update");
        progress.step("verify");
        progress.remark("key 1");
        progress.step("write");
        let job = read(&path);
        assert_eq!(job.steps.iter().map(|step| step.what.as_str()).collect::<Vec<_>>(), ["verify", "write"]);
        assert_eq!((job.steps[0].remark.as_str(), job.over), ("key 1", false));
        progress.end(&Err(anyhow!("the disk").context("cannot write")));
        let job = read(&path);
        assert_eq!((job.over, job.error.as_str()), (true, "cannot write: the disk"));
    }
}
