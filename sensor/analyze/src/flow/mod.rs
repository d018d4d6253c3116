//! Flows: who talks to whom, since when, and how it went.

pub(crate) mod history;
pub(crate) mod key;
pub(crate) mod ports;
pub(crate) mod record;
pub(crate) mod stream;
pub(crate) mod tcp;
pub(crate) mod timers;

use self::history::{History, Scaled};
use self::tcp::Tcp;
use crate::app::App;
use crate::packet::Below;
use crate::{FlowId, FlowNotes, Interval, Pair, Time, Uid};

/// Packets and bytes of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Volume {
    pub(crate) packets: u64,
    /// IP header and payload, as the header tells it.
    pub(crate) ip_bytes: u64,
    /// Payload of UDP and ICMP; of TCP the sequence numbers tell it.
    pub(crate) payload: Option<u64>,
}

/// State of the transport.
#[derive(Debug)]
pub(crate) enum Kind {
    Tcp(Box<Tcp>),
    Datagrams,
}

/// One flow.
pub(crate) struct Flow {
    pub(crate) id: FlowId,
    pub(crate) ip_proto: u8,
    pub(crate) key: key::Key,
    /// Time of the first packet.
    pub(crate) start: Time,
    /// Time of the last packet that counts for the duration.
    pub(crate) last: Time,
    pub(crate) inactivity: Interval,
    pub(crate) volume: Pair<Volume>,
    pub(crate) history: History,
    pub(crate) kind: Kind,
    pub(crate) app: App,
    pub(crate) notes: FlowNotes,
    /// Uids of the flows that carry this one.
    pub(crate) tunnels: Vec<Uid>,
    /// The tunnel that carried the last packet.
    pub(crate) carrier: Option<Uid>,
    pub(crate) carrier_known: bool,
    pub(crate) carrier_changes: u32,
    /// The tunnel that this flow carries.
    pub(crate) tunnel: Option<crate::tunnel::Udp>,
    pub(crate) bad_checksums: Pair<Scaled>,
    pub(crate) missed: u64,
    pub(crate) vlan: Option<u16>,
    pub(crate) inner_vlan: Option<u16>,
    pub(crate) l2: Pair<Option<[u8; 6]>>,
    /// Where its session of Arkime's was among the open ones when the last packet was counted.
    pub(crate) session: u32,
}

impl Flow {
    pub(crate) fn new(id: FlowId, ip_proto: u8, key: key::Key, kind: Kind, inactivity: Interval, below: &Below) -> Self {
        Self {
            id,
            ip_proto,
            key,
            start: below.at,
            last: below.at,
            inactivity,
            volume: Pair::default(),
            history: History::default(),
            kind,
            app: App::default(),
            notes: FlowNotes::default(),
            tunnels: Vec::new(),
            carrier: None,
            carrier_known: false,
            carrier_changes: 0,
            tunnel: None,
            bad_checksums: Pair::default(),
            missed: 0,
            vlan: below.vlan,
            inner_vlan: below.inner_vlan,
            l2: Pair { orig: below.l2_src, resp: below.l2_dst },
            session: u32::MAX,
        }
    }

    /// Originator and responder change places (Zeek's `FlipRoles`).
    pub(crate) fn flip(&mut self) {
        std::mem::swap(&mut self.id.orig, &mut self.id.resp);
        std::mem::swap(&mut self.l2.orig, &mut self.l2.resp);
        std::mem::swap(&mut self.volume.orig, &mut self.volume.resp);
        if let Kind::Tcp(tcp) = &mut self.kind {
            tcp.flip();
        }
        self.history.push(b'^');
    }
}
