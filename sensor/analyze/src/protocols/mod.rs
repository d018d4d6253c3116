//! The protocols: one folder each, one row each in [`PROTOCOLS`].

pub mod dns;
#[cfg(test)]
mod testing;

use crate::Protocol;

/// Every protocol that the engine can identify. The table drives identification, documentation and settings.
pub static PROTOCOLS: &[&Protocol] = &[
    &dns::DNS,
];
