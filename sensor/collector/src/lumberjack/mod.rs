//! The Lumberjack v2 server: a task per connection, one store for all.
//!
//! A window is acknowledged after its events are written and synced, never before, and never in part. The protocol is
//! checked strictly ([`::lumberjack::Receiver`]), so that a sensor that works here works with Logstash.

mod store;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::lumberjack::{Limits, Receiver, encode_ack};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

pub use stream::stream_of;

use self::store::Store;
use crate::accept::{HANDSHAKE, accept};
use crate::faults::{Faults, Lumberjack as Fault};
use crate::{Counts, Error, Options, tls};

/// After so long without a byte a connection is closed, as Logstash does after 60 seconds by default.
const IDLE: Duration = Duration::from_secs(300);

/// How often it says that it is alive, where it is to say only that.
const ALIVE: Duration = Duration::from_millis(100);

/// A collector that listens.
pub struct Collector {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    store: Arc<Mutex<Store>>,
    counts: watch::Sender<Counts>,
    faults: Faults,
}

impl Collector {
    /// Takes the address, the folder and the certificates; nothing is accepted before [`Collector::run`].
    ///
    /// # Errors
    /// When one of the three cannot be had.
    pub async fn bind(options: &Options) -> Result<Self, Error> {
        let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
        let store = Store::open(options.folder.clone()).map_err(Error::file("make the folder", &options.folder))?;
        let listen = |source| Error::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, tls, store: Arc::new(Mutex::new(store)), counts: watch::Sender::default(), faults: Faults::default() })
    }

    /// The address it listens on, with the port that was found.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has it go wrong on purpose; see [`Faults`].
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Follows the number of events written, by stream; changes with every window.
    #[must_use]
    pub fn counts(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    /// Serves until `stop` is ready; then closes all connections. What was acknowledged is on disk.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, tls, store, counts, faults, .. } = self;
        accept(listener, stop, |tcp, peer| {
            let session = Session { tls: tls.clone(), store: Arc::clone(&store), counts: counts.clone(), faults: faults.clone() };
            async move { session.serve(tcp, peer).await }
        })
        .await;
    }
}

/// What one connection needs.
struct Session {
    tls: Option<TlsAcceptor>,
    store: Arc<Mutex<Store>>,
    counts: watch::Sender<Counts>,
    faults: Faults,
}

/// Why a connection was closed before the sensor closed it.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("no TLS handshake within {} seconds", HANDSHAKE.as_secs())]
    HandshakeTimeout,
    #[error("nothing came for {} seconds", IDLE.as_secs())]
    Idle,
    #[error(transparent)]
    Protocol(#[from] ::lumberjack::Error),
    #[error("an event that is no JSON object")]
    NotAnObject,
    #[error("the connection ended inside a window, which is not acknowledged")]
    Cut,
    #[error("on purpose ({0:?})")]
    OnPurpose(Fault),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Session {
    async fn serve(&self, tcp: TcpStream, peer: SocketAddr) {
        info!(%peer, "sensor connected");
        let served = async {
            tcp.set_nodelay(true)?;
            match &self.tls {
                None => self.receive(tcp).await,
                Some(tls) => {
                    let stream = tokio::time::timeout(HANDSHAKE, tls.accept(tcp)).await.map_err(|_| Closed::HandshakeTimeout)??;
                    self.receive(stream).await
                }
            }
        };
        match served.await {
            Ok(()) => info!(%peer, "sensor disconnected"),
            Err(error) => warn!(%peer, %error, "connection closed"),
        }
    }

    async fn receive(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Closed> {
        let mut receiver = Receiver::new(Limits::default());
        let mut bytes = vec![0; 64 << 10];
        let mut window = Vec::new();
        let mut events = 0_u64;
        loop {
            let read = tokio::time::timeout(IDLE, stream.read(&mut bytes)).await.map_err(|_| Closed::Idle)??;
            if read == 0 {
                return if receiver.is_idle() { Ok(()) } else { Err(Closed::Cut) };
            }
            receiver.feed(bytes.get(..read).unwrap_or_default());
            while let Some(event) = receiver.next()? {
                window.push((stream_of(event.payload).ok_or(Closed::NotAnObject)?, event.payload.to_vec()));
                let (sequence, complete) = (event.sequence, event.ends_window);
                events += 1;
                if let Some(fault) = self.faults.lumberjack(|fault| matches!(fault, Fault::CloseAfter(after) if events >= *after)) {
                    return Err(Closed::OnPurpose(fault));
                }
                if complete {
                    self.acknowledge(&mut stream, std::mem::take(&mut window), sequence).await?;
                }
            }
        }
    }

    async fn acknowledge(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        window: Vec<(String, Vec<u8>)>,
        sequence: u32,
    ) -> Result<(), Closed> {
        if self.faults.lumberjack(|fault| *fault == Fault::Stall).is_some() {
            return Err(std::future::pending().await);
        }
        self.write(window).await?;
        match self.faults.lumberjack(|fault| matches!(fault, Fault::NoAck | Fault::KeepAlive | Fault::LoseAck)) {
            None => {}
            Some(Fault::NoAck) => return Err(std::future::pending().await),
            Some(Fault::KeepAlive) => loop {
                stream.write_all(&encode_ack(0)).await?;
                stream.flush().await?;
                tokio::time::sleep(ALIVE).await;
            },
            Some(fault) => return Err(Closed::OnPurpose(fault)),
        }
        stream.write_all(&encode_ack(sequence)).await?;
        Ok(stream.flush().await?)
    }

    /// Writes a window and tells who follows the counts. The disk may take its time without holding up other connections.
    async fn write(&self, window: Vec<(String, Vec<u8>)>) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        let counts = tokio::task::spawn_blocking(move || {
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            store.write(&window).map(|()| store.counts().clone())
        })
        .await
        .map_err(io::Error::other)??;
        self.counts.send_replace(counts);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
