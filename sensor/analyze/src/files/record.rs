//! `files.log`.

use crate::Time;
use crate::log::{Log, Record, Row, column};

/// A line of `files.log`.
#[derive(Debug)]
pub struct FileRecord {
    at: Time,
}

/// `files.log` (scripts/base/frameworks/files/main.zeek).
pub static FILES: Log = Log { path: "files", columns: &[column("ts", "time")] };

impl Record for FileRecord {
    fn log(&self) -> &'static Log {
        &FILES
    }
    fn at(&self) -> Time {
        self.at
    }
    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
    }
}
