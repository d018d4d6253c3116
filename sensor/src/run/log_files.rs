//! Log files of a daemon: set aside after a while, kept within a budget, never written over.
//!
//! ```text
//! conn.log                        being written
//! conn.2026-11-24-11-00-00.log    set aside at that time, UTC
//! eve.json, sessions.ndjson       likewise
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use analyze::{
    Alert,
    log::{Format, Profile, Record},
};

use jiff::Timestamp;

use crate::{disk::Share, logs::LogFolder, pcap::budget::Budget};

/// How log files are written.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder.
    pub folder: PathBuf,
    /// Form of the lines.
    pub format: Format,
    /// Columns.
    pub profile: Profile,
    /// Name of the sensor in sessions.
    pub node: String,
    /// How long a file is written to; zero: for ever.
    pub rotate: Duration,
    /// Bytes that files set aside may take, oldest deleted first; 0: no bound but the floor.
    pub budget_bytes: u64,
    /// Bytes of the file system that stay free.
    pub floor_bytes: u64,
    /// Where it is asked for room.
    pub share: Arc<Share>,
}

/// The log files.
pub struct LogFiles {
    options: Options,
    /// Always there, but in the middle of a rotation.
    open: Option<LogFolder>,
    budget: Budget,
    begun: Instant,
}

impl LogFiles {
    /// Begins. Files that an earlier run left are set aside.
    ///
    /// # Errors
    /// If the folder cannot be made or written to.
    pub fn open(options: Options) -> io::Result<Self> {
        let explain = |error: io::Error| {
            let folder = options.folder.display();
            io::Error::new(error.kind(), format!("cannot write logs into {folder}: {error}; change logs.folder in tenrec.toml"))
        };
        fs::create_dir_all(&options.folder).map_err(explain)?;
        set_aside(&options.folder, Timestamp::now()).map_err(explain)?;
        let open = LogFolder::create(&options.folder, options.format, options.profile, &options.node).map_err(explain)?;
        let budget = Budget::open(&options.folder, is_set_aside, "", options.budget_bytes, options.floor_bytes)?;
        Ok(Self { options, open: Some(open), budget, begun: Instant::now() })
    }

    /// Writes one record.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub fn write(&mut self, record: &dyn Record) -> io::Result<()> {
        match &mut self.open {
            Some(open) => open.write(record),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Writes the event of a rule that matched.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        match &mut self.open {
            Some(open) => open.alert(alert),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Passes lines to the file system; sets files aside when it is time. Call it about once a second.
    ///
    /// # Errors
    /// If a file cannot be written, set aside or begun.
    pub fn tend(&mut self) -> io::Result<()> {
        let over = !self.options.rotate.is_zero() && self.begun.elapsed() >= self.options.rotate;
        match &mut self.open {
            Some(open) if !over => {
                let flushed = open.flush();
                self.make_room();
                return flushed;
            }
            Some(_) => {}
            None => tracing::debug!("logs are begun again after a failure"),
        }
        self.begun = Instant::now();
        let closed = self.open.take().map_or(Ok(()), LogFolder::close);
        for (path, bytes) in set_aside(&self.options.folder, Timestamp::now())? {
            self.budget.grown(bytes);
            self.budget.closed(path, bytes);
        }
        self.open = Some(LogFolder::create(&self.options.folder, self.options.format, self.options.profile, &self.options.node)?);
        self.budget.make_room(0);
        self.make_room();
        closed
    }

    /// Says what there is, and deletes the oldest files that were set aside if it is asked to.
    fn make_room(&mut self) {
        let wanted = self.options.share.wanted();
        if wanted > 0 {
            self.budget.give_up(wanted);
            self.options.share.answer();
        }
        let (bytes, files) = self.budget.take_deleted();
        self.options.share.dropped(bytes, files);
        let open = self.open.as_ref().map_or(0, LogFolder::bytes);
        self.options.share.holds(self.budget.bytes() + open, self.budget.bytes());
    }

    /// Ends all files.
    ///
    /// # Errors
    /// If what was gathered cannot be written.
    pub fn close(self) -> io::Result<()> {
        self.open.map_or(Ok(()), LogFolder::close)
    }
}

/// Endings of the files that are written here.
const ENDINGS: [&str; 3] = ["log", "json", "ndjson"];

/// Gives every `NAME.log` the name that says that it ended at `now`; the new names, and their lengths.
fn set_aside(folder: &Path, now: Timestamp) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut moved = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((log, ending)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
        if !ENDINGS.contains(&ending) {
            continue;
        }
        if entry.metadata()?.len() == 0 {
            // Nothing came: the next one takes its place.
            continue;
        }
        let mut at = now;
        let to = loop {
            let to = folder.join(format!("{log}.{}.{ending}", at.strftime("%Y-%m-%d-%H-%M-%S")));
            if !to.exists() {
                break to;
            }
            // Two ends in one second, or the same time once more after the clock was set back: the later one is named after the next.
            at += Duration::from_secs(1);
        };
        fs::rename(entry.path(), &to)?;
        let bytes = fs::metadata(&to).map_or(0, |metadata| metadata.len());
        moved.push((to, bytes));
    }
    Ok(moved)
}

fn is_set_aside(name: &str) -> bool {
    // NAME.YYYY-MM-DD-hh-mm-ss.log
    let time = name.rsplit_once('.').filter(|(_, ending)| ENDINGS.contains(ending)).and_then(|(name, _)| name.rsplit_once('.'));
    time.map(|(_, time)| time).is_some_and(|time| time.len() == 19 && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_run_left_is_set_aside_and_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("conn.log"), "old\n").unwrap();
        let options = Options {
            folder: folder.path().to_owned(),
            format: Format::Json,
            node: "test".to_owned(),
            profile: Profile::Malcolm,
            rotate: Duration::ZERO,
            budget_bytes: 0,
            floor_bytes: 0,
            share: Arc::default(),
        };
        LogFiles::open(options.clone()).unwrap().close().unwrap();
        fs::write(folder.path().join("conn.log"), "newer\n").unwrap();
        let files = LogFiles::open(options).unwrap();
        assert_eq!(files.budget.files(), 2);
        let mut all: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.retain(|path| path.metadata().unwrap().len() > 0);
        all.sort();
        let texts: Vec<_> = all.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        assert_eq!(texts, ["old\n", "newer\n"]);
        assert!(all.iter().all(|path| is_set_aside(path.file_name().unwrap().to_str().unwrap())), "{all:?}");
    }

    #[test]
    fn names_are_not_given_again_when_the_clock_is_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let noon = Timestamp::from_second(1_800_000_000).unwrap();
        // At noon, an hour before, and at noon once more: twice.
        let hour = Duration::from_secs(3600);
        for (number, at) in [noon, noon - hour, noon, noon].into_iter().enumerate() {
            fs::write(folder.path().join("conn.log"), format!("{number}\n")).unwrap();
            set_aside(folder.path(), at).unwrap();
        }
        let mut texts: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
        texts.sort();
        assert_eq!(texts, ["0\n", "1\n", "2\n", "3\n"]);
    }

    #[test]
    fn only_names_with_a_time_are_counted() {
        assert!(is_set_aside("conn.2026-11-24-11-00-00.log"));
        assert!(!is_set_aside("conn.log") && !is_set_aside("my.notes.log") && !is_set_aside("2026-11-24-11-00-00.txt"));
    }
}
