//! The live-build tree with what was built here: binaries, rules, version, keys. live-build works in the copy, never in the
//! sources.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::place::{Place, VERSION};
use crate::program::{Log, whole};

/// Programs of the appliance.
pub(crate) const PROGRAMS: &[&str] = &["tenrec", "tenrec-web", "tenrec-appliance"];

/// Copies the tree to `work` and adds what it is to hold.
///
/// # Errors
/// When a binary is missing or a file cannot be written.
pub(crate) fn stage(place: &Place, work: &Path, public_key: &str, log: &mut Log) -> anyhow::Result<()> {
    copy(&place.tree.join("live-build"), work)?;
    let root = work.join("config/includes.chroot");
    for program in PROGRAMS {
        let built = place.binaries.join(program);
        ensure!(built.exists(), "{} is missing: run make build", built.display());
        let to = root.join("usr/bin").join(program);
        write(&to, &fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?)?;
        mode(&to, 0o755)?;
        log.run(Command::new("strip").arg(&to), whole)?;
    }
    copy(&place.tree.join("sensor/scan/rules"), &root.join("usr/share/tenrec/rules"))?;
    write(&root.join("usr/share/tenrec/update-keys/image.pub"), public_key.as_bytes())?;
    write(&root.join("etc/os-release"), os_release(place).as_bytes())?;
    Ok(())
}

/// os-release(5): whoever asks for the system's name is told Tenrec's, and programs that ask for Debian find it in ID_LIKE.
fn os_release(place: &Place) -> String {
    format!(
        "PRETTY_NAME=\"Tenrec {VERSION}\"\nNAME=Tenrec\nID=tenrec\nID_LIKE=debian\nVERSION_ID={VERSION}\nVERSION_CODENAME=trixie\n\
         IMAGE_ID=tenrec\nIMAGE_VERSION={VERSION}\nBUILD_ID={}\n",
        place.epoch
    )
}

/// Copies a folder with the modes that the image wants: for everyone to read, for root to write, whatever the umask of who cloned
/// the sources was.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    make(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().with_context(|| format!("cannot look at {}", path.display()))?;
        if kind.is_symlink() {
            let points = fs::read_link(&path).with_context(|| format!("cannot read {}", path.display()))?;
            symlink(points, &target).with_context(|| format!("cannot write {}", target.display()))?;
        } else if kind.is_dir() {
            copy(&path, &target)?;
        } else {
            let executable = entry.metadata().with_context(|| format!("cannot look at {}", path.display()))?.permissions().mode() & 0o100;
            fs::copy(&path, &target).with_context(|| format!("cannot copy {} to {}", path.display(), target.display()))?;
            mode(&target, if executable == 0 { 0o644 } else { 0o755 })?;
        }
    }
    Ok(())
}

fn make(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    mode(folder, 0o755)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut above = Vec::new();
    let mut folder = path.parent();
    while let Some(missing) = folder.filter(|folder| !folder.exists()) {
        above.push(missing);
        folder = missing.parent();
    }
    for folder in above.iter().rev() {
        make(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    mode(path, 0o644)
}

fn mode(path: &Path, bits: u32) -> anyhow::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).with_context(|| format!("cannot set the mode of {}", path.display()))
}
