//! Where things are on the appliance. Tests put another root in front.

use std::path::{Path, PathBuf};

/// All paths start here.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    root: PathBuf,
}

impl Places {
    /// The machine that this runs on.
    pub(crate) fn system() -> Self {
        Self { root: PathBuf::from("/") }
    }

    /// Another tree.
    #[cfg(test)]
    pub(crate) fn under(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A path of the machine, given with its leading slash.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Settings, certificates and secrets: kept on the data partition.
    pub(crate) fn etc(&self) -> PathBuf {
        self.at("/etc/tenrec")
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> PathBuf {
        self.at("/etc/tenrec/tenrec.toml")
    }

    /// The settings that were in force before.
    pub(crate) fn previous(&self) -> PathBuf {
        self.at("/etc/tenrec/tenrec.toml.previous")
    }

    /// Version of the system that wrote the settings.
    pub(crate) fn written_by(&self) -> PathBuf {
        self.at("/etc/tenrec/tenrec.toml.version")
    }

    /// Hash of the administrator's password; without it the first boot's setup is pending.
    pub(crate) fn password(&self) -> PathBuf {
        self.at("/etc/tenrec/web.password")
    }

    /// What is lost with the power: socket, setup code, what jobs say.
    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.at("/run/tenrec-appliance").join(name)
    }

    /// One `/sys` or `/proc` file as text, trimmed; empty if it cannot be read.
    pub(crate) fn read(&self, path: &str) -> String {
        read_trimmed(&self.at(path))
    }
}

/// A small file as text, trimmed; empty if it cannot be read. For the kernel's files.
pub(crate) fn read_trimmed(path: &Path) -> String {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}
