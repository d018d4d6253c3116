//! Frames in, records out: decapsulation, flows, streams, protocols, files, log encoders.
//!
//! This crate knows no I/O, no clock and no threads: time is the packets' time, and the same frames give the same
//! records whether they come from an interface or a file.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic",))]

mod app;
mod community;
mod detect;
mod expected;
pub mod files;
mod flow;
mod frame;
mod icmp;
mod id;
pub mod log;
mod mime;
mod notice;
mod options;
mod output;
mod packet;
mod protocol;
pub mod protocols;
mod reader;
mod sensor;
#[cfg(test)]
mod testing;
mod time;
mod tunnel;
mod violation;
mod weird;

pub use detect::{Alert, Detect, Sight};
pub use flow::record::{CONN, ConnRecord};
pub use frame::{Frame, Link, Position};
pub use id::{Direction, Endpoint, FlowId, Pair, Transport, Uid, UidSource};
pub use notice::{NOTICE, Notice};
pub use options::{Carve, Network, Options};
pub use output::{FlowNotes, Output};
pub use protocol::{Analyzer, Beginning, IDENTIFY_BYTES, MAX_UNCONSUMED, Match, Protocol, Step};
pub use reader::Reader;
pub use sensor::{Batch, Counters, Sensor};
pub use time::{Interval, Time};
pub use tunnel::{TUNNEL, TunnelRecord};
pub use violation::{ANALYZER, AnalyzerRecord};
pub use weird::{WEIRD, WeirdRecord};
