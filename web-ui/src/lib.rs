//! The local web UI: pages over what the daemon answers on its control socket, packets from `tenrec viewer`'s, and on the
//! appliance the setup and the system, which `tenrec-appliance` changes for it.
//!
//! Every page is rendered on the server and complete without JavaScript; the status page is renewed by server-sent
//! events where there is some. Changes are a POST and a redirect.
//!
//! Invariant: this crate knows three sockets and nothing else of the sensor (Cargo holds it).
//! Invariant: no page is shown to who has not proved who they are, but those that [`auth`] names (its test asks for every
//! route).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic"))]

mod api;
mod ask;
mod audit;
mod auth;
mod chart;
pub mod command;
mod control;
mod filter;
mod format;
mod frame;
mod history;
mod host;
mod machine;
#[cfg(test)]
#[path = "../examples/made_up/servers.rs"]
mod made_up;
mod pages;
mod pem;
mod quarantine;
mod routes;
mod server;
pub mod tls;
mod upload;
mod wizard;

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use tokio::net::TcpListener;
use tower_http::set_header::SetResponseHeaderLayer;

use self::audit::Audit;
use self::auth::Gate;
use self::history::Watch;
use self::tls::Identity;

/// Port of the web UI on the appliance.
pub const APPLIANCE_PORT: u16 = 8443;

/// What the web UI is told at its start.
#[derive(Debug, Default)]
pub struct Options {
    /// The daemon's control socket.
    pub control: PathBuf,
    /// The socket of `tenrec viewer`.
    pub viewer: PathBuf,
    /// The socket of `tenrec-appliance`; none where Tenrec was not installed from its image.
    pub appliance: Option<PathBuf>,
    /// The settings file, which is shown where there is no appliance to change it.
    pub settings: PathBuf,
    /// File with the hash of the password.
    pub password_file: PathBuf,
    /// File with the setup code of the first boot.
    pub setup_code: Option<PathBuf>,
    /// Whether anyone may see everything. For a listener on loopback.
    pub open: bool,
    /// Names by which browsers may ask, beside addresses and the machine's own.
    pub names: Vec<String>,
    /// Folder for audit log and tokens; none keeps neither.
    pub state: Option<PathBuf>,
}

/// What the pages share.
#[derive(Clone)]
struct Shared(Arc<Inner>);

struct Inner {
    control: PathBuf,
    viewer: PathBuf,
    appliance: Option<PathBuf>,
    settings: PathBuf,
    names: Vec<String>,
    state: Option<PathBuf>,
    gate: Gate,
    audit: Audit,
    watch: Watch,
}

impl Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Serves the pages until the process ends: over HTTPS with an `identity`, else over HTTP.
pub async fn serve(listener: TcpListener, identity: Option<Arc<Identity>>, options: Options) {
    let watch = Watch::start(options.control.clone(), options.appliance.clone());
    server::run(listener, app(shared(options, watch)), identity).await;
}

fn shared(options: Options, watch: Watch) -> Shared {
    let Options { control, viewer, appliance, settings, password_file, setup_code, open, names, state } = options;
    let gate = Gate::new(open, password_file, setup_code, state.as_deref());
    let audit = Audit::new(state.as_deref());
    Shared(Arc::new(Inner { control, viewer, appliance, settings, names, state, gate, audit, watch }))
}

fn app(shared: Shared) -> Router {
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; \
                  base-uri 'none'; frame-ancestors 'none'";
    let set = |name: HeaderName, value: &'static str| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    routes::all()
        .fallback(pages::missing::page)
        .layer(DefaultBodyLimit::max(auth::form::MAX_FORM))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), auth::guard))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), host::check))
        .layer(set(header::CONTENT_SECURITY_POLICY, policy))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set(header::REFERRER_POLICY, "same-origin"))
        .layer(set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"))
        .layer(set(header::CACHE_CONTROL, "no-store"))
        .with_state(shared)
}
