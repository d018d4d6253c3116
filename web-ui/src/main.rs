//! `tenrec-web`: serves the web UI.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use settings::Settings;
use tokio::net::TcpListener;

#[derive(Parser)]
#[command(name = "tenrec-web", version, about = "The web UI of the Tenrec sensor")]
struct Line {
    /// Settings file; without it, and without one at the default place, the defaults hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on, in place of web.listen
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The daemon's control socket, in place of control.socket
    #[arg(long, value_name = "SOCKET")]
    socket: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let line = Line::parse();
    let settings = match &line.config {
        Some(path) => Settings::load(path)?,
        None if std::path::Path::new(settings::DEFAULT_PATH).exists() => Settings::load(settings::DEFAULT_PATH.as_ref())?,
        None => Settings::from_environment()?,
    };
    let address = line.listen.unwrap_or(settings.web.listen);
    let socket = line.socket.unwrap_or_else(|| settings.control.socket.clone());
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: choose another address with web.listen, or see who has it with `ss -ltnp`")
    })?;
    tracing::info!(address = %listener.local_addr()?, socket = %socket.display(), "web UI listens");
    let snapshot = web_ui::watch_daemon(socket.clone());
    axum::serve(listener, web_ui::router(socket, snapshot)).await.context("the web UI ends")
}
