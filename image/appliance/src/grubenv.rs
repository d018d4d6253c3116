//! GRUB's environment block on the EFI system partition: which slot starts, and which one is on trial.
//!
//! ```text
//! slot=a         the system that proved itself
//! trial=b        the one that is to prove itself; empty for none
//! tries=3        starts that are left to it
//! version_a=…    what is in the slots, so that nobody has to mount them
//! version_b=…
//! ```
//!
//! The block is 1024 bytes and stays so: GRUB writes into it where it lies.

use std::collections::BTreeMap;

/// Bytes of the block.
pub(crate) const SIZE: usize = 1024;
const SIGNATURE: &str = "# GRUB Environment Block\n";
/// Starts of a system on trial.
pub(crate) const TRIES: u32 = 3;

/// Which slot starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// `a` or `b`.
    pub(crate) slot: String,
    /// `a`, `b` or empty.
    pub(crate) trial: String,
    /// Starts that are left.
    pub(crate) tries: u32,
    /// Version by slot.
    pub(crate) versions: BTreeMap<String, String>,
}

impl Environment {
    /// Of a block; what cannot be read counts as GRUB counts it: slot a, no trial.
    pub(crate) fn parse(block: &[u8]) -> Self {
        let text = String::from_utf8_lossy(block);
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
        let slot = |key: &str| Some(value(key)).filter(|name| matches!(*name, "a" | "b")).map(str::to_owned);
        let versions = ["a", "b"].into_iter().map(|name| (name.to_owned(), value(&format!("version_{name}")).to_owned()));
        Self {
            slot: slot("slot").unwrap_or_else(|| "a".to_owned()),
            trial: slot("trial").unwrap_or_default(),
            tries: value("tries").parse().unwrap_or(0).min(TRIES),
            versions: versions.filter(|(_, version)| !version.is_empty()).collect(),
        }
    }

    /// As a block.
    pub(crate) fn to_block(&self) -> Vec<u8> {
        let mut text = format!("{SIGNATURE}slot={}\ntrial={}\ntries={}\n", self.slot, self.trial, self.tries);
        for (slot, version) in &self.versions {
            // A version is short; one that is not must not push anything out of the block.
            let version: String = version.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
            text.push_str(&format!("version_{slot}={version}\n"));
        }
        let mut block = text.into_bytes();
        block.resize(SIZE, b'#');
        block
    }

    /// The slot that GRUB starts next.
    pub(crate) fn next(&self) -> &str {
        if self.trial.is_empty() || self.tries == 0 { &self.slot } else { &self.trial }
    }

    /// Nothing is on trial, and the other slot is not started: before it is written.
    pub(crate) fn writing(&mut self, running: &str) {
        running.clone_into(&mut self.slot);
        self.trial.clear();
        self.tries = 0;
        self.versions.remove(other(running));
    }

    /// The other slot was written, and is to prove itself.
    pub(crate) fn written(&mut self, running: &str, version: &str) {
        other(running).clone_into(&mut self.trial);
        self.tries = TRIES;
        self.versions.insert(other(running).to_owned(), version.to_owned());
    }

    /// The running slot has proved itself.
    pub(crate) fn good(&mut self, running: &str) {
        running.clone_into(&mut self.slot);
        self.trial.clear();
        self.tries = 0;
    }

    /// What `grub.cfg` does at a start: the slot that starts, and what it writes first.
    #[cfg(test)]
    pub(crate) fn start(&mut self) -> String {
        let slot = self.next().to_owned();
        if slot == self.trial {
            self.tries -= 1;
        }
        slot
    }
}

/// The slot that does not run.
pub(crate) fn other(slot: &str) -> &'static str {
    if slot == "a" { "b" } else { "a" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed() -> Environment {
        Environment { slot: "a".to_owned(), versions: [("a".to_owned(), "1.0".to_owned())].into(), ..Environment::default() }
    }

    #[test]
    fn a_block_is_what_grub_takes_and_comes_back_the_same() {
        let mut environment = installed();
        environment.written("a", "1.1");
        let block = environment.to_block();
        assert_eq!(block.len(), SIZE);
        assert!(block.starts_with(b"# GRUB Environment Block\nslot=a\ntrial=b\ntries=3\n"));
        assert_eq!(Environment::parse(&block), environment);
        assert_eq!(Environment::parse(b"garbage \xff").next(), "a");
        assert_eq!(Environment::parse(&Environment { versions: [("a".to_owned(), "x".repeat(5000))].into(), ..installed() }.to_block()).versions["a"].len(), 64);
    }

    #[test]
    fn a_system_that_never_proves_itself_has_three_starts_and_the_old_one_comes_back() {
        let mut environment = installed();
        environment.writing("a");
        assert_eq!(environment.next(), "a");
        environment.written("a", "1.1");
        let starts: Vec<String> = (0..5).map(|_| environment.start()).collect();
        assert_eq!(starts, ["b", "b", "b", "a", "a"]);
        assert_eq!((environment.trial.as_str(), environment.tries), ("b", 0));
    }

    #[test]
    fn a_system_that_proves_itself_stays_and_can_be_replaced_in_turn() {
        let mut environment = installed();
        environment.written("a", "1.1");
        assert_eq!(environment.start(), "b");
        environment.good("b");
        assert_eq!((0..4).map(|_| environment.start()).collect::<Vec<_>>(), ["b"; 4]);
        environment.writing("b");
        environment.written("b", "1.2");
        assert_eq!(environment.start(), "a");
        assert_eq!(environment.versions["a"], "1.2");
    }

    #[test]
    fn whatever_happens_a_slot_that_is_being_written_is_never_started() {
        for running in ["a", "b"] {
            for trial in ["", "a", "b"] {
                for tries in 0..=TRIES {
                    let mut environment = Environment { slot: running.to_owned(), trial: trial.to_owned(), tries, ..installed() };
                    environment.writing(running);
                    assert!((0..4).all(|_| environment.start() == running));
                }
            }
        }
    }
}
