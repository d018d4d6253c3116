//! The server's side of OpenSearch, as much of it as a sensor meets: bulk requests, single documents, finding them again.
//!
//! ```text
//! folder/<index>.ndjson      one line for each change: {"_id","_version","_source"}, or {"_id","_version","deleted":true}
//! ```
//! It promises what a sensor must be able to rely on: what is answered with success is written and synced. And it refuses
//! what OpenSearch refuses, with the same status and the same name for the error: requests that are no NDJSON, requests of
//! more than 50 MB (the limit of Malcolm's proxy), indices that a sensor may not write, values that do not fit a field's
//! type, versions that are not newer.
//!
//! Not here: text analysis, scores, aggregations, more than one node, deletion of indices.

mod answers;
mod bulk;
mod filter;
mod index;
mod mapping;
mod request;
mod routes;
mod search;
mod server;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use server::Server;

use crate::Tls;

/// Bytes of a request at most, as Malcolm's proxy has it.
pub(crate) const MAX_REQUEST: usize = 50_000_000;

/// Bytes of a request once it is unpacked, OpenSearch's `http.max_content_length`.
pub(crate) const MAX_UNPACKED: usize = 100 << 20;

/// The version of Arkime's database that the template tells: that of Arkime 6.
pub const DATABASE_VERSION: u64 = 86;

/// What the OpenSearch side needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder of the indices.
    pub folder: PathBuf,
    /// Encryption; `None` for plain TCP.
    pub tls: Option<Tls>,
    /// User and password that are asked for; `None` asks for none.
    pub user: Option<(String, String)>,
    /// Bytes of a request at most; more is answered with 413.
    pub max_request: usize,
    /// The version of Arkime's database that the template tells; `None` for no template.
    pub database_version: Option<u64>,
}

impl Options {
    /// As Malcolm has it, without TLS and without a password.
    #[must_use]
    pub fn new(listen: SocketAddr, folder: PathBuf) -> Self {
        Self { listen, folder, tls: None, user: None, max_request: MAX_REQUEST, database_version: Some(DATABASE_VERSION) }
    }
}

#[cfg(test)]
mod tests;
