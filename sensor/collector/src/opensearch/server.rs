//! Connections: TLS, HTTP/1.1, bounds on how many and how long.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::routes::Shared;
use super::store::Store;
use super::{Options, routes};
use crate::accept::{HANDSHAKE, accept};
use crate::{Counts, Error, Faults, tls};

/// Requests in memory at the same time at most, packed and unpacked: a gigabyte if all are as large as they may be.
const MAX_REQUESTS: usize = 8;
/// How long a connection may wait for the head of its next request, as nginx has it.
const IDLE: Duration = Duration::from_secs(75);

/// The OpenSearch side, listening.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: Shared,
}

impl Server {
    /// Takes the address, the folder and the certificates; nothing is accepted before [`Server::run`].
    ///
    /// # Errors
    /// When one of the three cannot be had.
    pub async fn bind(options: &Options) -> Result<Self, Error> {
        let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
        let store = Store::open(options.folder.clone()).map_err(Error::file("use the folder", &options.folder))?;
        let listen = |source| Error::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let counts = watch::Sender::new(store.counts());
        let shared = Shared {
            store: Arc::new(Mutex::new(store)),
            counts,
            faults: Faults::default(),
            user: options.user.clone(),
            max_request: options.max_request,
            database_version: options.database_version,
            room: Semaphore::new(MAX_REQUESTS),
        };
        Ok(Self { listener, address, tls, shared })
    }

    /// The address it listens on, with the port that was found.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has it go wrong on purpose; see [`Faults`].
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.shared.faults = faults;
        self
    }

    /// Follows the number of documents, by index; changes with every write.
    #[must_use]
    pub fn counts(&self) -> watch::Receiver<Counts> {
        self.shared.counts.subscribe()
    }

    /// Serves until `stop` is ready; then closes all connections. What was answered is on disk.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, tls, shared, .. } = self;
        let service = routes::router(shared);
        accept(listener, stop, |tcp, peer| converse(tcp, peer, tls.clone(), service.clone())).await;
    }
}

async fn converse(tcp: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, service: axum::Router) {
    // Answers are written in one piece; without it nothing breaks.
    let _ = tcp.set_nodelay(true);
    info!(%peer, "a client of the OpenSearch side connected");
    match tls {
        None => serve(tcp, peer, service).await,
        Some(tls) => match timeout(HANDSHAKE, tls.accept(tcp)).await {
            Ok(Ok(stream)) => serve(stream, peer, service).await,
            Ok(Err(error)) => warn!(%peer, %error, "connection closed: no TLS"),
            Err(_) => warn!(%peer, "connection closed: no TLS handshake within {} seconds", HANDSHAKE.as_secs()),
        },
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send, peer: SocketAddr, service: axum::Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await;
    if let Err(error) = served {
        debug!(%peer, %error, "a connection to the OpenSearch side broke");
    }
}
