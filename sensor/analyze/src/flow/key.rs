//! The key of the flow table: both directions of a flow have the same one.

use std::net::IpAddr;

use crate::{Endpoint, Transport};

/// Addresses and ports in canonical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    low: u128,
    high: u128,
    ports: u32,
    transport: u16,
}

impl Key {
    /// For a packet from `src` to `dst`. One-way ICMP messages have a flow for each direction.
    pub(crate) fn new(src: Endpoint, dst: Endpoint, transport: Transport, one_way: bool) -> Self {
        let transport = match transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Icmp => 1,
            Transport::Other(number) => 0x100 | u16::from(number),
        };
        let (a, b) = (bits(src.addr), bits(dst.addr));
        let ports = |x: u16, y: u16| (u32::from(x) << 16) | u32::from(y);
        if one_way || (a, src.port) <= (b, dst.port) {
            Self { low: a, high: b, ports: ports(src.port, dst.port), transport }
        } else {
            Self { low: b, high: a, ports: ports(dst.port, src.port), transport }
        }
    }
}

fn bits(addr: IpAddr) -> u128 {
    match addr {
        // Not the mapped form: a mapped IPv6 address is another host.
        IpAddr::V4(v4) => (1 << 96) | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
