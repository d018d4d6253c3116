//! From records to the collector: the event around a record, the spool it waits in, and the connection that empties it.
//!
//! ```text
//! record writer --Shipper--> event JSON --spool--> Forwarder --TLS, Lumberjack v2--> collector
//! ```
//! * An event is built once, when it enters the spool: whatever is sent again is byte for byte the same, and the
//!   collector's document ids make it the same document.
//! * What the collector acknowledges is never sent again by this process; what it does not is sent again after a
//!   reconnect, at most [`PIPELINE`] windows.
//! * Capture never waits for any of this: the shipper only appends to a file, and refusals are counted by the spool.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic"))]

mod backoff;
mod dealer;
mod dial;
mod event;
mod forwarder;
mod intake;
pub mod opensearch;
mod probe;
mod session;
mod shipper;
mod state;
mod tls;

pub use dealer::PIPELINE;
pub use event::Envelope;
pub use forwarder::Forwarder;
pub use intake::Intake;
pub use probe::probe;
pub use shipper::Shipper;
pub use state::{Phase, State};

#[cfg(test)]
mod tests;
