//! Connections: HTTPS, or HTTP on loopback; bounds on how many, how long and how much.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::auth::Peer;
use crate::tls::Identity;

/// Connections at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 128;
/// Connections of one address at once: a browser opens six. More are closed.
const MAX_EACH: usize = 32;
/// How long a peer may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of the next request may take, also while nothing is asked.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes of a request's head.
const MAX_HEAD: usize = 32 << 10;
/// Header lines of a request.
const MAX_HEADERS: usize = 64;
/// Milliseconds that sent bytes may stay unacknowledged: longer than a download is paused for.
const STALLED: u32 = 10 * 60 * 1000;
/// How long to wait when no connection can be accepted: out of file descriptors, trying again at once would only spin.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections of each address.
#[derive(Clone, Default)]
struct Each(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Each {
    fn enter(&self, address: IpAddr) -> Option<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(address).or_default();
        if *count >= MAX_EACH {
            return None;
        }
        *count += 1;
        Some(Place { all: self.clone(), address })
    }
}

/// One connection's place among those of its address.
struct Place {
    all: Each,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.address);
            }
        }
    }
}

/// Serves until the process ends.
pub(crate) async fn run(listener: TcpListener, app: Router, identity: Option<Arc<Identity>>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let each = Each::default();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (tcp, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = each.enter(peer.ip().to_canonical()) else {
            tracing::debug!(%peer, "connection closed: too many of this address");
            continue;
        };
        let (app, identity) = (app.clone(), identity.clone());
        tokio::spawn(async move {
            connection(tcp, peer, app, identity).await;
            drop((place, permit));
        });
    }
}

async fn connection(tcp: TcpStream, peer: SocketAddr, app: Router, identity: Option<Arc<Identity>>) {
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&tcp, STALLED) {
        tracing::debug!(%error, "a stalled connection will take long to end");
    }
    let address = peer.ip().to_canonical();
    let Some(identity) = identity else { return converse(tcp, Peer { address, encrypted: false }, app).await };
    match timeout(HANDSHAKE, identity.acceptor().accept(tcp)).await {
        Ok(Ok(stream)) => converse(stream, Peer { address, encrypted: true }, app).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "connection closed: no TLS"),
        Err(_) => tracing::debug!(%peer, "connection closed: no TLS handshake in time"),
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer, app: Router) {
    let service = app.layer(Extension(peer));
    let service = tower::ServiceExt::map_request(service, |request: hyper::Request<hyper::body::Incoming>| -> Request {
        request.map(axum::body::Body::new)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await;
    if let Err(error) = served {
        tracing::debug!(?peer, %error, "a connection broke");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn an_address_has_a_bound_of_its_own_and_gets_its_places_back() {
        let each = Each::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        let places: Vec<_> = std::iter::from_fn(|| each.enter(address)).collect();
        assert_eq!(places.len(), MAX_EACH);
        assert!(each.enter([192, 0, 2, 2].into()).is_some());
        drop(places);
        assert!(each.enter(address).is_some() && each.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_ends_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(run(listener, Router::new().route("/", get(|| async { "here" })), None));
        let ask = async |head: String| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            // The rest of what was sent may be reset.
            drop(stream.read_to_string(&mut answer).await);
            answer
        };
        assert!(ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned()).await.ends_with("here"));
        assert!(!ask(format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD * 2))).await.contains("here"));
        assert!(!ask(format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS * 2))).await.contains("here"));
    }
}
