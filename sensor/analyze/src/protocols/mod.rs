//! The protocols: one folder each, one row each in [`PROTOCOLS`].

pub(crate) mod der;
pub mod dns;
#[cfg(test)]
mod testing;
pub mod ssh;
pub mod tls;
pub mod x509;

use crate::Protocol;

/// Every protocol that the engine can identify. The table drives identification, documentation and settings.
pub static PROTOCOLS: &[&Protocol] = &[
    &dns::DNS,
    &tls::TLS,
    &tls::DTLS,
    &ssh::SSH,
];
