//! `tenrec-appliance`: what runs as root on the appliance.
//!
//! Each command is what one unit runs. What lasts (`serve`, `console`) has few privileges; what writes disks (`install`,
//! `update`) runs for as long as it takes and no longer, in a unit of its own.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failed test may panic"))]

mod attached;
mod bundle;
mod certificate;
mod clock;
mod console;
mod console_install;
mod data;
mod disks;
mod esp;
mod fetch;
mod files;
mod firewall;
mod grubenv;
mod install;
mod interfaces;
mod job;
mod medium;
mod network;
mod places;
mod preview;
mod probe;
mod program;
mod provision;
mod serve;
mod services;
mod setup;
mod ssh;
mod state;
mod support;
mod update;

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use settings::appliance::{Client, Request};
use tracing_subscriber::EnvFilter;

use crate::places::Places;

/// What runs as root on a Tenrec appliance.
#[derive(Parser)]
#[command(
    name = "tenrec-appliance",
    version,
    max_term_width = 100,
    after_help = "On an appliance the units call these: tenrec-data.service, tenrec-appliance.service,
tenrec-console@.service, tenrec-install.service, tenrec-update.service and tenrec-good.service."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put [system] in force and answer the web UI, for ever
    Serve {
        /// Socket to answer on
        #[arg(long, value_name = "PATH", default_value = settings::appliance::SOCKET)]
        socket: PathBuf,
    },
    /// Mount the data partition of the disk that was booted from, or make its folders in memory
    Data,
    /// Take up a settings file from the medium, while there are no settings
    Provision,
    /// Show address, certificate and setup code on this terminal, for ever
    Console,
    /// Install from the consoles, as the kernel parameters tenrec.install= and tenrec.disk= say
    ConsoleInstall {
        /// Socket of the appliance's service
        #[arg(long, value_name = "PATH", default_value = settings::appliance::SOCKET)]
        socket: PathBuf,
    },
    /// Install to a disk as tenrec-appliance.service was asked to
    Install,
    /// Write a bundle into the other slot as tenrec-appliance.service was asked to
    Update,
    /// Look which slot starts, for tenrec-appliance.service
    Slots,
    /// Wait until the web UI answers and the sensor is up, and keep the system that runs
    Good,
    /// Verify an update bundle and tell what is in it
    BundleInfo {
        /// The bundle
        file: PathBuf,
        /// A minisign public key, beside those in /usr/share/tenrec/update-keys; may be repeated
        #[arg(long, value_name = "KEY")]
        key: Vec<String>,
    },
    /// Ask the service one question, as the web UI does, and print its answer
    Ask {
        /// As JSON, such as {"request":"state"}
        request: String,
        /// Socket of the appliance's service
        #[arg(long, value_name = "PATH", default_value = settings::appliance::SOCKET)]
        socket: PathBuf,
    },
    /// Read a password on standard input and print its hash, as web.password in a settings file wants it
    HashPassword,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("TENREC_LOG").unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        // The journal has its own.
        .without_time()
        .with_ansi(false)
        .init();
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenrec-appliance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let places = Places::system();
    match command {
        Command::Serve { socket } => serve::run(places, &socket),
        Command::Data => data::run(&places),
        Command::Provision => provision::run(&places),
        Command::Console => console::show(&places),
        Command::ConsoleInstall { socket } => console_install::run(&places, &socket),
        Command::Install => install::run(&places),
        Command::Update => update::run(&places),
        Command::Slots => update::tell_slots(&places),
        Command::Good => update::good(&places),
        Command::BundleInfo { file, key } => {
            print!("{}", bundle::info(&file, &bundle::keys(&places, &key)?)?);
            Ok(())
        }
        Command::Ask { request, socket } => {
            let request: Request = serde_json::from_str(&request).context("this is no question")?;
            let answer = Client::connect(&socket)?.ask(&request)?;
            println!("{}", serde_json::to_string_pretty(&answer)?);
            Ok(())
        }
        Command::HashPassword => {
            let mut password = String::new();
            std::io::stdin().take(4096).read_to_string(&mut password).context("no password on standard input")?;
            let password = password.trim_end_matches(['\r', '\n']);
            if password.chars().count() < 12 {
                bail!("the password is too short: 12 characters at least");
            }
            println!("{}", setup::hash(password)?);
            Ok(())
        }
    }
}
