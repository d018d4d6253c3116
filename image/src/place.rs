//! Where things are and which version this is.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

/// Version of the image: the workspace's.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Folders of the build machine.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The source tree.
    pub(crate) tree: PathBuf,
    /// The release binaries: beside this program.
    pub(crate) binaries: PathBuf,
    /// What is built.
    pub(crate) out: PathBuf,
    /// Seconds since 1970 that every file of the image bears.
    pub(crate) epoch: u64,
}

impl Place {
    /// The source tree around the working folder.
    ///
    /// # Errors
    /// When this is no source tree, or its last commit's time cannot be told.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let here = std::env::current_dir().context("cannot tell the working folder")?;
        let tree = here
            .ancestors()
            .find(|folder| folder.join("live-build/auto/config").exists())
            .with_context(|| format!("{} is not in Tenrec's source tree: change into it", here.display()))?
            .to_path_buf();
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let binaries = program.parent().context("this program is in no folder")?.to_path_buf();
        let epoch = epoch(&tree)?;
        let out = tree.join("out");
        std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        Ok(Self { tree, binaries, out, epoch })
    }

    /// Name of the ISO.
    pub(crate) fn iso(&self) -> PathBuf {
        self.out.join(format!("tenrec-{VERSION}-amd64.iso"))
    }

    /// A file beside the ISO: packages, bill of materials.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        self.out.join(format!("tenrec-{VERSION}-amd64.{suffix}"))
    }
}

/// SOURCE_DATE_EPOCH, or when the last commit was made: the same sources give the same image.
fn epoch(tree: &Path) -> anyhow::Result<u64> {
    if let Some(given) = std::env::var_os("SOURCE_DATE_EPOCH") {
        let given = given.to_string_lossy().into_owned();
        return given.parse().with_context(|| format!("SOURCE_DATE_EPOCH is {given:?}: seconds since 1970 are wanted"));
    }
    let output = Command::new("git").arg("-C").arg(tree).args(["log", "-1", "--format=%ct"]).output();
    let Ok(output) = output else { bail!("git is missing: install it, or set SOURCE_DATE_EPOCH to seconds since 1970") };
    ensure!(output.status.success(), "this is no clone of the repository: set SOURCE_DATE_EPOCH to seconds since 1970");
    String::from_utf8_lossy(&output.stdout).trim().parse().context("git told no time for the last commit")
}
