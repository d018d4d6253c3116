//! A connection to a collector: its name resolved, TCP, TLS as the settings want it; and why there is none, in plain words.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use settings::Host;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::{self, Trust};

/// A connection, encrypted or not.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Dials `host`; the address, the connection and the handshake may take `patience` each.
///
/// # Errors
/// What failed and which key to look at.
pub(crate) async fn dial(host: &Host, encrypted: bool, trust: Trust<'_>, patience: Duration) -> Result<Stream, String> {
    let config = if encrypted { Some(tls::client_config(trust)?) } else { None };
    let found = resolve(host, trust, patience).await?;
    let tcp = reach(host, &found, trust, patience).await?;
    match config {
        None => Ok(Stream::Plain(tcp)),
        Some(config) => shake_hands(host, tcp, config, trust, patience).await.map(|stream| Stream::Tls(Box::new(stream))),
    }
}

/// The addresses of `host`, at least one.
pub(crate) async fn resolve(host: &Host, trust: Trust<'_>, patience: Duration) -> Result<Vec<SocketAddr>, String> {
    let section = trust.section();
    let unresolved = |cause: String| format!("the name {} is not resolved{cause}: check {section}.hosts and the name servers", host.name());
    let found: Vec<_> = timeout(patience, lookup_host((host.name(), host.port())))
        .await
        .map_err(|_| unresolved(String::new()))?
        .map_err(|error| unresolved(format!(" ({error})")))?
        .collect();
    if found.is_empty() { Err(format!("the name {} has no address: check {section}.hosts", host.name())) } else { Ok(found) }
}

/// A connection to the first address that takes one.
pub(crate) async fn reach(host: &Host, found: &[SocketAddr], trust: Trust<'_>, patience: Duration) -> Result<TcpStream, String> {
    let mut failure = String::new();
    for candidate in found {
        let dialled = timeout(patience, TcpStream::connect(candidate)).await;
        match dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(tcp) => {
                // A sensor that cannot set it still works.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Err(error) => failure = tls::explain(&error, trust, &host.to_string()),
        }
    }
    Err(failure)
}

/// TLS over a connection.
pub(crate) async fn shake_hands(
    host: &Host,
    tcp: TcpStream,
    config: ClientConfig,
    trust: Trust<'_>,
    patience: Duration,
) -> Result<TlsStream<TcpStream>, String> {
    let section = trust.section();
    let name = ServerName::try_from(host.name().to_owned())
        .map_err(|_| format!("{} is not a name that TLS can use: check {section}.hosts", host.name()))?;
    timeout(patience, TlsConnector::from(Arc::new(config)).connect(name, tcp))
        .await
        .map_err(|_| format!("{host} does not shake hands: is another service on that port? check {section}.hosts"))?
        .map_err(|error| tls::explain(&error, trust, &host.to_string()))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
