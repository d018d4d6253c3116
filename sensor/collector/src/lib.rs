//! The embedded collector: a Lumberjack v2 server that writes logs, and the part of OpenSearch that Arkime's sessions need,
//! both over TLS, both writing JSON lines.
//!
//! For demonstrations, tests and small sites. It promises what a sensor must be able to rely on: what is acknowledged or
//! answered is written and synced, never before, and never in part. It checks both protocols strictly, so that a sensor
//! that works here works with Logstash and OpenSearch; and it can go wrong on purpose ([`Faults`]), so that a sensor is
//! known to bear that.
//!
//! Not here: parsing of messages, analysis of text, search beyond finding documents by id or by a field. That is what Malcolm is for.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic"))]

mod accept;
pub mod certificates;
pub mod faults;
mod lumberjack;
pub mod opensearch;
pub mod tls;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use settings::ClientCertificates;

pub use faults::Faults;
pub use lumberjack::{Collector, stream_of};

/// Events written so far, by stream.
pub type Counts = BTreeMap<String, u64>;

/// What a collector needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder of the `<stream>.ndjson` files. They are appended to.
    pub folder: PathBuf,
    /// Encryption; `None` for plain TCP.
    pub tls: Option<Tls>,
}

/// The collector's side of TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Its certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The CA that client certificates must be signed by, PEM.
    pub ca: PathBuf,
    /// Whether client certificates are asked for.
    pub clients: ClientCertificates,
}

/// Why the collector does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be had.
    #[error(
        "cannot listen on {address}: choose another with collector.listen or collector.opensearch_listen, or see who has it with `ss -ltnp`"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file or folder cannot be used.
    #[error("cannot {act} {}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A PEM file is no PEM file, or of something else.
    #[error("{} holds no {what} in PEM form", path.display())]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// Certificate and key do not make a server.
    #[error("the collector's certificate and key cannot be used")]
    Tls(#[source] rustls::Error),
    /// The CA cannot check clients.
    #[error("the CA in {} cannot check client certificates", path.display())]
    ClientCa {
        /// The CA file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
    /// Certificates could not be made.
    #[error("cannot make certificates")]
    Make(#[source] rcgen::Error),
}

impl Error {
    pub(crate) fn file(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { act, path, source }
    }
}
