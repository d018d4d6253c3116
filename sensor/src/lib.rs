//! The Tenrec sensor: what the daemon and the command line share.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic",))]

pub mod capture;
pub mod carver;
pub mod disk;
pub mod logs;
pub mod pcap;
pub mod read;
pub mod replay;
pub mod run;
pub mod sandbox;
