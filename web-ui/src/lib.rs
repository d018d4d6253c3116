//! The local web UI. A process and a user of its own: it knows the control socket and nothing else, so whoever takes it over
//! can ask the daemon what anyone in its group can ask, and read no packet.
//!
//! Pages are HTML made here; they are complete without JavaScript, which only keeps them fresh. Nothing is stored in
//! the browser, nothing is loaded from elsewhere, and the Content-Security-Policy holds both.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failed test may panic"))]

mod assets;
mod daemon;
mod events;
mod format;
mod headers;
mod pages;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::sync::{Semaphore, watch};

pub use daemon::{Snapshot, watch_daemon};

/// Browsers that may keep an event stream open at the same time. More are told to reload by themselves.
const MAX_STREAMS: usize = 32;

/// What every handler has.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) socket: Arc<PathBuf>,
    pub(crate) snapshot: watch::Receiver<Snapshot>,
    pub(crate) streams: Arc<Semaphore>,
}

/// All routes, over the daemon's socket and what [`watch_daemon`] sees of it.
pub fn router(socket: PathBuf, snapshot: watch::Receiver<Snapshot>) -> Router {
    let app = App { socket: Arc::new(socket), snapshot, streams: Arc::new(Semaphore::new(MAX_STREAMS)) };
    Router::new()
        .route("/", get(pages::status::page))
        .route("/connections", get(pages::connections::page))
        .route("/files", get(pages::files::page))
        .route("/events/{page}", get(events::stream))
        .route("/healthz", get(pages::health))
        .route("/static/{name}", get(assets::asset))
        .fallback(pages::not_found)
        .layer(axum::middleware::from_fn(headers::add))
        .with_state(app)
}

#[cfg(test)]
mod tests;
