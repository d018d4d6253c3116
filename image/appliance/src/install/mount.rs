//! A file system that is mounted for as long as it is needed, in the unit's own namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::places::Places;
use crate::program::Program;

/// Forcing gigabytes to a slow disk.
const PATIENCE: Duration = Duration::from_secs(600);

/// A mounted file system; unmounted when it is gone.
#[derive(Debug)]
pub(crate) struct Mounted {
    at: PathBuf,
    mounted: bool,
}

impl Mounted {
    /// Mounts a device under the run-time folder.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub(crate) fn at(places: &Places, device: &Path, name: &str) -> anyhow::Result<Self> {
        let at = places.run("mounted").join(name);
        fs::create_dir_all(&at)?;
        Program::new("mount")
            .args(["-t", "ext4", "-o", "nodev,nosuid,noexec"])
            .args([device.to_string_lossy(), at.to_string_lossy()])
            .within(PATIENCE)
            .run()
            .with_context(|| format!("{} cannot be mounted", device.display()))?;
        Ok(Self { at, mounted: true })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// Forces all to the disk.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(crate) fn sync(&self) -> anyhow::Result<()> {
        Program::new("sync")
            .arg("--file-system")
            .arg(self.at.to_string_lossy())
            .within(PATIENCE)
            .run()
            .context("the disk does not take what was written")?;
        Ok(())
    }

    /// Unmounts it.
    ///
    /// # Errors
    /// When it cannot be unmounted: then what was written may not be on the disk.
    pub(crate) fn unmount(mut self) -> anyhow::Result<()> {
        self.mounted = false;
        Program::new("umount").arg(self.at.to_string_lossy()).within(PATIENCE).run().context("the file system cannot be unmounted")?;
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.mounted {
            drop(Program::new("umount").arg(self.at.to_string_lossy()).within(PATIENCE).run());
        }
    }
}
