//! `pe.log`.

use std::borrow::Cow;

use crate::log::{Log, Record, Row, column};
use crate::{Time, Uid};

/// A line of `pe.log`: a program for Windows.
#[derive(Debug)]
pub struct Pe {
    pub(super) at: Time,
    pub(super) fuid: Uid,
    pub(super) machine: Cow<'static, str>,
    pub(super) compiled: Time,
    pub(super) os: Option<Cow<'static, str>>,
    pub(super) subsystem: Option<Cow<'static, str>>,
    pub(super) is_exe: bool,
    pub(super) is_64_bit: bool,
    pub(super) uses_aslr: bool,
    pub(super) uses_dep: bool,
    pub(super) uses_code_integrity: bool,
    pub(super) uses_seh: bool,
    pub(super) has_import_table: Option<bool>,
    pub(super) has_export_table: Option<bool>,
    pub(super) has_cert_table: Option<bool>,
    pub(super) has_debug_data: Option<bool>,
    pub(super) sections: Option<Vec<Vec<u8>>>,
}

/// `pe.log` (scripts/base/files/pe/main.zeek).
pub static LOG: Log = Log {
    path: "pe",
    columns: &[
        column("ts", "time"),
        column("id", "string"),
        column("machine", "string"),
        column("compile_ts", "time"),
        column("os", "string"),
        column("subsystem", "string"),
        column("is_exe", "bool"),
        column("is_64bit", "bool"),
        column("uses_aslr", "bool"),
        column("uses_dep", "bool"),
        column("uses_code_integrity", "bool"),
        column("uses_seh", "bool"),
        column("has_import_table", "bool"),
        column("has_export_table", "bool"),
        column("has_cert_table", "bool"),
        column("has_debug_data", "bool"),
        column("section_names", "vector[string]"),
    ],
};

impl Record for Pe {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
        row.uid(Some(self.fuid));
        row.symbol(Some(&self.machine));
        row.time(Some(self.compiled));
        row.symbol(self.os.as_deref());
        row.symbol(self.subsystem.as_deref());
        row.bool(Some(self.is_exe));
        row.bool(Some(self.is_64_bit));
        row.bool(Some(self.uses_aslr));
        row.bool(Some(self.uses_dep));
        row.bool(Some(self.uses_code_integrity));
        row.bool(Some(self.uses_seh));
        row.bool(self.has_import_table);
        row.bool(self.has_export_table);
        row.bool(self.has_cert_table);
        row.bool(self.has_debug_data);
        row.strings(self.sections.as_ref().map(|names| names.iter().map(Vec::as_slice)));
    }
}
