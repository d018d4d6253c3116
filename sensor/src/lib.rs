//! The Tenrec sensor: what the daemon and the command line share.

pub mod carver;
pub mod logs;
pub mod read;
pub mod replay;
