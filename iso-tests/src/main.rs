//! Boots the appliance image in QEMU and uses it as an operator would: over HTTPS in a browser, with traffic on its capture
//! port, and a collector that it delivers to.
//!
//! ```text
//! cargo run --release -p iso-tests                 the whole matrix
//! cargo run --release -p iso-tests -- --quick      BIOS boot, wizard, forwarding: what CI runs
//! ```
//! A test is a function that reads as a script; see `tests/`. It waits for events, each with a deadline, never for time to
//! pass. What it saw (console, screenshots, logs) is in `out/iso-tests/NAME/`, whether it passed or not.

mod browser;
mod central;
mod guest;
mod https;
mod lab;
mod provision;
mod relay;
mod stick;
mod tests;
mod traffic;
mod wait;
mod wizard;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};

use crate::lab::Lab;

/// Boots the appliance image in QEMU and uses it as an operator would.
#[derive(Parser)]
#[command(
    name = "iso-tests",
    max_term_width = 100,
    after_help = "Each boot takes a minute on a quiet machine and several on a busy one: the processor is emulated.
Console text, screenshots and what the collector received are kept in FOLDER/NAME."
)]
struct Cli {
    /// Image to boot; the newest of out/*.iso unless given
    #[arg(long, value_name = "FILE")]
    iso: Option<PathBuf>,
    /// Where what was seen is kept
    #[arg(long, value_name = "FOLDER", default_value = "out/iso-tests")]
    out: PathBuf,
    /// Only those tests that CI runs
    #[arg(long)]
    quick: bool,
    /// Only this test; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// List the tests and end
    #[arg(long)]
    list: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Join standard input and output to a port of this machine; started by QEMU for each connection of a guest
    #[command(hide = true)]
    Relay {
        /// TCP port on loopback
        port: u16,
    },
}

/// A test: its name is a sentence.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) about: &'static str,
    /// Whether CI runs it.
    pub(crate) quick: bool,
    pub(crate) run: fn(&Lab) -> anyhow::Result<()>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Relay { port }) = cli.command {
        return relay::run(port);
    }
    match run(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("iso-tests: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether all tests passed.
fn run(cli: &Cli) -> anyhow::Result<bool> {
    if cli.list {
        for test in tests::ALL {
            println!("{}{}\n    {}", test.name, if test.quick { "  (quick)" } else { "" }, test.about);
        }
        return Ok(true);
    }
    if let Some(unknown) = cli.only.iter().find(|name| !tests::ALL.iter().any(|test| test.name == *name)) {
        bail!("there is no test {unknown}: --list tells their names");
    }
    let chosen = |test: &&Test| if cli.only.is_empty() { !cli.quick || test.quick } else { cli.only.iter().any(|name| name == test.name) };
    let iso = match &cli.iso {
        Some(iso) => iso.clone(),
        None => newest(Path::new("out"))?,
    };
    let iso = iso.canonicalize().with_context(|| format!("there is no image {}: make iso builds one", iso.display()))?;
    println!("booting {}", iso.display());
    let (mut passed, mut failed) = (0, 0);
    for test in tests::ALL.iter().filter(chosen) {
        println!("test {} ...", test.name);
        let begun = Instant::now();
        let folder = cli.out.join(test.name);
        match Lab::new(&iso, &folder).and_then(|lab| (test.run)(&lab)) {
            Ok(()) => {
                passed += 1;
                println!("test {} ... ok, {} s", test.name, begun.elapsed().as_secs());
            }
            Err(error) => {
                failed += 1;
                println!("test {} ... FAILED, {} s: {error:#}", test.name, begun.elapsed().as_secs());
                println!("    console and screenshots are in {}", folder.display());
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0 && passed > 0)
}

fn newest(folder: &Path) -> anyhow::Result<PathBuf> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("there is no folder {}: make iso builds an image", folder.display()))?;
    let isos = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "iso"));
    let changed = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
    isos.max_by_key(changed).with_context(|| format!("there is no image in {}: make iso builds one", folder.display()))
}
