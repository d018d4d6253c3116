//! The Suricata rule language: rules in, alerts out.
//!
//! A beginning: headers, contents with their modifiers, PCRE, flow, flowbits, dsize and the sticky buffers of HTTP, DNS
//! and TLS. A rule that asks for anything else is refused by name rather than half obeyed: it never alerts by mistake.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic"))]

mod content;
mod engine;
mod header;
mod rule;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use analyze::{Options, Sensor};
pub use engine::Engine;
pub use rule::{Refused, Rule};

/// Rules that were read, and those that were not.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Arc<Vec<Rule>>,
    /// Rules that were refused, with the reason.
    pub refused: Vec<Broken>,
}

/// A rule that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {why}", file.display())]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: Refused,
}

impl RuleSet {
    /// Reads rule files. Rules that are refused are in [`RuleSet::refused`]; the others are at work.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(files: &[PathBuf]) -> std::io::Result<Self> {
        let mut all = Self::default();
        files.iter().try_for_each(|file| all.add(file))?;
        Ok(all)
    }

    /// Adds the rules of a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn add(&mut self, file: &Path) -> std::io::Result<()> {
        let text = std::fs::read(file)?;
        let rules = Arc::make_mut(&mut self.rules);
        for (line, outcome) in parse(&String::from_utf8_lossy(&text)) {
            match outcome {
                Ok(rule) => rules.push(rule),
                Err(why) => self.refused.push(Broken { file: file.to_owned(), line, why }),
            }
        }
        Ok(())
    }

    /// Reads rules from a text, as from one file.
    pub fn from_text(text: &str) -> Self {
        let mut set = Self::default();
        let mut rules = Vec::new();
        for (line, outcome) in parse(text) {
            match outcome {
                Ok(rule) => rules.push(rule),
                Err(why) => set.refused.push(Broken { file: PathBuf::new(), line, why }),
            }
        }
        set.rules = Arc::new(rules);
        set
    }

    /// Rules at work.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules at work in one worker.
    pub fn engine(&self) -> Engine {
        Engine::new(Arc::clone(&self.rules))
    }

    /// An analysis that the rules look on; where there are none they cost nothing.
    pub fn sensor(&self, options: Options) -> Sensor {
        match self.is_empty() {
            true => Sensor::new(options),
            false => Sensor::with_rules(options, Box::new(self.engine())),
        }
    }
}

/// Rules of a text with the numbers of their last lines; a backslash at the end of a line joins it to the next.
fn parse(text: &str) -> Vec<(usize, Result<Rule, Refused>)> {
    let mut outcomes = Vec::new();
    let mut joined = String::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(begun) = line.trim_end().strip_suffix('\\') {
            joined.push_str(begun);
            continue;
        }
        joined.push_str(line);
        let rule = std::mem::take(&mut joined);
        let rule = rule.trim();
        if !rule.is_empty() && !rule.starts_with('#') {
            outcomes.push((number + 1, Rule::parse(rule)));
        }
    }
    outcomes
}

#[cfg(test)]
mod tests;
