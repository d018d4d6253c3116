//! What is followed, and how: one entry of Filebeat's `filebeat.inputs`, or what `[tail]` says in our own settings.

use std::path::Path;
use std::time::Duration;

use regex::bytes::Regex;
use serde_json::{Map, Value};

/// Bytes of a line that are kept, Filebeat's `max_bytes`.
const MAX_BYTES: usize = 10 << 20;

/// The input type that events name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Filebeat's `log`.
    Log,
    /// Filebeat's `filestream`.
    Filestream,
}

impl Kind {
    /// The word in settings and events.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Filestream => "filestream",
        }
    }
}

/// What a line becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An event as Filebeat makes it.
    Event,
    /// A document for OpenSearch: the line is an action, a tab and the document, which become a line each.
    Document,
}

/// What is said of the events of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Tags besides those of the input.
    pub tags: Vec<String>,
    /// NetBox site, in place of the input's.
    pub site: Option<String>,
}

/// One set of patterns with its options. Options are named as Filebeat names them.
#[derive(Debug, Clone)]
pub struct Input {
    /// The type named in events.
    pub kind: Kind,
    /// What lines become.
    pub shape: Shape,
    /// What a file's path says of its events, if anything.
    pub marks: Option<fn(&Path) -> Marks>,
    /// Patterns of files: `*`, `?`, `[…]`, and `**` for any depth.
    pub paths: Vec<String>,
    /// Patterns over whole paths of files to leave out.
    pub exclude_files: Vec<Regex>,
    /// Lines that match one of these are left out.
    pub exclude_lines: Vec<Regex>,
    /// If there are any, only lines that match one of these are taken.
    pub include_lines: Vec<Regex>,
    /// Tags of every event.
    pub tags: Vec<String>,
    /// Members added to every event.
    pub fields: Map<String, Value>,
    /// Whether those stand at the root instead of under `fields`.
    pub fields_under_root: bool,
    /// Pause between two looks for new files.
    pub scan_frequency: Duration,
    /// Files not changed for so long are not begun. Zero: all are.
    pub ignore_older: Duration,
    /// A file is closed after so long without a new line; it is opened again when it grows.
    pub close_inactive: Duration,
    /// What is known of a file is forgotten after so long without a change. Zero: never.
    pub clean_inactive: Duration,
    /// Whether a new file is read from its end on.
    pub tail_files: bool,
    /// Bytes of a line that are kept; the rest of it is left out.
    pub max_bytes: usize,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            kind: Kind::Log,
            shape: Shape::Event,
            marks: None,
            paths: Vec::new(),
            exclude_files: Vec::new(),
            exclude_lines: Vec::new(),
            include_lines: Vec::new(),
            tags: Vec::new(),
            fields: Map::new(),
            fields_under_root: false,
            scan_frequency: Duration::from_secs(10),
            ignore_older: Duration::ZERO,
            close_inactive: Duration::from_secs(300),
            clean_inactive: Duration::ZERO,
            tail_files: false,
            max_bytes: MAX_BYTES,
        }
    }
}

impl Input {
    /// Whether a line becomes an event. An empty one does not, as with Filebeat.
    #[must_use]
    pub fn takes(&self, line: &[u8]) -> bool {
        let matches = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(line));
        !line.is_empty() && (self.include_lines.is_empty() || matches(&self.include_lines)) && !matches(&self.exclude_lines)
    }
}
