//! Oddities on the wire: `weird.log`, with Zeek's names and Zeek's rules of what is repeated.

use std::net::IpAddr;

use ahash::AHashSet;

use crate::log::{Eve, Log, Record, Row, column};
use crate::{FlowId, Time, Uid};

/// Pairs of flow and name that are remembered so as not to be logged again; cleared when full.
const MAX_REMEMBERED: usize = 65_536;

/// Names that Zeek logs each time (`Weird::ACTION_LOG`): all others are logged once a flow.
/// Source: scripts/base/frameworks/notice/weird.zeek.
const EVERY_TIME: &[&str] = &[];

/// Where an oddity was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Flow(FlowId),
    /// A packet of which the addresses are known.
    Packet(IpAddr, IpAddr),
    Nowhere,
}

/// A line of `weird.log`.
#[derive(Debug)]
pub struct WeirdRecord {
    at: Time,
    place: Place,
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

impl Record for WeirdRecord {
    fn log(&self) -> &'static Log {
        &WEIRD
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
        match self.place {
            Place::Flow(id) => {
                row.uid(Some(id.uid));
                row.tuple(Some(&id));
            }
            Place::Packet(src, dst) => {
                row.uid(None);
                row.addr(Some(src));
                row.count(Some(0));
                row.addr(Some(dst));
                row.count(Some(0));
            }
            Place::Nowhere => {
                row.uid(None);
                row.tuple(None);
            }
        }
        row.symbol(Some(self.name));
        row.bytes(self.addl.as_deref());
        row.bool(Some(false));
        row.symbol(Some("zeek"));
        row.symbol(self.source);
    }

    /// Suricata's `anomaly` event.
    fn eve(&self, eve: &mut Eve<'_>) {
        let Place::Flow(id) = self.place else { return };
        eve.event("anomaly", self.at, &id, |json| {
            json.child("anomaly", |json| {
                json.str("type", if self.source.is_some() { "applayer" } else { "stream" });
                json.str("event", self.name);
            });
        });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Flow(Uid),
    Packet(IpAddr, IpAddr),
    Nowhere,
}

/// Decides which oddities are logged.
#[derive(Debug, Default)]
pub(crate) struct Weirds {
    seen: AHashSet<(Key, &'static str)>,
}

impl Weirds {
    pub(crate) fn seen(
        &mut self,
        at: Time,
        place: Place,
        name: &'static str,
        addl: Option<&[u8]>,
        source: Option<&'static str>,
    ) -> Option<WeirdRecord> {
        if self.seen.len() >= MAX_REMEMBERED {
            self.seen.clear();
        }
        let key = match place {
            Place::Flow(id) => Key::Flow(id.uid),
            Place::Packet(src, dst) => Key::Packet(src, dst),
            Place::Nowhere => Key::Nowhere,
        };
        if !self.seen.insert((key, name)) && !EVERY_TIME.contains(&name) {
            return None;
        }
        Some(WeirdRecord { at, place, name, addl: addl.map(<[u8]>::to_vec), source })
    }
}
