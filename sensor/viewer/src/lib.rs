//! Packets for those who ask from elsewhere: Arkime's central viewer over HTTPS, the web UI over a local socket.
//!
//! Invariant: nothing leaves over the network without a token ([`auth`]); the local socket is for whom its mode lets in.
//! Captures are read and never written; they stream, so that their size costs no memory.
//!
//! Not here: hunts, whose text lies in OpenSearch; the bodies of files (`/body/…`), which are carved instead; removing
//! packets (`/scrub`) and sending sessions on (`/send`).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic"))]

pub mod auth;
mod conversation;
mod fragment;
mod picture;
mod route;
mod serve;
mod server;
mod streaming;

use std::{io, net::SocketAddr, os::unix::net::UnixListener, path::PathBuf};

pub use server::Server;

/// What the viewer needs to know.
#[derive(Debug)]
pub struct Options {
    /// Address and port on the network; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The secret shared with the central viewer; without one, nothing listens on the network.
    pub secret: Option<String>,
    /// Folder of its certificates, made where missing.
    pub certificates: PathBuf,
    /// The local socket, open and not blocking, if there is to be one.
    pub local: Option<UnixListener>,
    /// Folder of the captures.
    pub folder: PathBuf,
    /// This sensor's name, as it stands in the sessions.
    pub node: String,
}

/// Why the viewer does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be had.
    #[error("cannot listen on {address}: choose another with viewer.listen, or see who has it with `ss -ltnp`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificates cannot be had.
    #[error("the viewer's certificates cannot be used")]
    Certificates(#[from] collector::Error),
}
