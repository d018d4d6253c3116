//! Arkime sessions: one document a session, in the shape of Arkime 6.7's index `sessions3`.
//!
//! A session is not a flow of Zeek's: it has other ends (what idles, what closes, what is too long), is of the
//! innermost packet of a tunnel, and puts all ICMP between two hosts together. So the table here is a second one,
//! kept only when somebody asks for sessions. Packets are counted into it as they pass; what the analyzers find comes
//! with their records ([`crate::log::Record::arkime`]): nothing is parsed twice.
//!
//! What needs data from elsewhere is not here: countries, autonomous systems, makers of network cards.

mod classify;
mod fields;
mod identity;
mod lease;
mod magic;
mod parsers;
mod places;
mod session;
mod stray;
mod table;
mod talk;
mod tcp;
#[cfg(test)]
mod tests;

pub use fields::Fields;
pub use magic::magic;
pub use places::Place;
pub use session::Session;
pub(crate) use table::Alone;
pub use table::{Active, Sessions};

use super::Log;

/// Sessions travel with the other records, and are no log of Zeek's.
pub static SESSIONS: Log = Log { path: "sessions", columns: &[] };
