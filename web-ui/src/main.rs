//! `tenrec-web`: the local web UI of the sensor, a process and a user of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use settings::{Settings, appliance};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use web_ui::tls::Identity;
use web_ui::{APPLIANCE_PORT, Options};

/// Certificate and key of the appliance, made at its first boot.
const APPLIANCE_IDENTITY: [&str; 2] = ["/etc/tenrec/web.crt", "/etc/tenrec/web.key"];
/// Threads that wait for an answer of a socket at most.
const MAX_WAITING: usize = 64;

/// The local web UI of a Tenrec sensor: status, recent connections, files and verdicts, packets.
///
/// It has no privileges: all it shows it asks of the daemon over the control socket, packets of `tenrec viewer` over that
/// one's, and on the appliance it has `tenrec-appliance` do what needs root.
#[derive(Parser)]
#[command(name = "tenrec-web", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    act: Option<Act>,
    /// Settings file; /etc/tenrec/tenrec.toml if it is there, else the defaults
    #[arg(long, short, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Address and port to listen on, in place of `web.listen`
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Control socket of the daemon, in place of `control.socket`
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Socket of `tenrec viewer`, in place of `viewer.socket`
    #[arg(long, value_name = "PATH")]
    viewer: Option<PathBuf>,
    /// Folder for the audit log and the tokens of programs
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/tenrec-web")]
    state: PathBuf,
    /// Serve everything to everyone without a login; on a loopback address alone
    #[arg(long, conflicts_with = "appliance")]
    open: bool,
    /// Be the web UI of the appliance: HTTPS on port 8443 of every address, the setup at the first boot, and the system
    #[arg(long)]
    appliance: bool,
}

#[derive(Subcommand)]
enum Act {
    /// Set the administrator's password: asks for it, or reads it from standard input
    Password {
        /// File for its hash, in place of `web.password_file`
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("TENREC_LOG").unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .init();
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenrec-web: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let path = cli.settings.clone().unwrap_or_else(|| PathBuf::from(settings::DEFAULT_PATH));
    let settings = match path.exists().then(|| Settings::load(&path)) {
        Some(Ok(settings)) => settings,
        // The appliance is mended through the web UI: it must come up whatever its settings say.
        Some(Err(error)) if cli.appliance => {
            tracing::error!(%error, "the settings cannot be used; the web UI goes on with the defaults");
            Settings::default()
        }
        Some(Err(error)) => return Err(error.into()),
        None => Settings::default(),
    };
    if let Some(Act::Password { file }) = cli.act {
        return web_ui::command::set_password(&file.unwrap_or_else(|| settings.web.password_file.clone()));
    }
    let everywhere = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), APPLIANCE_PORT);
    let listen = cli.listen.unwrap_or(if cli.appliance { everywhere } else { settings.web.listen });
    let identity = identity(cli.appliance, &settings)?;
    if !listen.ip().is_loopback() {
        if cli.open {
            bail!("--open would show everything to everyone at {listen}: listen on a loopback address, as 127.0.0.1:8080");
        }
        if identity.is_none() {
            bail!("at {listen} all would be read on the way: set web.certificate and web.key, or listen on a loopback address");
        }
    }
    let options = Options {
        control: cli.socket.unwrap_or_else(|| settings.control.socket.clone()),
        viewer: cli.viewer.unwrap_or_else(|| settings.viewer.socket.clone()),
        appliance: cli.appliance.then(|| PathBuf::from(appliance::SOCKET)),
        settings: path,
        password_file: settings.web.password_file.clone(),
        setup_code: cli.appliance.then(|| PathBuf::from(appliance::SETUP_CODE)),
        open: cli.open,
        names: settings.web.names.clone(),
        state: is_folder(&cli.state).then_some(cli.state),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(MAX_WAITING).build()?;
    runtime.block_on(async {
        let listener =
            bind(listen).await.with_context(|| format!("cannot listen on {listen}: choose another address with --listen or web.listen"))?;
        let address = listener.local_addr()?;
        let scheme = if identity.is_some() { "https" } else { "http" };
        println!("the web UI is at {scheme}://{address}/");
        tracing::info!(%address, scheme, "web UI is up");
        web_ui::serve(listener, identity, options).await;
        Ok(())
    })
}

/// Listens on the address; on every one of IPv4 where every one was meant and the kernel has no IPv6.
async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(listen).await {
        Err(error) if listen.ip() == Ipv6Addr::UNSPECIFIED && error.kind() == std::io::ErrorKind::Unsupported => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, listen.port())).await
        }
        bound => bound,
    }
}

/// Certificate and key: the appliance's own where the settings name none.
fn identity(appliance: bool, settings: &Settings) -> anyhow::Result<Option<Arc<Identity>>> {
    let (certificate, key) = match (&settings.web.certificate, &settings.web.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ if appliance => APPLIANCE_IDENTITY.map(PathBuf::from).into(),
        _ => return Ok(None),
    };
    Ok(Some(Arc::new(Identity::load(&certificate, &key)?)))
}

/// Without a folder of its own the web UI works, and keeps no audit log of its own and no tokens.
fn is_folder(path: &std::path::Path) -> bool {
    let is = path.is_dir();
    if !is {
        tracing::warn!(folder = %path.display(), "there is no such folder: audit log and tokens are not kept; choose one with --state");
    }
    is
}
