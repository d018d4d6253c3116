//! IP fragments put together again, by offset, with bounded memory.
//!
//! Our own rather than etherparse's pool: that one wants its own slicing of the whole frame, and fragments also occur
//! inside tunnels. First bytes win where fragments overlap, as in Zeek.

use std::net::IpAddr;

use ahash::AHashMap;

use super::ip::Ip;
use crate::{Interval, Time};

/// Packets in reassembly at once; the oldest is given up for a new one.
const MAX_PACKETS: usize = 4096;
/// Bytes of one IP packet.
const MAX_BYTES: usize = 65_535;
/// Fragments of one packet: 65 535 bytes in pieces of eight bytes would be a flood.
const MAX_PIECES: usize = 1024;
/// How long the missing pieces are waited for. Zeek's `frag_timeout` is off; RFC 8200 §4.5 says 60 s.
const TIMEOUT: Interval = Interval::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    protocol: u8,
}

#[derive(Debug)]
struct Partial {
    since: Time,
    /// Start and bytes of each piece, in order of start.
    pieces: Vec<(usize, Vec<u8>)>,
    /// Length of the whole, once the last fragment came.
    total: Option<usize>,
}

/// All packets of a worker that are in pieces.
#[derive(Debug, Default)]
pub(crate) struct Defrag {
    partial: AHashMap<Key, Partial>,
    /// Packets given up.
    pub(crate) dropped: u64,
}

impl Defrag {
    /// Takes a fragment; gives the whole payload when this was the last missing piece.
    pub(crate) fn add(&mut self, at: Time, ip: &Ip<'_>, weird: &mut dyn FnMut(&'static str)) -> Option<Vec<u8>> {
        let fragment = ip.fragment?;
        let key = Key { src: ip.src, dst: ip.dst, id: fragment.id, protocol: if ip.src.is_ipv4() { ip.protocol } else { 0 } };
        let end = fragment.offset.saturating_add(ip.payload.len());
        if end > MAX_BYTES {
            weird("fragment_protocol_inconsistency");
            return None;
        }
        if self.partial.len() >= MAX_PACKETS && !self.partial.contains_key(&key) {
            self.give_up_oldest();
        }
        let entry = self.partial.entry(key).or_insert_with(|| Partial { since: at, pieces: Vec::new(), total: None });
        if at > entry.since + TIMEOUT {
            *entry = Partial { since: at, pieces: Vec::new(), total: None };
            self.dropped = self.dropped.saturating_add(1);
        }
        if !fragment.more {
            if entry.total.is_some_and(|total| total != end) {
                weird("fragment_size_inconsistency");
            }
            entry.total.get_or_insert(end);
        }
        if entry.pieces.len() >= MAX_PIECES {
            weird("excessively_small_fragment");
            return None;
        }
        let place = entry.pieces.partition_point(|(start, _)| *start <= fragment.offset);
        let overlaps = place.checked_sub(1).and_then(|before| entry.pieces.get(before)).is_some_and(|(s, d)| s + d.len() > fragment.offset);
        if overlaps {
            weird("fragment_overlap");
        }
        entry.pieces.insert(place, (fragment.offset, ip.payload.to_vec()));
        let whole = entry.assemble()?;
        self.partial.remove(&key);
        Some(whole)
    }

    fn give_up_oldest(&mut self) {
        if let Some(key) = self.partial.iter().min_by_key(|(_, partial)| partial.since).map(|(key, _)| *key) {
            self.partial.remove(&key);
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

impl Partial {
    fn assemble(&self) -> Option<Vec<u8>> {
        let total = self.total?;
        let mut whole = Vec::with_capacity(total);
        for (start, data) in &self.pieces {
            let new = whole.len().checked_sub(*start)?;
            whole.extend_from_slice(data.get(new..).unwrap_or_default());
        }
        whole.truncate(total);
        (whole.len() == total).then_some(whole)
    }
}
