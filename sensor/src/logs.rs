//! Records to log files in a folder: Zeek's logs, one file each, opened when its first record comes; Suricata's
//! `eve.json` and Arkime's `sessions.ndjson` from the same records.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use analyze::Alert;
use analyze::log::{Eve, Format, Log, Profile, Record, Row, header};

/// Bytes gathered for one file before they are written.
const BUFFER: usize = 256 << 10;

/// The log files of one folder.
pub struct LogFolder {
    folder: PathBuf,
    format: Format,
    profile: Profile,
    open: HashMap<&'static str, LogFile>,
    eve: LogFile,
    sessions: LogFile,
    node: String,
    line: Vec<u8>,
    bytes: u64,
}

struct LogFile {
    out: BufWriter<File>,
    lines: u64,
}

impl LogFolder {
    /// Makes the folder if it is not there. Sessions are written in the name of `node`.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(folder: &Path, format: Format, profile: Profile, node: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            eve: LogFile::create(&folder.join("eve.json"))?,
            sessions: LogFile::create(&folder.join("sessions.ndjson"))?,
            folder: folder.to_owned(),
            format,
            profile,
            open: HashMap::new(),
            node: node.to_owned(),
            line: Vec::new(),
            bytes: 0,
        })
    }

    /// Writes one record to its log.
    ///
    /// # Errors
    /// If the file cannot be made or written.
    pub fn write(&mut self, record: &dyn Record) -> io::Result<()> {
        self.line.clear();
        if let Some(session) = record.session() {
            session.write(&self.node, &mut self.line);
            self.sessions.lines += 1;
            self.bytes += self.line.len() as u64;
            return self.sessions.out.write_all(&self.line);
        }
        Row::write(record, self.format, self.profile, &mut self.line);
        let log = record.log();
        let file = match self.open.get_mut(log.path) {
            Some(file) => file,
            None => {
                let file = create(&self.folder, log, self.format, self.profile)?;
                self.open.entry(log.path).or_insert(file)
            }
        };
        file.lines += 1;
        self.bytes += self.line.len() as u64;
        file.out.write_all(&self.line)?;
        self.line.clear();
        record.eve(&mut Eve::new(&mut self.line));
        self.eve.lines += self.line.iter().filter(|b| **b == b'\n').count() as u64;
        self.bytes += self.line.len() as u64;
        self.eve.out.write_all(&self.line)
    }

    /// Writes the event of a rule that matched.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        self.line.clear();
        alert.eve(&mut Eve::new(&mut self.line));
        self.eve.lines += 1;
        self.bytes += self.line.len() as u64;
        self.eve.out.write_all(&self.line)
    }

    /// Bytes of all files so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Passes what was gathered to the file system, so that others see it.
    ///
    /// # Errors
    /// If a file cannot be written; the others are flushed all the same.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut outcome = Ok(());
        for file in self.open.values_mut().chain([&mut self.eve, &mut self.sessions]) {
            outcome = outcome.and(file.out.flush());
        }
        outcome
    }

    /// Lines written, by log.
    pub fn lines(&self) -> Vec<(&'static str, u64)> {
        let mut lines: Vec<_> = self.open.iter().map(|(name, file)| (*name, file.lines)).collect();
        lines.sort_unstable();
        lines
    }

    /// Ends all files as Zeek does.
    ///
    /// # Errors
    /// If what was gathered cannot be written.
    pub fn close(mut self) -> io::Result<()> {
        for (_, mut file) in self.open.drain() {
            if self.format == Format::Tsv {
                writeln!(file.out, "#close\t{}", now())?;
            }
            file.out.flush()?;
        }
        self.eve.out.flush()?;
        self.sessions.out.flush()
    }
}

impl LogFile {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { out: BufWriter::with_capacity(BUFFER, File::create(path)?), lines: 0 })
    }
}

fn create(folder: &Path, log: &'static Log, format: Format, profile: Profile) -> io::Result<LogFile> {
    let mut file = LogFile::create(&folder.join(format!("{}.log", log.path)))?;
    if format == Format::Tsv {
        file.out.write_all(header(log, profile, &now()).as_bytes())?;
    }
    Ok(file)
}

/// Local time as Zeek writes it after `#open` and `#close`.
fn now() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%d-%H-%M-%S").to_string()
}
