//! Flows that other flows have announced: FTP data, and whatever negotiates a port.

use std::net::IpAddr;

use ahash::AHashMap;

use crate::protocol::Protocol;
use crate::{Endpoint, FlowId, Time};

/// Announcements that wait; when full, those that are overdue go first, then all.
const MAX_WAITING: usize = 65_536;

#[derive(Debug)]
struct Announced {
    until: Time,
    orig: Option<IpAddr>,
    protocol: &'static Protocol,
}

/// Announcements of one worker.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    waiting: AHashMap<Endpoint, Announced>,
}

impl Expected {
    pub(crate) fn add(&mut self, now: Time, until: Time, orig: Option<IpAddr>, resp: Endpoint, protocol: &'static Protocol) {
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.retain(|_, announced| announced.until > now);
        }
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.clear();
        }
        self.waiting.insert(resp, Announced { until, orig, protocol });
    }

    /// The protocol announced for a new flow, if any; the announcement holds for one flow.
    pub(crate) fn take(&mut self, now: Time, id: &FlowId) -> Option<&'static Protocol> {
        if self.waiting.is_empty() {
            return None;
        }
        let announced = self.waiting.get(&id.resp)?;
        if announced.until < now || announced.orig.is_some_and(|orig| orig != id.orig.addr) {
            return None;
        }
        self.waiting.remove(&id.resp).map(|announced| announced.protocol)
    }
}
