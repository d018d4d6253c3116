//! Builds the appliance: the ISO from `live-build/`, its checksums, lists and update bundle.
//!
//! Everything is built in `out/`, nothing in the sources. live-build runs as root in mounts and processes of its own, so that an
//! interrupted build leaves nothing behind but files. What the image must keep to (size, no trace of the build machine, no
//! logins) is looked up in the finished image, and a build that does not keep to it fails.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic"))]

mod bundle;
mod check;
mod live_build;
mod mirror;
mod place;
mod program;
mod sbom;
mod stage;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail, ensure};
use clap::{Parser, Subcommand};

use crate::bundle::{FILES, Keys, sha256};
use crate::live_build::LiveBuild;
use crate::mirror::Mirrors;
use crate::place::{Place, VERSION};
use crate::program::{Log, whole};

/// Builds the appliance image and its update bundles.
#[derive(Parser)]
#[command(name = "image", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Build,
}

#[derive(Subcommand)]
enum Build {
    /// Build the ISO, its lists and its update bundle in out/; needs root, and asks sudo for it
    Iso {
        /// Build it again and compare: the same sources give the same bytes
        #[arg(long)]
        twice: bool,
        /// Keep the working folder, out/work
        #[arg(long)]
        keep: bool,
    },
    /// Make an update bundle of an ISO that was built before
    Bundle {
        /// The ISO; the newest in out/ unless given
        #[arg(long, value_name = "FILE")]
        iso: Option<PathBuf>,
        /// Version that the bundle says it has
        #[arg(long, value_name = "VERSION", default_value = VERSION)]
        as_version: String,
        /// Where to; out/tenrec-VERSION.tenrec unless given
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Build::Iso { twice, keep } => iso(twice, keep),
        Build::Bundle { iso, as_version, to } => bundle_of(iso, &as_version, to),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn iso(twice: bool, keep: bool) -> anyhow::Result<()> {
    let place = Place::find()?;
    become_root(&place)?;
    let mut log = Log::begin(&place.out.join("build.log"))?;
    let mirrors = Mirrors::find()?;
    log.step(&format!("packages come from {} and {}", mirrors.archive, mirrors.security));
    let live_build = LiveBuild::fetch(&place, &mirrors, &mut log)?;
    let keys = Keys::find(&place.out)?;

    let work = place.out.join("work");
    let built = build(&place, &live_build, &mirrors, &keys, &work, &mut log)?;
    if twice {
        log.step("building it again");
        let second = place.out.join("work-again");
        let again = build(&place, &live_build, &mirrors, &keys, &second, &mut log)?;
        compare(&built, &again)?;
        log.step("both builds are the same, byte for byte");
        if !keep {
            remove(&second)?;
        }
    }

    log.step("checking what was built");
    let live = work.join("binary/live");
    check::check(&built, &live.join("filesystem.squashfs"), &leaks(&place, &mirrors), &work, &mut log)?;

    let packages = fs::read_to_string(work.join("chroot.packages.live")).context("live-build wrote no list of packages")?;
    let (list, bill) = (place.beside("packages"), place.beside("cdx.json"));
    fs::write(&list, &packages).with_context(|| format!("cannot write {}", list.display()))?;
    sbom::write(&bill, &place, &packages)?;
    log.step("writing the update bundle");
    let update = place.out.join(format!("tenrec-{VERSION}.tenrec"));
    bundle::write(&update, &live, VERSION, &keys, place.epoch)?;
    let iso = place.iso();
    fs::rename(&built, &iso).with_context(|| format!("cannot write {}", iso.display()))?;
    sums(&place, &[&iso, &update, &list, &bill])?;
    if !keep {
        remove(&work)?;
    }
    give_back(&place)?;
    let size = fs::metadata(&iso).with_context(|| format!("cannot look at {}", iso.display()))?.len();
    log.step(&format!("{} ({} MB, of {} that it may have)", iso.display(), size / 1_000_000, check::MAX_ISO / 1_000_000));
    Ok(())
}

/// One run of live-build; the ISO that it made.
fn build(place: &Place, live_build: &LiveBuild, mirrors: &Mirrors, keys: &Keys, work: &Path, log: &mut Log) -> anyhow::Result<PathBuf> {
    remove(work)?;
    log.step("staging binaries, rules and keys");
    stage::stage(place, work, &keys.public_text()?, log)?;
    log.step("live-build");
    let mut config = live_build.command(place, work);
    config.arg("config");
    for (option, mirror) in [
        ("--mirror-bootstrap", mirrors.archive.as_str()),
        ("--mirror-chroot", &mirrors.archive),
        ("--mirror-chroot-security", &mirrors.security),
        // What apt in the image would use: left out of it by config/rootfs/excludes.
        ("--mirror-binary", &mirrors.archive),
        ("--mirror-binary-security", &mirrors.security),
    ] {
        config.args([option, mirror]);
    }
    let mut run = live_build.command(place, work);
    run.arg("build");
    if let Some(proxy) = &mirrors.proxy {
        config.args(["--apt-http-proxy", proxy]);
        run.env("http_proxy", proxy);
    }
    log.run(&mut config, whole)?;
    log.run(&mut run, stages)?;
    let iso = work.join("tenrec-amd64.hybrid.iso");
    ensure!(iso.exists(), "live-build ended well and made no {}", iso.display());
    Ok(iso)
}

/// The long ones of live-build's stages: `[2026-11-24 17:20:01] lb chroot_hooks`.
fn stages(line: &str) -> Option<&str> {
    let (_, stage) = line.strip_prefix('[')?.split_once("] lb ")?;
    let told = ["bootstrap_debootstrap", "chroot_linux-image", "chroot_install-packages", "chroot_hooks", "binary_rootfs", "binary_iso"];
    told.contains(&stage.split(' ').next()?).then_some(stage)
}

/// live-build needs root: sudo gives it, with what the environment says about the build.
fn become_root(place: &Place) -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    eprintln!("image: building the image needs root (it mounts file systems and unpacks packages): asking sudo");
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let mut sudo = Command::new("sudo");
    sudo.arg("env").arg(format!("SOURCE_DATE_EPOCH={}", place.epoch));
    for name in
        ["TENREC_UPDATE_KEY", "TENREC_UPDATE_PASSWORD", "TENREC_MIRROR", "TENREC_SECURITY_MIRROR", "CARGO_HOME", "RUSTUP_HOME", "HOME"]
    {
        if let Ok(value) = std::env::var(name) {
            sudo.arg(format!("{name}={value}"));
        }
    }
    let error = sudo.arg(program).args(std::env::args_os().skip(1)).exec();
    Err(error).context("there is neither root nor sudo: run this as root")
}

/// Strings of this machine that must not be in the image.
fn leaks(place: &Place, mirrors: &Mirrors) -> Vec<String> {
    let mut leaks = mirrors.private_hosts();
    leaks.push(place.tree.display().to_string());
    // Where crates and the compiler's sources lie.
    for (variable, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let own = || std::env::var("HOME").ok().map(|home| format!("{home}/{folder}"));
        leaks.extend(std::env::var(variable).ok().or_else(own));
    }
    leaks
}

fn compare(one: &Path, two: &Path) -> anyhow::Result<()> {
    if sha256(one)? == sha256(two)? {
        return Ok(());
    }
    let live = |iso: &Path, name: &str| iso.parent().map(|work| work.join("binary/live").join(name)).unwrap_or_default();
    let mut other = Vec::new();
    for name in FILES {
        if sha256(&live(one, name))? != sha256(&live(two, name))? {
            other.push(*name);
        }
    }
    bail!(
        "two builds of the same sources differ: {} and {}; of the system's files these do: [{}]",
        one.display(),
        two.display(),
        other.join(", ")
    )
}

fn sums(place: &Place, files: &[&Path]) -> anyhow::Result<()> {
    let mut text = String::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        text.push_str(&format!("{}  {name}\n", sha256(file)?));
    }
    let to = place.out.join("SHA256SUMS");
    fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))
}

/// Under sudo, what was built belongs to who built it.
fn give_back(place: &Place) -> anyhow::Result<()> {
    let (Ok(user), Ok(group)) = (std::env::var("SUDO_UID"), std::env::var("SUDO_GID")) else { return Ok(()) };
    program::output(Command::new("chown").arg("--recursive").arg(format!("{user}:{group}")).arg(&place.out))?;
    Ok(())
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

fn bundle_of(iso: Option<PathBuf>, version: &str, to: Option<PathBuf>) -> anyhow::Result<()> {
    let place = Place::find()?;
    let iso = iso.unwrap_or_else(|| place.iso());
    ensure!(iso.exists(), "{} is missing: make iso builds it", iso.display());
    let keys = Keys::find(&place.out)?;
    let parts = tempfile::tempdir_in(&place.out).context("cannot make a temporary folder")?;
    for name in FILES {
        let mut take = Command::new("xorriso");
        take.args(["-osirrox", "on", "-indev"]).arg(&iso).arg("-extract").arg(format!("/live/{name}")).arg(parts.path().join(name));
        program::output(&mut take)?;
    }
    let to = to.unwrap_or_else(|| place.out.join(format!("tenrec-{version}.tenrec")));
    bundle::write(&to, parts.path(), version, &keys, place.epoch)?;
    println!("{}", to.display());
    Ok(())
}
