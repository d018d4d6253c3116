//! Where a test works: the image, a folder for what it sees, and ports of this machine.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The surroundings of one test.
pub(crate) struct Lab {
    /// The image to boot.
    pub(crate) iso: PathBuf,
    /// Console texts, screenshots, what the collector received.
    pub(crate) folder: PathBuf,
    /// Disks and sockets; gone with the test.
    pub(crate) scratch: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new(iso: &Path, folder: &Path) -> anyhow::Result<Self> {
        if folder.exists() {
            std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let scratch = tempfile::Builder::new().prefix("iso-tests-").tempdir()?;
        Ok(Self { iso: iso.to_owned(), folder: folder.canonicalize()?, scratch })
    }

    /// An empty disk of so many gibibytes, which takes room as it is written to.
    pub(crate) fn disk(&self, name: &str, gibibytes: u64) -> anyhow::Result<PathBuf> {
        let path = self.scratch.path().join(format!("{name}.img"));
        std::fs::File::create(&path)?.set_len(gibibytes << 30)?;
        Ok(path)
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
