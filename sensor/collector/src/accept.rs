//! Taking connections: so many at a time, a task each, until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::warn;

/// Connections at the same time at most; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;

/// How long a client may take for the TLS handshake.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// Has `serve` handle each connection until `stop` is ready; then all are closed.
pub(crate) async fn accept<F>(listener: TcpListener, stop: impl Future<Output = ()>, serve: impl Fn(TcpStream, SocketAddr) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    tokio::pin!(stop);
    loop {
        let accepted = async {
            // Never closed, so it never fails.
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (permit, accepted) = accepted => match accepted {
                Ok((tcp, peer)) => {
                    let served = serve(tcp, peer);
                    connections.spawn(async move {
                        served.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    // Out of file descriptors: trying again at once would only spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    connections.shutdown().await;
}
