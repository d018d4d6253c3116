//! One message a line over a local socket: how `tenrec status` and the web UI talk with the daemon and the appliance.
//!
//! ```text
//! client -> server   one request  as a JSON object, newline
//! server -> client   one response as a JSON object, newline
//! ```
//!
//! A connection carries any number of pairs, in order. A line has at most [`MAX_LINE`] bytes on either side. Types are
//! additive: whoever reads ignores what it does not know, whoever writes keeps the names. No part of this knows async:
//! servers bring their own runtime and use [`encode`] and [`decode`].

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of one line at most: room for 1000 connections or files of generous width, no more than a client should hold.
pub const MAX_LINE: usize = 4 << 20;

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("the {} is not running, or not listening on {}: see `systemctl status {}`", server.name, path.display(), server.unit)]
    NotRunning {
        /// Who should.
        server: Server,
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket exists and may not be used.
    #[error("no permission to use {}: run as root or join its group", path.display())]
    NotPermitted {
        /// The socket.
        path: PathBuf,
    },
    /// The conversation broke off.
    #[error("the {} did not answer", _0.name)]
    Silent(Server, #[source] io::Error),
    /// The answer was no answer.
    #[error("the answer of the {} is not understood: is it of another version?", _0.name)]
    Garbled(Server, #[source] serde_json::Error),
    /// The server refused.
    #[error("{0}")]
    Refused(String),
    /// The server answered something else than was asked.
    #[error("the {} answered another question: is it of another version?", _0.name)]
    Mismatch(Server),
}

/// Whom a client asks, as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Noun, without an article.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
}

/// A connection that carries lines.
#[derive(Debug)]
pub(crate) struct Lines {
    server: Server,
    stream: BufReader<UnixStream>,
}

impl Lines {
    /// Connects to the socket at `path`; every later read and write waits for `patience` at most.
    pub(crate) fn connect(server: Server, path: &Path, patience: Duration) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotPermitted { path: path.to_owned() },
            _ => ClientError::NotRunning { server, path: path.to_owned(), source },
        })?;
        let patience = Some(patience);
        let set = stream.set_read_timeout(patience).and_then(|()| stream.set_write_timeout(patience));
        set.map_err(|error| ClientError::Silent(server, error))?;
        Ok(Self { server, stream: BufReader::new(stream) })
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask<Request: Serialize, Response: DeserializeOwned>(&mut self, request: &Request) -> Result<Response, ClientError> {
        let server = self.server;
        let line = encode(request).map_err(|error| ClientError::Garbled(server, error))?;
        self.stream.get_mut().write_all(&line).map_err(|error| ClientError::Silent(server, error))?;
        let mut answer = Vec::new();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        self.stream.by_ref().take(limit).read_until(b'\n', &mut answer).map_err(|error| ClientError::Silent(server, error))?;
        if answer.last() != Some(&b'\n') {
            return Err(ClientError::Silent(server, io::ErrorKind::UnexpectedEof.into()));
        }
        decode(&answer).map_err(|error| ClientError::Garbled(server, error))
    }
}

impl Lines {
    /// What follows after the last line, `size` bytes of it.
    pub(crate) fn into_bytes(self, size: u64) -> io::Take<BufReader<UnixStream>> {
        self.stream.take(size)
    }
}

/// A message as one line with its newline.
///
/// # Errors
/// When `message` cannot be written as JSON, which the types of this crate always can.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// A message from one line, with or without its newline.
///
/// # Errors
/// When the line is not such a message.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(line)
}
