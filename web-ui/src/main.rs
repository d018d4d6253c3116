//! `tenrec-web`: the local web UI of the sensor, a process and a user of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use settings::Settings;
use tracing_subscriber::EnvFilter;

/// The local web UI of a Tenrec sensor: status, recent connections, files and verdicts.
///
/// It holds no state and no privileges: all it shows it asks of the daemon over the control socket, and packets of
/// `tenrec viewer` over that one's.
#[derive(Parser)]
#[command(name = "tenrec-web", version, max_term_width = 100)]
struct Cli {
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
    let path = cli.settings.unwrap_or_else(|| PathBuf::from(settings::DEFAULT_PATH));
    let settings = if path.exists() { Settings::load(&path)? } else { Settings::default() };
    let listen = cli.listen.unwrap_or(settings.web.listen);
    let socket = cli.socket.unwrap_or_else(|| settings.control.socket.clone());
    let viewer = cli.viewer.unwrap_or_else(|| settings.viewer.socket.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}: choose another address with --listen or web.listen"))?;
        let address = listener.local_addr()?;
        println!("the web UI is at http://{address}/");
        tracing::info!(%address, "web UI is up");
        web_ui::serve(listener, socket, viewer).await.context("the web UI ended")
    })
}
