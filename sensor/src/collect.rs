//! `tenrec collector`: the embedded collector on the command line, which tells what arrives, log by log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use collector::certificates::{self, Keys};
use collector::{Collector, Counts, Options, Tls};
use settings::Settings;
use tokio::signal::unix::{SignalKind, signal};

/// How often new counts are told.
const TELL: Duration = Duration::from_secs(1);

/// Options of `tenrec collector`.
#[derive(Args)]
#[command(after_help = "EXAMPLES:
  tenrec collector                        listen as the settings say
  tenrec collector --listen 127.0.0.1:5044 --folder /tmp/received --certificates /tmp/certs

The first start makes certificates where there are none: a CA, the collector's own and one for a sensor. A sensor needs
ca.crt (forward.ca) and, if client certificates are wanted, client.crt and client.key.")]
pub(crate) struct Collect {
    /// Settings file; /etc/tenrec/tenrec.toml if it is there, else the defaults
    #[arg(long, short, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// Address and port, in place of `collector.listen`
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Folder for what is received, in place of `collector.folder`
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Folder of the certificates, in place of `collector.certificates`
    #[arg(long, value_name = "DIR")]
    certificates: Option<PathBuf>,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(args: Collect, settings: &Settings) -> ExitCode {
    match collect(args, settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenrec: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn collect(args: Collect, settings: &Settings) -> anyhow::Result<()> {
    let of = &settings.collector;
    let folder = args.folder.unwrap_or_else(|| of.folder.clone());
    let certificates = args.certificates.unwrap_or_else(|| of.certificates.clone());
    let files = certificates::ensure(&certificates, Keys::Ecdsa)?;
    let options = Options {
        listen: args.listen.unwrap_or(of.listen),
        folder: folder.clone(),
        tls: Some(Tls { certificate: files.server, key: files.server_key, ca: files.ca.clone(), clients: of.client_certificates }),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    runtime
        .block_on(async {
            let collector = Collector::bind(&options).await?;
            println!("collecting on {} into {}; sensors trust {}", collector.address(), folder.display(), files.ca.display());
            let mut counts = collector.counts();
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            let teller = tokio::spawn(async move {
                let mut told = Counts::new();
                while counts.changed().await.is_ok() {
                    let now = counts.borrow_and_update().clone();
                    tell(&mut told, &now);
                    tokio::time::sleep(TELL).await;
                }
            });
            let stop = async move {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            };
            collector.run(stop).await;
            teller.abort();
            anyhow::Ok(())
        })
        .context("the collector did not run")
}

/// One line for what is new since the last one.
fn tell(told: &mut Counts, now: &Counts) {
    let new: BTreeMap<&String, u64> =
        now.iter().map(|(log, count)| (log, count - told.get(log).copied().unwrap_or(0))).filter(|(_, new)| *new > 0).collect();
    if !new.is_empty() {
        let parts: Vec<String> = new.iter().map(|(log, new)| format!("{log} +{new}")).collect();
        println!("received {}  (in all {})", parts.join(", "), now.values().sum::<u64>());
    }
    told.clone_from(now);
}
