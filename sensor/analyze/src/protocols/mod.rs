//! The protocols: one folder each, one row each in [`PROTOCOLS`].

pub mod http;

use crate::Protocol;

/// Every protocol that the engine can identify. The table drives identification, documentation and settings.
pub static PROTOCOLS: &[&Protocol] = &[&http::HTTP];

/// What an HTTP connection becomes after `101 Switching Protocols`, by the token of its `Upgrade` field.
pub(crate) fn upgrade(token: &[u8]) -> Option<&'static Protocol> {
    let _ = token;
    None
}
