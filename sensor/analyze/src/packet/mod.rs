//! From a frame to the bytes over IP: link layers, IPv4 and IPv6 with their extensions, fragments.
//!
//! Nothing is copied here but reassembled fragments. Tunnels are opened by [`crate::sensor`], since the flow that
//! carries a tunnel has to be known first.

pub(crate) mod checksum;
pub(crate) mod defrag;
pub(crate) mod ip;
pub(crate) mod link;

use crate::Time;

/// What the layers below IP told about a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Below {
    pub(crate) at: Time,
    /// Bytes on the wire beyond what was captured; 0 if the frame is whole.
    pub(crate) cut: usize,
    pub(crate) vlan: Option<u16>,
    pub(crate) inner_vlan: Option<u16>,
    pub(crate) l2_src: Option<[u8; 6]>,
    pub(crate) l2_dst: Option<[u8; 6]>,
}

impl Below {
    pub(crate) const fn new(at: Time, cut: usize) -> Self {
        Self { at, cut, vlan: None, inner_vlan: None, l2_src: None, l2_dst: None }
    }
}
