//! The setup: what has been said so far in a session, and the order of its steps.
//!
//! A step changes a copy of the draft, and the copy takes its place once nothing is wrong with what the step asks for. So
//! the draft goes along back and forth, and a mistake never leaves its page. Nothing is in force before the summary.

pub(crate) mod step;

use std::collections::BTreeMap;

use settings::appliance::{Link, Preview};
use settings::edit::Draft;

/// A step with its path.
pub(crate) struct Step {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
}

/// The steps, in order.
pub(crate) const STEPS: &[Step] = &[
    Step { path: "/setup/code", name: "Code" },
    Step { path: "/setup/password", name: "Password" },
    Step { path: "/setup/network", name: "Network" },
    Step { path: "/setup/time", name: "Time" },
    Step { path: "/setup/interfaces", name: "Interfaces" },
    Step { path: "/setup/packets", name: "Packets" },
    Step { path: "/setup/files", name: "Files" },
    Step { path: "/setup/collector", name: "Collector" },
    Step { path: "/setup/summary", name: "Summary" },
];

/// What is being set up.
#[derive(Default)]
pub(crate) struct Wizard {
    /// The settings so far.
    pub(crate) draft: Draft,
    /// Whether they came as a file, so that only the summary is left.
    pub(crate) imported: bool,
    /// What was seen on each interface when it was last listened to.
    pub(crate) previews: BTreeMap<String, Result<Preview, String>>,
    /// How the links to the collector are.
    pub(crate) probe: Probe,
    /// Whether the sensor was said to stand alone.
    pub(crate) alone: bool,
}

/// The trial of the links.
#[derive(Clone, Debug, Default)]
pub(crate) enum Probe {
    /// Not tried with what the draft says.
    #[default]
    None,
    /// Being tried.
    Running,
    /// Tried.
    Done(Vec<Link>),
    /// It could not be tried.
    Failed(String),
}

/// The steps as a page shows them: number, path, name, and whether it is `done`, `current` or to come.
pub(crate) struct Outline(&'static str);

impl Outline {
    /// With the step at `path` as the current one.
    pub(crate) fn at(path: &'static str) -> Self {
        Self(path)
    }

    fn position(&self) -> usize {
        STEPS.iter().position(|step| step.path == self.0).unwrap_or(0)
    }

    /// `Step 3 of 9`.
    pub(crate) fn words(&self) -> String {
        format!("Step {} of {}", self.position() + 1, STEPS.len())
    }

    /// All steps.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&'static Step, &'static str)> {
        let position = self.position();
        STEPS.iter().enumerate().map(move |(at, step)| {
            (
                step,
                if at < position {
                    "done"
                } else if at == position {
                    "current"
                } else {
                    "coming"
                },
            )
        })
    }

    /// Where one came from; the code and the password are not gone back to.
    pub(crate) fn back(&self) -> Option<&'static str> {
        let before = self.position().checked_sub(1)?;
        (before > 1).then(|| STEPS.get(before).map(|step| step.path))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lead_back_but_not_before_the_password() {
        assert_eq!(Outline::at("/setup/network").back(), None);
        assert_eq!(Outline::at("/setup/time").back(), Some("/setup/network"));
        assert_eq!(Outline::at("/setup/summary").words(), "Step 9 of 9");
    }
}
