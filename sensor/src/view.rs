//! `tenrec viewer`: packets for Arkime's central viewer and the web UI, in a process and by a user of its own.

use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;
use settings::Settings;
use tenrec::{
    run::control,
    sandbox::{self, Policy, Strength},
};
use tokio::signal::unix::{SignalKind, signal};
use viewer::{Options, Server};

/// What Malcolm's secret was up to 26.05 where nobody had set one.
const PUBLISHED: &str = "Malcolm";

/// Options of `tenrec viewer`.
#[derive(Args)]
#[command(after_help = "The central viewer proves by a secret that it may have packets: Arkime's passwordSecret, Malcolm's
ARKIME_PASSWORD_SECRET. Set the same here, in viewer.secret, in the file that viewer.secret_file names, or in the
environment variable of that name. Without one nothing is served over the network.

The first start makes a certificate. Arkime's viewer takes any; the clocks of both machines must agree to two minutes.")]
pub(crate) struct View {
    /// Settings file; /etc/tenrec/tenrec.toml if it is there, else the defaults
    #[arg(long, short, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// Address and port of HTTPS, in place of `viewer.listen`
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(args: &View, settings: &Settings) -> ExitCode {
    crate::service::log();
    match serve(args, settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenrec: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &View, settings: &Settings) -> anyhow::Result<()> {
    let of = &settings.viewer;
    let folder = settings.pcap.folder.clone();
    fs::read_dir(&folder).with_context(|| {
        let folder = folder.display();
        format!("{folder} cannot be read: it is made when the sensor starts, and its group must be that of the viewer's user")
    })?;
    let secret = secret(settings)?;
    match secret.as_deref() {
        None => tracing::warn!(
            "no secret, so nothing is served over the network: set viewer.secret, viewer.secret_file or ARKIME_PASSWORD_SECRET to what the central viewer has"
        ),
        Some(PUBLISHED) => tracing::warn!(
            "the secret is the published one of Malcolm: whoever reaches this port may have packets; set another on both sides"
        ),
        Some(_) => {}
    }
    let local = control::bind(&of.socket, "viewer.socket")?;
    let server = Server::bind(Options {
        listen: args.listen.unwrap_or(of.listen),
        secret,
        certificates: of.certificates.clone(),
        local: Some(local),
        folder: folder.clone(),
        node: settings.node.name.clone(),
    })?;
    match server.address() {
        Some(address) => tracing::info!(%address, socket = %of.socket.display(), node = settings.node.name, "packets are served"),
        None => tracing::info!(socket = %of.socket.display(), node = settings.node.name, "packets are served on this machine alone"),
    }
    // All that is opened from here on are captures.
    let policy = Policy { read: vec![folder], write: Vec::new(), connect: Some(Vec::new()) };
    match sandbox::enter(&policy).context("privileges cannot be given up, so nothing is served")? {
        Strength::Full | Strength::Partial => {}
        Strength::WithoutLandlock => tracing::warn!("this kernel has no Landlock: files are protected by their modes alone"),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    let outcome = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = async {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        };
        server.run(stop).await
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    outcome.context("the viewer ended")
}

fn secret(settings: &Settings) -> anyhow::Result<Option<String>> {
    let of = &settings.viewer;
    let Some(file) = &of.secret_file else {
        return Ok((!of.secret.is_empty()).then(|| of.secret.reveal().to_owned()));
    };
    let text =
        fs::read_to_string(file).with_context(|| format!("the secret cannot be read from {}: see viewer.secret_file", file.display()))?;
    let secret = text.trim();
    if secret.is_empty() {
        bail!("{} is empty: put the secret that the central viewer has into it", file.display());
    }
    Ok(Some(secret.to_owned()))
}
