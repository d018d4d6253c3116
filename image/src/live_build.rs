//! Debian's live-build: fetched at one version, unpacked beside the build and never installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::bundle::sha256;
use crate::mirror::Mirrors;
use crate::place::Place;
use crate::program::{Log, whole};

/// trixie's. Older ones make hybrid images with isolinux, which waits for a key for ever.
const VERSION: &str = "1:20250505+deb13u1";
const SHA256: &str = "58e09779881cbcc631c49ceb703413e0247a87db01823e597b2a1c40a2afd8f4";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// live-build, unpacked.
pub(crate) struct LiveBuild {
    folder: PathBuf,
}

impl LiveBuild {
    /// Fetches and unpacks it; a package that was fetched before is used again if it is still the same.
    ///
    /// # Errors
    /// When it cannot be had, or is another file than it should be.
    pub(crate) fn fetch(place: &Place, mirrors: &Mirrors, log: &mut Log) -> anyhow::Result<Self> {
        let package = place.out.join("live-build.deb");
        if !package.exists() || sha256(&package)? != SHA256 {
            download(&package, mirrors, log)?;
        }
        let found = sha256(&package)?;
        ensure!(found == SHA256, "live-build {VERSION} has the SHA-256 {found}, not {SHA256}: the mirror gave another file");
        let folder = place.out.join("live-build");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        unpack(&package, &folder, log)?;
        Ok(Self { folder })
    }

    /// `lb` with a command, in a working folder. Mounts and processes of it end with it, also when it is interrupted.
    pub(crate) fn command(&self, place: &Place, work: &Path) -> Command {
        let mut command = Command::new("unshare");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "lb"])
            .current_dir(work)
            .env("LIVE_BUILD", &self.folder)
            .env("PATH", format!("{}:{path}:/usr/sbin:/sbin", self.folder.join("bin").display()))
            .env("SOURCE_DATE_EPOCH", place.epoch.to_string())
            // What a host has set must not be seen in what it builds.
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env_remove("APT_CONFIG");
        command
    }
}

/// From the mirror that packages come from, with lists and caches of its own: the host's apt is left as it is.
fn download(package: &Path, mirrors: &Mirrors, log: &mut Log) -> anyhow::Result<()> {
    ensure!(Path::new(KEYRING).exists(), "{KEYRING} is missing: install the package debian-archive-keyring");
    let work = tempfile::tempdir().context("cannot make a temporary folder")?;
    let at = work.path();
    for folder in ["lists/partial", "archives/partial", "parts"] {
        std::fs::create_dir_all(at.join(folder)).context("cannot make a temporary folder")?;
    }
    let sources = format!("deb [signed-by={KEYRING}] {} trixie main\n", mirrors.archive);
    std::fs::write(at.join("sources.list"), sources).context("cannot write a temporary file")?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(at).args(["-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]);
        for (option, file) in [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::Etc::SourceParts", "parts"),
            ("Dir::State::Lists", "lists"),
            ("Dir::Cache::Archives", "archives"),
            ("Dir::Cache", "."),
        ] {
            command.arg("-o").arg(format!("{option}={}", at.join(file).display()));
        }
        command.args(arguments);
        command
    };
    log.run(&mut apt(&["update"]), whole).with_context(|| format!("cannot read the package lists of {}", mirrors.archive))?;
    log.run(&mut apt(&["download", &format!("live-build={VERSION}")]), whole)
        .with_context(|| format!("{} has no live-build {VERSION}", mirrors.archive))?;
    let fetched = std::fs::read_dir(at)
        .context("cannot read a temporary folder")?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get downloaded no package")?;
    std::fs::copy(&fetched, package).with_context(|| format!("cannot write {}", package.display()))?;
    Ok(())
}

/// Lays the package out as live-build's own source tree is, which LIVE_BUILD may point at.
fn unpack(package: &Path, folder: &Path, log: &mut Log) -> anyhow::Result<()> {
    let package_root = folder.join("package");
    std::fs::create_dir_all(&package_root).with_context(|| format!("cannot make {}", folder.display()))?;
    log.run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&package_root), whole)?;
    for (from, to) in [
        ("usr/lib/live", "scripts"),
        ("usr/share/live/build/functions", "functions"),
        ("usr/share/live/build/data", "data"),
        ("usr/share/live/build", "share"),
        ("usr/bin", "bin"),
    ] {
        std::fs::rename(package_root.join(from), folder.join(to)).with_context(|| format!("live-build has no {from}"))?;
    }
    // The one place that knows no LIVE_BUILD.
    let common = folder.join("functions/common.sh");
    let text = std::fs::read_to_string(&common).context("live-build has no functions/common.sh")?;
    let installed = "/usr/share/live/build/VERSION";
    ensure!(text.contains(installed), "live-build looks for its version elsewhere than in {installed}");
    std::fs::write(&common, text.replace(installed, "${LIVE_BUILD}/share/VERSION")).context("cannot write common.sh")?;
    Ok(())
}
