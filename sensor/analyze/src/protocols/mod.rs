//! The protocols: one folder each, one row each in [`PROTOCOLS`].

use crate::Protocol;

/// Every protocol that the engine can identify. The table drives identification, documentation and settings.
pub static PROTOCOLS: &[&Protocol] = &[];
