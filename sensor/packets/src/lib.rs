//! The sensor's capture files as others see them: how they are named, what their index says, how packets are found again.
//!
//! The daemon writes the files (`tenrec::pcap`), this crate describes them and reads them: for `tenrec pcap`, for the viewer's
//! routes, for whoever comes next. Everything is read as it is being written: a record or an index entry that is not whole
//! yet is the end, for now.
//!
//! Invariant: nothing here writes to a capture file or knows a network. What is in the files came from the wire and is
//! bounds-checked like it.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic"))]

pub mod capture;
pub mod expression;
pub mod filter;
pub mod index;
pub mod keys;
pub mod mend;
pub mod name;
pub mod output;
mod plan;
pub mod record;
pub mod search;
pub mod store;
pub mod time;

pub use filter::Filter;
pub use name::Name;
pub use search::{Found, Question, Search};
pub use store::{Places, Store, session_id};
