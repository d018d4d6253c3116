//! From a frame to the bytes over IP: link layers, IPv4 and IPv6 with their extensions, fragments.
//!
//! Nothing is copied here but reassembled fragments. Tunnels are opened by [`crate::sensor`], since the flow that
//! carries a tunnel has to be known first.

pub(crate) mod checksum;
pub(crate) mod defrag;
pub(crate) mod ip;
pub(crate) mod link;

use std::net::IpAddr;

use crate::{Position, Time};

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
    /// Ethernet type of what the frame carries, past its tags; a length below 1501 if LLC follows.
    pub(crate) ethertype: Option<u16>,
    /// What was gone through on the way to the packet.
    pub(crate) layers: Layers,
    /// Sender and receiver of the IP packet that carried this one.
    pub(crate) outer: Option<(IpAddr, IpAddr)>,
    /// Sender and receiver of the frame that carried this frame.
    pub(crate) outer_l2: Option<([u8; 6], [u8; 6])>,
    /// Tag of the network that ERSPAN mirrors.
    pub(crate) mirror_vlan: Option<u16>,
    /// Virtual network of VXLAN or Geneve.
    pub(crate) vni: Option<u32>,
    /// Bytes of the whole frame that were captured.
    pub(crate) captured: u32,
    /// Where the frame's record begins in its file.
    pub(crate) position: Option<Position>,
}

/// A set of encapsulations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layers(u16);

impl Layers {
    pub(crate) const GRE: Self = Self(1);
    pub(crate) const VXLAN: Self = Self(2);
    pub(crate) const GENEVE: Self = Self(4);
    pub(crate) const GTP: Self = Self(8);
    pub(crate) const MPLS: Self = Self(16);
    pub(crate) const PPPOE: Self = Self(32);
    pub(crate) const PPP: Self = Self(64);
    pub(crate) const VXLAN_GPE: Self = Self(128);

    pub(crate) const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Below {
    pub(crate) const fn new(at: Time, cut: usize) -> Self {
        Self {
            at,
            cut,
            vlan: None,
            inner_vlan: None,
            l2_src: None,
            l2_dst: None,
            ethertype: None,
            layers: Layers(0),
            outer: None,
            outer_l2: None,
            mirror_vlan: None,
            vni: None,
            captured: 0,
            position: None,
        }
    }

    /// For a frame inside a packet, which has tags and addresses of its own.
    pub(crate) fn inside(&self) -> Self {
        Self {
            layers: self.layers,
            outer: self.outer,
            mirror_vlan: self.mirror_vlan,
            vni: self.vni,
            outer_l2: self.l2_src.zip(self.l2_dst),
            captured: self.captured,
            position: self.position,
            ..Self::new(self.at, self.cut)
        }
    }
}
