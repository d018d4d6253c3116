//! What a frame can be asked for: hosts, pairs of hosts, ports, protocols, as numbers for an index.
//!
//! Invariant: where tcpdump's expression finds a host, port or protocol in a frame, the frame has its key. More keys than
//! that do no harm but time: what an index finds is filtered once more. So headers are looked for where libpcap looks
//! (also in ARP), and past VLAN tags, MPLS and PPPoE, after which `vlan`, `mpls` and `pppoes` move its eyes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// VLAN tags and MPLS labels that are gone through.
const MAX_TAGS: usize = 8;
/// IPv6 extension headers that are gone through.
const MAX_EXTENSIONS: usize = 8;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const RARP: u16 = 0x8035;
const IPV6: u16 = 0x86dd;

/// A key. The same thing has the same key on every machine and in every version that writes [`crate::index::MAGIC`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

impl Key {
    /// Of a host, as sender or receiver.
    #[must_use]
    pub fn host(host: IpAddr) -> Self {
        Self(mix(1, address(host)))
    }

    /// Of two hosts that talk, whoever speaks.
    #[must_use]
    pub fn pair(one: IpAddr, other: IpAddr) -> Self {
        let (one, other) = (address(one), address(other));
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        Self(mix(mix(2, low), high))
    }

    /// Of a port of TCP, UDP or SCTP, at either side.
    #[must_use]
    pub fn port(port: u16) -> Self {
        Self(mix(3, port.into()))
    }

    /// Of a protocol over IP, by its number.
    #[must_use]
    pub fn protocol(number: u8) -> Self {
        Self(mix(4, number.into()))
    }

    /// Of an Ethernet type.
    #[must_use]
    pub fn ethertype(number: u16) -> Self {
        Self(mix(5, number.into()))
    }
}

/// Who talks to whom in a frame, as far as it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ends {
    ethertype: u16,
    /// Sender and receiver: of a frame that is cut short perhaps one, or none.
    hosts: [Option<IpAddr>; 2],
    /// The protocol, and the extension headers before it.
    protocols: [Option<u8>; MAX_EXTENSIONS],
    ports: [Option<u16>; 2],
}

impl Ends {
    /// Reads an Ethernet frame.
    #[must_use]
    pub fn of(frame: &[u8]) -> Self {
        let mut ends = Self::default();
        let _ = ends.ethernet(frame);
        ends
    }

    /// A number that frames have in common only if they have the same ends, for the commonest kind: IPv4 over Ethernet without
    /// options or fragments, with ports. Never 0.
    #[must_use]
    pub fn number(frame: &[u8]) -> Option<u128> {
        let head = frame.first_chunk::<38>()?;
        let [.., kind, kind_low, version, _, _, _, _, _, fragment, fragment_low, _, protocol, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            head;
        let is_common =
            [*kind, *kind_low, *version, *fragment & 0x3f, *fragment_low] == [8, 0, 0x45, 0, 0] && matches!(protocol, 6 | 17 | 132);
        let ends = head.last_chunk::<12>()?;
        let mut number = [0; 16];
        let (low, high) = number.split_at_mut(12);
        low.copy_from_slice(ends);
        high.fill(*protocol);
        is_common.then_some(u128::from_le_bytes(number))
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        let [from, to] = self.hosts;
        let pair = from.zip(to).map(|(from, to)| Key::pair(from, to));
        let hosts = self.hosts.into_iter().flatten().map(Key::host).chain(pair);
        let ports = self.ports.into_iter().flatten().map(Key::port);
        let protocols = self.protocols.iter().flatten().map(|number| Key::protocol(*number));
        std::iter::once(Key::ethertype(self.ethertype)).chain(hosts).chain(protocols).chain(ports)
    }

    fn ethernet(&mut self, frame: &[u8]) -> Option<()> {
        let mut kind = u16_at(frame, 12)?;
        let mut rest = frame.get(14..)?;
        for _ in 0..MAX_TAGS {
            self.ethertype = kind;
            match kind {
                0x8100 | 0x88a8 | 0x9100 | 0x9200 => (kind, rest) = (u16_at(rest, 2)?, rest.get(4..)?),
                // The bottom of the stack of labels has a bit of its own; what follows shows its version.
                0x8847 | 0x8848 => {
                    let is_bottom = rest.get(2)? & 1 == 1;
                    rest = rest.get(4..)?;
                    if is_bottom {
                        kind = if rest.first()? >> 4 == 6 { IPV6 } else { IPV4 };
                    }
                }
                0x8864 => (kind, rest) = (if u16_at(rest, 6)? == 0x0057 { IPV6 } else { IPV4 }, rest.get(8..)?),
                IPV4 => return self.ipv4(rest),
                IPV6 => return self.ipv6(rest),
                // Sender and target, where libpcap expects them: it does not look at the lengths of addresses.
                ARP | RARP => {
                    self.hosts = [v4_at(rest, 14), v4_at(rest, 24)];
                    return Some(());
                }
                _ => return None,
            }
        }
        None
    }

    fn ipv4(&mut self, packet: &[u8]) -> Option<()> {
        let header = usize::from(packet.first()? & 15) * 4;
        let protocol = *packet.get(9)?;
        self.hosts = [v4_at(packet, 12), v4_at(packet, 16)];
        if let Some(place) = self.protocols.first_mut() {
            *place = Some(protocol);
        }
        let is_first = u16_at(packet, 6)? & 0x1fff == 0;
        if is_first { self.transport(protocol, packet.get(header..)?) } else { None }
    }

    fn ipv6(&mut self, packet: &[u8]) -> Option<()> {
        let mut next = *packet.get(6)?;
        self.hosts = [v6_at(packet, 8), v6_at(packet, 24)];
        let mut rest = packet.get(40..).unwrap_or_default();
        let mut is_first = true;
        for place in &mut self.protocols {
            *place = Some(next);
            if !is_first {
                return None;
            }
            let length = match next {
                0 | 43 | 60 => (usize::from(*rest.get(1)?) + 1) * 8,
                51 => (usize::from(*rest.get(1)?) + 2) * 4,
                44 => 8,
                _ => return self.transport(next, rest),
            };
            is_first &= next != 44 || u16_at(rest, 2).is_none_or(|fragment| fragment & 0xfff8 == 0);
            (next, rest) = (*rest.first()?, rest.get(length..).unwrap_or_default());
        }
        None
    }

    fn transport(&mut self, protocol: u8, segment: &[u8]) -> Option<()> {
        if matches!(protocol, 6 | 17 | 132) {
            self.ports = [u16_at(segment, 0), u16_at(segment, 2)];
        }
        Some(())
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn v4_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    bytes.get(at..)?.first_chunk::<4>().map(|bytes| IpAddr::V4(Ipv4Addr::from(*bytes)))
}

fn v6_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    bytes.get(at..)?.first_chunk::<16>().map(|bytes| IpAddr::V6(Ipv6Addr::from(*bytes)))
}

fn address(host: IpAddr) -> u128 {
    match host {
        IpAddr::V4(host) => u128::from(u32::from(host)),
        IpAddr::V6(host) => u128::from(host),
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014), once for each half.
fn mix(state: u64, value: u128) -> u64 {
    let mut state = state;
    for half in [value as u64, (value >> 64) as u64] {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ half;
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(frame: &[u8]) -> Vec<Key> {
        Ends::of(frame).keys().collect()
    }

    #[test]
    fn frames_of_one_number_have_the_same_ends() {
        let frame = |protocol, fragment, ports: [u8; 4]| [vec![0; 12], vec![8, 0], ipv4(protocol, fragment, &ports)].concat();
        let usual = frame(6, 0x4000, [0, 80, 4, 0]);
        assert!(Ends::number(&usual).is_some());
        for other in [frame(17, 0x4000, [0, 80, 4, 0]), frame(6, 0, [0, 81, 4, 0]), frame(6, 0, [4, 0, 0, 80])] {
            assert_ne!(Ends::of(&usual), Ends::of(&other));
            assert_ne!(Ends::number(&usual), Ends::number(&other));
        }
        for odd in [frame(1, 0, [0, 80, 4, 0]), frame(6, 0x2000, [0, 80, 4, 0]), frame(6, 7, [0, 80, 4, 0]), usual[..37].to_vec()] {
            assert_eq!(Ends::number(&odd), None);
        }
    }

    fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0];
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(payload);
        packet
    }

    fn frame(tags: &[u16], payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        for (n, kind) in tags.iter().enumerate() {
            frame.extend(kind.to_be_bytes());
            if n + 1 < tags.len() {
                frame.extend([0, 5]);
            }
        }
        frame.extend(payload);
        frame
    }

    const PORTS: [u8; 4] = [0x9c, 0x40, 0, 80];

    #[test]
    fn hosts_ports_and_protocol_are_found_also_behind_tags() {
        let (one, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for tags in [&[IPV4][..], &[0x8100, IPV4], &[0x88a8, 0x8100, IPV4]] {
            let keys = keys(&frame(tags, &ipv4(6, 0, &PORTS)));
            for key in [Key::host(one), Key::host(other), Key::pair(other, one), Key::port(80), Key::port(40_000), Key::protocol(6)] {
                assert!(keys.contains(&key), "{tags:x?}");
            }
        }
        let mpls = [[0, 0, 0, 64].as_slice(), &[0, 0, 1, 64], &ipv4(17, 0, &PORTS)].concat();
        assert!(keys(&frame(&[0x8847], &mpls)).contains(&Key::port(80)));
        let pppoe = [[0x11, 0, 0, 1, 0, 0, 0, 0x21].as_slice(), &ipv4(17, 0, &PORTS)].concat();
        assert!(keys(&frame(&[0x8864], &pppoe)).contains(&Key::port(80)));
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let keys = keys(&frame(&[IPV4], &ipv4(17, 100, &PORTS)));
        assert!(keys.contains(&Key::protocol(17)) && !keys.contains(&Key::port(80)));
    }

    #[test]
    fn extension_headers_of_ipv6_are_gone_through() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, 0, 64];
        packet.extend([1; 16]);
        packet.extend([2; 16]);
        packet.extend([44, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend([6, 0, 0, 1, 0, 0, 0, 9]);
        packet.extend(PORTS);
        let keys = keys(&frame(&[IPV6], &packet));
        for key in [Key::protocol(0), Key::protocol(44), Key::protocol(6), Key::port(80), Key::host(IpAddr::from([1; 16]))] {
            assert!(keys.contains(&key));
        }
    }

    #[test]
    fn hosts_that_arp_speaks_of_are_found() {
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
        arp.extend([2; 6]);
        arp.extend([10, 0, 0, 1]);
        arp.extend([0; 6]);
        arp.extend([10, 0, 0, 2]);
        let keys = keys(&frame(&[ARP], &arp));
        assert!(keys.contains(&Key::host("10.0.0.2".parse().unwrap())) && keys.contains(&Key::ethertype(ARP)));
    }

    #[test]
    fn a_frame_cut_anywhere_is_read_as_far_as_it_goes() {
        let whole = frame(&[0x8100, IPV4], &ipv4(6, 0, &PORTS));
        for cut in 0..whole.len() {
            let some = keys(&whole[..cut]);
            assert!(some.iter().skip(1).all(|key| keys(&whole).contains(key)), "{cut}");
        }
    }
}
