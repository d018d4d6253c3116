//! The Tenrec sensor: capture, PCAP writing, sandbox and the daemon that joins them to the analysis.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic",))]

pub mod capture;
pub mod pcap;
pub mod sandbox;
