//! Transactions that are under way (scripts/base/protocols/dhcp/main.zeek).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::record::Dhcp;
use super::wire::{self, Message};
use crate::{Direction, FlowId, Interval, Time, Uid};

/// A transaction is looked at so long after its start, and then again and again.
const FIRST_LOOK: Interval = Interval::from_secs(10);
const NEXT_LOOK: Interval = Interval::from_secs(5);

/// It is over when nothing was said for so long, or when it has lasted so long (Zeek's `max_txid_watch_time`).
const MAX_SILENCE: Interval = Interval::from_secs(5);
const MAX_AGE: Interval = Interval::from_secs(30);

/// Flows and messages of a line (Zeek's `max_uids_per_log_entry`, `max_msg_types_per_log_entry`).
const MAX_FLOWS: usize = 10;
const MAX_MESSAGES: usize = 50;

/// Transactions under way; above this one ends early.
const MAX_TRANSACTIONS: usize = 10_000;

/// All transactions are looked at no more often than this.
const MIN_PAUSE: Interval = Interval::from_secs(1);

/// The transactions of a worker, by id.
#[derive(Default)]
pub(super) struct Transactions {
    by_id: BTreeMap<u32, Transaction>,
    /// When the next one is to be looked at.
    next_look: Time,
}

#[derive(Default)]
struct Transaction {
    row: Dhcp,
    /// What the client's hardware address is in the header.
    hardware: Option<Vec<u8>>,
    last: Time,
    look: Time,
    /// Flows that have taken part and have not ended.
    open: Vec<Uid>,
}

impl Transactions {
    /// Adds a message; says which lines are complete.
    pub(super) fn message(&mut self, at: Time, id: &FlowId, from: Direction, message: &Message<'_>) -> Vec<Dhcp> {
        let mut done = self.look(at);
        if self.by_id.len() >= MAX_TRANSACTIONS && !self.by_id.contains_key(&message.xid) {
            done.extend(self.by_id.pop_first().map(|(_, t)| t.end()));
        }
        if self.by_id.get_mut(&message.xid).is_some_and(|t| t.is_over(at)) {
            done.extend(self.by_id.remove(&message.xid).map(Transaction::end));
        }
        let look = at + FIRST_LOOK;
        if self.by_id.is_empty() || look < self.next_look {
            self.next_look = look;
        }
        let transaction = self.by_id.entry(message.xid).or_insert_with(|| {
            let row = Dhcp { at, ..Dhcp::default() };
            Transaction { row, look, ..Transaction::default() }
        });
        transaction.add(at, id, from, message);
        if transaction.row.uids.len() >= MAX_FLOWS || transaction.row.msg_types.len() >= MAX_MESSAGES {
            // Zeek does not put the header's address in here.
            done.extend(self.by_id.remove(&message.xid).map(|t| t.row));
        }
        done
    }

    /// A flow has ended that took part in these: those of which it was the last are over.
    pub(super) fn flow_ended(&mut self, at: Time, uid: Uid, xids: &[u32]) -> Vec<Dhcp> {
        let mut done = self.look(at);
        for xid in xids {
            let Some(t) = self.by_id.get_mut(xid) else { continue };
            t.open.retain(|&open| open != uid);
            if t.open.is_empty() {
                done.extend(self.by_id.remove(xid).map(Transaction::end));
            }
        }
        done
    }

    fn look(&mut self, at: Time) -> Vec<Dhcp> {
        if at < self.next_look {
            return Vec::new();
        }
        let done = self.by_id.extract_if(.., |_, t| t.is_over(at)).map(|(_, t)| t.end()).collect();
        let next = self.by_id.values().map(|t| t.look).min().unwrap_or_default();
        self.next_look = next.max(at + MIN_PAUSE);
        done
    }
}

impl Transaction {
    /// Whether it ended at one of the times at which it is looked at, up to now.
    fn is_over(&mut self, at: Time) -> bool {
        while self.look <= at {
            if self.look.since(self.last) > MAX_SILENCE || self.look.since(self.row.at) > MAX_AGE {
                return true;
            }
            self.look = self.look + NEXT_LOOK;
        }
        false
    }

    fn end(mut self) -> Dhcp {
        self.row.mac = self.row.mac.or(self.hardware);
        self.row
    }

    fn add(&mut self, at: Time, id: &FlowId, from: Direction, message: &Message<'_>) {
        let row = &mut self.row;
        row.duration = at.since(row.at);
        self.last = at;
        if !row.uids.contains(&id.uid) {
            row.uids.push(id.uid);
            self.open.push(id.uid);
        }
        row.msg_types.push(wire::kind_name(message.kind));
        let is_client = from.is_orig() && (id.orig.addr.is_unspecified() || id.orig.port == 68 || id.resp.port == 67);
        let own = |bytes: Option<&[u8]>, old: &mut Option<Vec<u8>>| {
            if let Some(bytes) = bytes {
                *old = Some(bytes.to_vec());
            }
        };
        own(message.text, if is_client { &mut row.client_message } else { &mut row.server_message });
        own(message.vendor_class, if from.is_orig() { &mut row.client_software } else { &mut row.server_software });
        if is_client {
            let broadcast = IpAddr::from([255, 255, 255, 255]);
            if !id.orig.addr.is_unspecified() && id.orig.addr != broadcast {
                row.client_addr = Some(id.orig.addr);
            }
            own(message.host_name, &mut row.host_name);
            own(message.fqdn, &mut row.client_fqdn);
            match message.client_id {
                Some((1, address)) => row.mac = Some(wire::hardware(address)),
                _ => self.hardware = Some(wire::hardware(message.hardware)),
            }
            row.requested_addr = message.requested.map(IpAddr::from).or(row.requested_addr);
            return;
        }
        if let Some(yours) = message.your_addr {
            row.server_addr = Some(if from.is_orig() { id.orig.addr } else { id.resp.addr });
            row.assigned_addr = Some(IpAddr::from(yours));
        }
        if row.mac.is_none() {
            row.mac = Some(wire::hardware(message.hardware));
        }
        row.client_addr = row.client_addr.or(row.assigned_addr);
        own(message.domain, &mut row.domain);
        row.lease_time = message.lease.map(|secs| Interval::from_secs(i64::from(secs))).or(row.lease_time);
    }
}
