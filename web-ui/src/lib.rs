//! The local web UI: pages over what the daemon answers on its control socket, and packets from `tenrec viewer`'s.
//!
//! Every page is rendered on the server and complete without JavaScript; the status page is renewed by server-sent
//! events where there is some. Nothing here changes anything.
//!
//! Invariant: this crate knows the two sockets and nothing else of the sensor (Cargo holds it).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic"))]

mod ask;
mod format;
mod history;
mod host;
mod pages;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::routing::get;
use tokio::net::TcpListener;
use tower_http::set_header::SetResponseHeaderLayer;

use self::history::Watch;

/// What the pages share.
#[derive(Clone)]
struct Shared {
    socket: Arc<PathBuf>,
    viewer: Arc<PathBuf>,
    watch: Watch,
}

/// Serves the pages until the process ends. `socket` is the daemon's, `viewer` that of `tenrec viewer`.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, socket: PathBuf, viewer: PathBuf) -> std::io::Result<()> {
    let watch = Watch::start(socket.clone());
    axum::serve(listener, app(socket, viewer, watch)).await
}

fn app(socket: PathBuf, viewer: PathBuf, watch: Watch) -> Router {
    let shared = Shared { socket: Arc::new(socket), viewer: Arc::new(viewer), watch };
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; \
                  base-uri 'none'; frame-ancestors 'none'";
    let set = |name: HeaderName, value: &'static str| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    Router::new()
        .route("/", get(pages::status::page))
        .route("/events", get(pages::status::events))
        .route("/connections", get(pages::connections::page))
        .route("/files", get(pages::files::page))
        .route("/packets", get(pages::packets::page))
        .route("/packets/download", get(pages::packets::download))
        .route("/healthz", get(pages::health::page))
        .route("/static/style.css", get(pages::assets::style))
        .route("/static/live.js", get(pages::assets::script))
        .route("/static/icon.svg", get(pages::assets::icon))
        .fallback(pages::missing::page)
        .with_state(shared)
        .layer(axum::middleware::from_fn(host::check))
        .layer(set(header::CONTENT_SECURITY_POLICY, policy))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set(header::REFERRER_POLICY, "no-referrer"))
        .layer(set(header::CACHE_CONTROL, "no-store"))
}
