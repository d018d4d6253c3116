//! Records and the rows they become.
//!
//! A record is a plain struct with one list of columns and one function that writes their values in that order.
//! `Row` turns the same calls into Zeek's tab-separated form or into Zeek's JSON.

mod arkime;
mod eve;
mod json;
mod row;

pub use crate::flow::record::eve_name;
pub(crate) use arkime::Alone;
pub use arkime::{Active, Fields, Place, SESSIONS, Session, Sessions, magic};
pub use eve::{Eve, timestamp};
pub use json::Json;
pub use row::{Format, Row, header};

use crate::Time;

/// What one line of a log holds.
pub trait Record: Send {
    /// The log that it belongs to.
    fn log(&self) -> &'static Log;

    /// When it happened: Zeek's `ts`.
    fn at(&self) -> Time;

    /// Writes one value for each column of [`Log::columns`], in order.
    fn zeek(&self, row: &mut Row<'_>);

    /// Tells the session of Arkime's that it belongs to what it says.
    fn arkime(&self, sessions: &mut Sessions) {
        let _ = sessions;
    }

    /// The session, if this is one.
    fn session(&self) -> Option<&Session> {
        None
    }

    /// Shows the parts that rules may look at, by the names of Suricata's sticky buffers; `from` is who sent them.
    fn buffers(&self, show: &mut dyn FnMut(&'static str, crate::Direction, &[u8])) {
        let _ = show;
    }

    /// The flow that the record belongs to, if its buffers are shown.
    fn flow(&self) -> Option<&crate::FlowId> {
        None
    }

    /// Writes the events of Suricata's EVE that say the same, if there are any.
    fn eve(&self, eve: &mut Eve<'_>) {
        let _ = eve;
    }
}

/// A log: its name and its columns.
#[derive(Debug)]
pub struct Log {
    /// Zeek's `#path`, and the base of the file name.
    pub path: &'static str,
    /// All columns, in the order in which Zeek writes them.
    pub columns: &'static [Column],
}

/// One column of a log.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name as Zeek writes it.
    pub name: &'static str,
    /// Type as Zeek's `#types` line spells it.
    pub kind: &'static str,
    /// Who writes this column.
    pub profile: Profile,
}

/// Which columns are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// What `zeek -r` writes without further scripts.
    Stock,
    /// What Malcolm 26.08's Zeek writes: stock and its extra columns.
    Malcolm,
}

/// A column that stock Zeek writes.
pub const fn column(name: &'static str, kind: &'static str) -> Column {
    Column { name, kind, profile: Profile::Stock }
}

/// A column that only Malcolm's Zeek writes.
pub const fn malcolm(name: &'static str, kind: &'static str) -> Column {
    Column { name, kind, profile: Profile::Malcolm }
}
