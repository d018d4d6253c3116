//! Connections: HTTPS for the network, HTTP for the local socket; bounds on how many and how long.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use collector::{Tls, certificates, tls};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use settings::ClientCertificates;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Error, Options,
    auth::Gate,
    serve::{self, Peer, Shared},
};

/// Connections of each kind at the same time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 128;
/// How long a peer may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may wait for the head of its next request.
const IDLE: Duration = Duration::from_secs(75);
/// Bytes of a request's head.
const MAX_HEAD: usize = 64 << 10;
/// How long to wait when no connection can be accepted: out of file descriptors, trying again at once would only spin.
const PAUSE: Duration = Duration::from_millis(100);

/// The server, listening.
pub struct Server {
    network: Option<(std::net::TcpListener, SocketAddr, TlsAcceptor)>,
    local: Option<std::os::unix::net::UnixListener>,
    shared: Arc<Shared>,
}

impl Server {
    /// Takes the address, and makes certificates where there are none. Without a secret nothing listens on the network.
    /// Privileges can be given up afterwards: nothing else is opened but captures.
    ///
    /// # Errors
    /// When the address or the certificates cannot be had.
    pub fn bind(options: Options) -> Result<Self, Error> {
        let gate = options.secret.as_deref().map(Gate::new);
        let network = match &gate {
            None => None,
            Some(_) => {
                let files = certificates::ensure(&options.certificates, certificates::Keys::Ecdsa)?;
                let acceptor = tls::acceptor(&Tls {
                    certificate: files.server,
                    key: files.server_key,
                    ca: files.ca,
                    clients: ClientCertificates::None,
                })?;
                let listen = |source| Error::Listen { address: options.listen, source };
                let listener = std::net::TcpListener::bind(options.listen).map_err(listen)?;
                listener.set_nonblocking(true).map_err(listen)?;
                let address = listener.local_addr().map_err(listen)?;
                Some((listener, address, acceptor))
            }
        };
        Ok(Self { network, local: options.local, shared: Arc::new(Shared::new(options.folder, options.node, gate)) })
    }

    /// The address on the network, with the port that was found, if there is one.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.network.as_ref().map(|(_, address, _)| *address)
    }

    /// Serves until `stop` is ready; then closes all connections.
    ///
    /// # Errors
    /// When the runtime cannot take the sockets.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let (network, acceptor) = match self.network {
            Some((listener, _, acceptor)) => (Some(TcpListener::from_std(listener)?), Some(acceptor)),
            None => (None, None),
        };
        let local = self.local.map(UnixListener::from_std).transpose()?;
        let mut connections = JoinSet::new();
        let rooms = [(); 2].map(|()| Arc::new(Semaphore::new(MAX_CONNECTIONS)));
        let [network_room, local_room] = &rooms;
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                (accepted, permit) = accept(network.as_ref(), network_room) => match accepted {
                    Ok((tcp, peer)) => {
                        let (Some(acceptor), shared) = (&acceptor, Arc::clone(&self.shared)) else { continue };
                        connections.spawn(secure(tcp, peer, acceptor.clone(), shared, permit));
                    }
                    Err(error) => pause(&error).await,
                },
                (accepted, permit) = accept_local(local.as_ref(), local_room) => match accepted {
                    Ok(stream) => {
                        let shared = Arc::clone(&self.shared);
                        connections.spawn(async move {
                            converse(stream, Peer::Local, shared).await;
                            drop(permit);
                        });
                    }
                    Err(error) => pause(&error).await,
                },
            }
        }
        connections.shutdown().await;
        Ok(())
    }
}

async fn accept(
    listener: Option<&TcpListener>,
    room: &Arc<Semaphore>,
) -> (io::Result<(TcpStream, SocketAddr)>, Option<OwnedSemaphorePermit>) {
    let Some(listener) = listener else { return std::future::pending().await };
    // Never closed, so it never fails.
    let permit = Arc::clone(room).acquire_owned().await.ok();
    (listener.accept().await, permit)
}

async fn accept_local(
    listener: Option<&UnixListener>,
    room: &Arc<Semaphore>,
) -> (io::Result<tokio::net::UnixStream>, Option<OwnedSemaphorePermit>) {
    let Some(listener) = listener else { return std::future::pending().await };
    let permit = Arc::clone(room).acquire_owned().await.ok();
    (listener.accept().await.map(|(stream, _)| stream), permit)
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(PAUSE).await;
}

async fn secure(tcp: TcpStream, peer: SocketAddr, acceptor: TlsAcceptor, shared: Arc<Shared>, permit: Option<OwnedSemaphorePermit>) {
    match timeout(HANDSHAKE, acceptor.accept(tcp)).await {
        Ok(Ok(stream)) => converse(stream, Peer::Remote(peer.ip()), shared).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "connection closed: no TLS"),
        Err(_) => tracing::debug!(%peer, "connection closed: no TLS handshake in time"),
    }
    drop(permit);
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send, peer: Peer, shared: Arc<Shared>) {
    let service = Router::new().fallback(serve::answer).with_state((shared, peer));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await;
    if let Err(error) = served {
        tracing::debug!(?peer, %error, "a connection broke");
    }
}
