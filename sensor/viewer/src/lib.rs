//! Packets for those who ask from elsewhere: Arkime's central viewer over HTTPS, the web UI over a local socket.
//!
//! Invariant: nothing leaves over the network without a token ([`auth`]); the local socket is for whom its mode lets in.
//! Captures are read and never written; they stream, so that their size costs no memory.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic"))]

pub mod auth;
