//! `tenrec collector`: the embedded collector on the command line, which tells what arrives, log by log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use collector::certificates::{self, Keys};
use collector::opensearch::{self, Server};
use collector::{Collector, Counts, Faults, Options, Tls};
use settings::Settings;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often new counts are told.
const TELL: Duration = Duration::from_secs(1);

/// Options of `tenrec collector`.
#[derive(Args)]
#[command(after_help = "EXAMPLES:
  tenrec collector                        listen as the settings say
  tenrec collector --listen 127.0.0.1:5044 --folder /tmp/received --certificates /tmp/certs

The first start makes certificates where there are none: a CA, the collector's own and one for a sensor. A sensor needs
ca.crt (forward.ca, opensearch.ca) and, if client certificates are wanted, client.crt and client.key.")]
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
    /// Address and port of the OpenSearch side, in place of `collector.opensearch_listen`
    #[arg(long, value_name = "ADDRESS:PORT")]
    opensearch_listen: Option<SocketAddr>,
    /// Go wrong on purpose, for tests: NAME[=VALUE][*TIMES], see collector/src/faults.rs; may be given several times
    #[arg(long, value_name = "FAULT", hide = true)]
    fault: Vec<String>,
    /// Present a certificate that has expired, for tests; made anew in the folder of the certificates
    #[arg(long, hide = true)]
    expired: bool,
    /// Speak without TLS, for tests
    #[arg(long, hide = true)]
    plain: bool,
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
    let make = if args.expired { certificates::expired } else { certificates::ensure };
    let files = make(&certificates, Keys::Ecdsa)?;
    let tls = Tls { certificate: files.server, key: files.server_key, ca: files.ca.clone(), clients: of.client_certificates };
    let tls = (!args.plain).then_some(tls);
    let faults = Faults::default();
    args.fault.iter().try_for_each(|text| faults.add_text(text)).map_err(anyhow::Error::msg)?;
    let options = Options { listen: args.listen.unwrap_or(of.listen), folder: folder.clone(), tls: tls.clone() };
    let second = args.opensearch_listen.or(of.opensearch_listen).map(|listen| {
        let user = (!of.opensearch_user.is_empty()).then(|| (of.opensearch_user.clone(), of.opensearch_password.reveal().to_owned()));
        opensearch::Options { tls, user, ..opensearch::Options::new(listen, folder.join("opensearch")) }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    runtime
        .block_on(async {
            let collector = Collector::bind(&options).await?.with_faults(faults.clone());
            let server = match &second {
                Some(options) => Some(Server::bind(options).await?.with_faults(faults)),
                None => None,
            };
            let mut tellers = vec![tokio::spawn(follow(collector.counts()))];
            if let Some(server) = &server {
                println!("taking sessions as OpenSearch does on {}", server.address());
                tellers.push(tokio::spawn(follow(server.counts())));
            }
            println!("collecting on {} into {}; sensors trust {}", collector.address(), folder.display(), files.ca.display());
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            let (stop, stopping) = watch::channel(false);
            let until = |mut stopping: watch::Receiver<bool>| async move {
                // An error means that nobody will ever say it.
                let _ = stopping.wait_for(|stop| *stop).await;
            };
            let told = async {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                stop.send_replace(true);
            };
            let sessions = async {
                if let Some(server) = server {
                    server.run(until(stopping.clone())).await;
                }
            };
            tokio::join!(told, collector.run(until(stopping.clone())), sessions);
            tellers.iter().for_each(tokio::task::JoinHandle::abort);
            anyhow::Ok(())
        })
        .context("the collector did not run")
}

/// Tells of what arrives, about once a second.
async fn follow(mut counts: watch::Receiver<Counts>) {
    let mut told = counts.borrow_and_update().clone();
    while counts.changed().await.is_ok() {
        let now = counts.borrow_and_update().clone();
        tell(&mut told, &now);
        tokio::time::sleep(TELL).await;
    }
}

/// One line for what is new since the last one.
fn tell(told: &mut Counts, now: &Counts) {
    let new: BTreeMap<&String, u64> = now
        .iter()
        .map(|(log, count)| (log, count.saturating_sub(told.get(log).copied().unwrap_or(0))))
        .filter(|(_, new)| *new > 0)
        .collect();
    if !new.is_empty() {
        let parts: Vec<String> = new.iter().map(|(log, new)| format!("{log} +{new}")).collect();
        println!("received {}  (in all {})", parts.join(", "), now.values().sum::<u64>());
    }
    told.clone_from(now);
}
