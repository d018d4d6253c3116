//! The one model of `tenrec.toml`, and the messages of the control socket.
//!
//! Parse, don't validate: a `Settings` is valid or does not exist. The file is read once, environment variables that a
//! Malcolm sensor knows (`PCAP_IFACE` and others, see [`OVERRIDES`]) go over it, every rule is checked, and all that is
//! wrong is reported at once, with line and key.
//!
//! What is not here: whether an interface, a folder or a certificate exists. That is for those who open them, since it
//! changes while the daemon runs.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic"))]

pub mod appliance;
mod check;
pub mod control;
pub mod edit;
mod environment;
mod error;
pub mod lines;
mod model;
mod secret;
mod section;
mod url;
mod values;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Deref;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

pub use environment::{OVERRIDES, Override};
pub use error::{Error, Place, Problem};
pub use model::{
    Analysis, Capture, Collector, Control, Disk, Files, Forward, Logs, Metrics, Node, OpenSearch, Pcap, Scan, Spool, System, Tail, Viewer,
    Watch, Web,
};
pub use secret::Secret;
pub use section::{Key, Section};
pub use url::Url;
pub use values::{
    AnalysisMode, CaptureMode, CarvingMode, ClientCertificates, Compression, Host, InterfaceAddress, Malcolm, Network, Preservation,
    Profile, TlsVersion, Verify, ZeekFormat,
};

/// Where the settings are when no path is given.
pub const DEFAULT_PATH: &str = "/etc/tenrec/tenrec.toml";

/// Every section, in the order of the file.
pub static SECTIONS: &[Section] = &[
    Node::SECTION,
    Capture::SECTION,
    Pcap::SECTION,
    Disk::SECTION,
    Analysis::SECTION,
    Watch::SECTION,
    Tail::SECTION,
    Logs::SECTION,
    Files::SECTION,
    Scan::SECTION,
    Forward::SECTION,
    OpenSearch::SECTION,
    Metrics::SECTION,
    Spool::SECTION,
    Control::SECTION,
    Web::SECTION,
    System::SECTION,
    Viewer::SECTION,
    Collector::SECTION,
];

/// The sections of the settings, read through [`Settings`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each section documents itself")]
pub struct Sections {
    pub node: Node,
    pub capture: Capture,
    pub pcap: Pcap,
    pub disk: Disk,
    pub analysis: Analysis,
    pub watch: Watch,
    pub tail: Tail,
    pub logs: Logs,
    pub files: Files,
    pub scan: Scan,
    pub forward: Forward,
    pub opensearch: OpenSearch,
    pub metrics: Metrics,
    pub spool: Spool,
    pub control: Control,
    pub web: Web,
    pub system: System,
    pub viewer: Viewer,
    pub collector: Collector,
}

/// Settings that obey every rule, with the node's name filled in. Read-only.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings(Sections);

impl Deref for Settings {
    type Target = Sections;

    fn deref(&self) -> &Sections {
        &self.0
    }
}

impl Default for Settings {
    /// What an empty file gives.
    fn default() -> Self {
        let mut sections = Sections::default();
        name_the_node(&mut sections);
        Self(sections)
    }
}

impl Settings {
    /// Reads the file at `path` and the process's environment.
    ///
    /// # Errors
    /// [`Error::Read`] when the file cannot be read, [`Error::Wrong`] with every problem found in it.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path, |variable| std::env::var(variable).ok())
    }

    /// The defaults with the process's environment over them, for when there is no file.
    ///
    /// # Errors
    /// [`Error::Wrong`] when a variable is wrong.
    pub fn from_environment() -> Result<Self, Error> {
        Self::parse("", Path::new("defaults"), |variable| std::env::var(variable).ok())
    }

    /// Settings from text. `path` is named in messages, `environment` looks a variable up.
    ///
    /// # Errors
    /// [`Error::Wrong`] with every problem found.
    pub fn parse(text: &str, path: &Path, environment: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let document = DeTable::parse(text).map_err(|error| Error::Wrong(vec![syntax(&error, text, path)]))?;
        let document = document.get_ref();
        let mut problems = unknown_keys(document, text, path);
        if !problems.is_empty() {
            return Err(Error::Wrong(problems));
        }
        let mut sections: Sections = toml::from_str(text).map_err(|error| Error::Wrong(vec![wrong_value(&error, document, text, path)]))?;

        let mut overridden = HashMap::new();
        for over in OVERRIDES {
            let Some(value) = environment(over.variable).filter(|value| !value.trim().is_empty()) else { continue };
            overridden.insert(over.key, over.variable);
            if let Err(what) = over.apply(&mut sections, &value) {
                problems.push(Problem { place: Place::Environment(over.variable), key: over.key.to_owned(), what });
            }
        }
        name_the_node(&mut sections);
        problems.extend(check::check(&sections).into_iter().map(|broken| {
            let place = match overridden.get(broken.key) {
                Some(variable) => Place::Environment(variable),
                None => Place::File(path.to_owned(), line_of(document, broken.key, text)),
            };
            Problem { place, key: broken.key.to_owned(), what: broken.what }
        }));
        if problems.is_empty() { Ok(Self(sections)) } else { Err(Error::Wrong(problems)) }
    }

    /// The rule that holds for `tenrec run` and not for `tenrec read`: there is something to capture from.
    ///
    /// # Errors
    /// [`Error::Wrong`] when no interface is named.
    pub fn check_for_capture(&self, path: &Path) -> Result<(), Error> {
        if self.capture.interfaces.is_empty() {
            let what = "no interface to capture from: set it, for example interfaces = [\"eth1\"], or PCAP_IFACE=eth1; `ip -brief link` lists them";
            return Err(Error::Wrong(vec![Problem::in_file(path, None, "capture.interfaces", what)]));
        }
        Ok(())
    }
}

/// The default file: every key with its documentation, commented out, so that a later default reaches who left it alone.
#[must_use]
pub fn default_toml() -> String {
    let defaults = toml::Table::try_from(Sections::default()).unwrap_or_default();
    let mut out = String::from(
        "# Settings of Tenrec. Every key is shown with its default; remove the # in front of a key to change it.\n# `tenrec check` says what is wrong with a file.\n",
    );
    for section in SECTIONS {
        out.push('\n');
        for line in section.doc {
            let _ = writeln!(out, "#{line}");
        }
        let _ = writeln!(out, "[{}]", section.name);
        for key in section.keys {
            out.push('\n');
            for line in key.doc {
                let _ = writeln!(out, "#{line}");
            }
            let value = defaults.get(section.name).and_then(|table| table.get(key.name)).map(ToString::to_string);
            let _ = writeln!(out, "#{} = {}", key.name, value.as_deref().unwrap_or(key.example));
        }
    }
    out
}

fn name_the_node(sections: &mut Sections) {
    if sections.node.name.is_empty() {
        sections.node.name = host_name();
    }
}

/// The machine's name, of letters, digits, `-` and `.`; `tenrec` where it has none.
#[must_use]
pub fn host_name() -> String {
    let host = rustix::system::uname();
    let name = host.nodename().to_string_lossy().replace(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.', "-");
    if name.is_empty() { "tenrec".to_owned() } else { name }
}

/// Sections and keys that do not exist, with the nearest that does.
fn unknown_keys(document: &DeTable<'_>, text: &str, path: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, value) in document {
        let line = Some(line_at(text, name.span().start));
        let Some(section) = SECTIONS.iter().find(|section| section.name == name.get_ref()) else {
            let what = match error::nearest(name.get_ref(), SECTIONS.iter().map(|section| section.name)) {
                Some(near) => format!("there is no section [{}]; did you mean [{near}]?", name.get_ref()),
                None => format!(
                    "there is no section [{}]; there are {}",
                    name.get_ref(),
                    SECTIONS.iter().map(|section| section.name).collect::<Vec<_>>().join(", ")
                ),
            };
            problems.push(Problem::in_file(path, line, "", what));
            continue;
        };
        let DeValue::Table(table) = value.get_ref() else {
            problems.push(Problem::in_file(
                path,
                line,
                section.name,
                format!("is a section: write [{}] on a line of its own", section.name),
            ));
            continue;
        };
        for key in table.keys().filter(|key| !section.keys.iter().any(|known| known.name == key.get_ref())) {
            let typed = key.get_ref();
            let elsewhere = SECTIONS.iter().find(|other| other.keys.iter().any(|known| known.name == typed));
            let what = match (error::nearest(typed, section.keys.iter().map(|key| key.name)), elsewhere) {
                (Some(near), _) => format!("there is no such key; did you mean {near}?"),
                (None, Some(other)) => format!("there is no such key in [{}]; it belongs into [{}]", section.name, other.name),
                (None, None) => {
                    format!(
                        "there is no such key; [{}] has {}",
                        section.name,
                        section.keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
                    )
                }
            };
            let line = Some(line_at(text, key.span().start));
            problems.push(Problem::in_file(path, line, format!("{}.{typed}", section.name), what));
        }
    }
    problems.sort_by_key(|problem| match problem.place {
        Place::File(_, line) => line,
        Place::Environment(_) => None,
    });
    problems
}

fn syntax(error: &toml::de::Error, text: &str, path: &Path) -> Problem {
    let line = error.span().map(|span| line_at(text, span.start));
    Problem::in_file(path, line, "", format!("this is not TOML: {}", error.message().replace('\n', ", ")))
}

/// A value of the wrong type or an unknown word, with the key that its place in the text belongs to.
fn wrong_value(error: &toml::de::Error, document: &DeTable<'_>, text: &str, path: &Path) -> Problem {
    let Some(span) = error.span() else { return Problem::in_file(path, None, "", error.message()) };
    let key = document.iter().find_map(|(section, value)| {
        let DeValue::Table(table) = value.get_ref() else { return None };
        let (key, _) = table.iter().find(|(_, value)| value.span().start <= span.start && span.end <= value.span().end)?;
        Some(format!("{}.{}", section.get_ref(), key.get_ref()))
    });
    let key = key.unwrap_or_default();
    // The message repeats the value.
    let said = if key.ends_with("password") { "is a text: write it in quotes" } else { error.message().trim() };
    Problem::in_file(path, Some(line_at(text, span.start)), key, said)
}

fn line_of(document: &DeTable<'_>, key: &str, text: &str) -> Option<usize> {
    let (section, key) = key.split_once('.')?;
    let (_, value) = document.iter().find(|(name, _)| name.get_ref() == section)?;
    let DeValue::Table(table) = value.get_ref() else { return None };
    let (key, _) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    Some(line_at(text, key.span().start))
}

/// Line of a byte offset, counted from 1.
fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests;
