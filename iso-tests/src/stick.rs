//! A second stick, labelled TENREC-SET: the operator's settings for a machine that nobody will sit at.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::lab::Lab;

/// A FAT file system with these files, by name.
pub(crate) fn with_files(lab: &Lab, files: &[(&str, &str)]) -> anyhow::Result<PathBuf> {
    let image = lab.scratch.path().join("tenrec-set.img");
    std::fs::File::create(&image)?.set_len(16 << 20)?;
    run(Command::new("mkfs.vfat").args(["-n", "TENREC-SET"]).arg(&image))?;
    for (name, text) in files {
        let source = lab.scratch.path().join(Path::new(name).file_name().context("a file needs a name")?);
        std::fs::write(&source, text)?;
        run(Command::new("mcopy").arg("-i").arg(&image).arg(&source).arg(format!("::{name}")))?;
    }
    Ok(image)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?} cannot be started: is its package installed?"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
