//! Oddities on the wire: `weird.log`, with Zeek's names and Zeek's rules of what is repeated.

use ahash::AHashSet;

use crate::log::{Column, Log, Record, Row, column};
use crate::{FlowId, Time, Uid};

/// Pairs of flow and name that are remembered so as not to be logged again; cleared when full.
const MAX_REMEMBERED: usize = 65_536;

/// Names that Zeek logs each time (`Weird::ACTION_LOG`): all others are logged once a flow.
/// Source: scripts/base/frameworks/notice/weird.zeek.
const EVERY_TIME: &[&str] = &[];

/// A line of `weird.log`.
#[derive(Debug)]
pub struct WeirdRecord {
    at: Time,
    id: Option<FlowId>,
    name: &'static str,
    addl: Option<Vec<u8>>,
    source: Option<&'static str>,
}

/// `weird.log` (scripts/base/frameworks/notice/weird.zeek).
pub static WEIRD: Log = Log {
    path: "weird",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("name", "string"),
        column("addl", "string"),
        column("notice", "bool"),
        column("peer", "string"),
        column("source", "string"),
    ],
};

const _: &[Column] = WEIRD.columns;

impl Record for WeirdRecord {
    fn log(&self) -> &'static Log {
        &WEIRD
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
        row.uid(self.id.map(|id| id.uid));
        row.tuple(self.id.as_ref());
        row.symbol(Some(self.name));
        row.bytes(self.addl.as_deref());
        row.bool(Some(false));
        row.symbol(Some("zeek"));
        row.symbol(self.source);
    }
}

/// Decides which oddities are logged.
#[derive(Debug, Default)]
pub(crate) struct Weirds {
    seen: AHashSet<(Option<Uid>, &'static str)>,
}

impl Weirds {
    pub(crate) fn seen(
        &mut self,
        at: Time,
        id: Option<&FlowId>,
        name: &'static str,
        addl: Option<&[u8]>,
        source: Option<&'static str>,
    ) -> Option<WeirdRecord> {
        if self.seen.len() >= MAX_REMEMBERED {
            self.seen.clear();
        }
        if !self.seen.insert((id.map(|id| id.uid), name)) && !EVERY_TIME.contains(&name) {
            return None;
        }
        Some(WeirdRecord { at, id: id.copied(), name, addl: addl.map(<[u8]>::to_vec), source })
    }
}
