//! A filter in tcpdump's language: libpcap's program, which decides, and what it implies, which spares reading.

use pcap::{BpfProgram, Capture, Linktype};
use thiserror::Error;

use crate::{expression::Implied, keys::Key};

/// A filter for Ethernet frames.
pub struct Filter {
    text: String,
    program: BpfProgram,
    implied: Implied,
}

/// The text is not a filter.
#[derive(Debug, Error)]
#[error("{text:?} is not in tcpdump's language: {reason}; see pcap-filter(7), or try it with `tcpdump -d`")]
pub struct Invalid {
    text: String,
    reason: String,
}

/// libpcap's program for Ethernet frames.
///
/// # Errors
/// libpcap's reason.
pub fn program(text: &str) -> Result<BpfProgram, String> {
    Capture::dead(Linktype::ETHERNET).and_then(|handle| handle.compile(text, true)).map_err(reason)
}

/// What libpcap says of an error, without the name that its library gives it.
#[must_use]
pub fn reason(error: pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text,
        other => other.to_string(),
    }
}

impl Filter {
    /// Compiles a filter; nothing for an empty text or one of blanks.
    ///
    /// # Errors
    /// [`Invalid`] with libpcap's reason.
    pub fn compile(text: &str) -> Result<Option<Self>, Invalid> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let program = program(text).map_err(|reason| Invalid { text: text.to_owned(), reason })?;
        Ok(Some(Self { text: text.to_owned(), program, implied: Implied::by(text) }))
    }

    /// The same, and frames with one or two VLAN tags match by what is behind them, where tcpdump sees nothing.
    ///
    /// # Errors
    /// [`Invalid`], also if the text speaks of tags itself.
    pub fn compile_behind_tags(text: &str) -> Result<Option<Self>, Invalid> {
        let Some(plain) = Self::compile(text)? else { return Ok(None) };
        let text = plain.text;
        // `vlan` moves libpcap's eyes by four bytes, and by four more when it is said again.
        let all = Self::compile(&format!("({text}) or (vlan and ({text})) or (vlan and ({text}))"));
        let all = all.map_err(|Invalid { reason, .. }| Invalid { text: text.clone(), reason })?;
        // A frame matches by one of the three, so that what one of them implies holds.
        let speaks_of_tags = text.contains("vlan") || text.contains("mpls") || text.contains("pppoe");
        let implied = if speaks_of_tags { Implied::Anything } else { plain.implied };
        Ok(all.map(|all| Self { text, program: all.program, implied }))
    }

    /// The text that it was compiled from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a frame matches. `len` and its like see the bytes that were kept.
    #[must_use]
    pub fn matches(&self, frame: &[u8]) -> bool {
        self.program.filter(frame)
    }

    /// Whether a frame can match that has some keys at most.
    pub fn may_match(&self, mut may_have: impl FnMut(Key) -> bool) -> bool {
        self.implied.holds(&mut may_have)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::keys::Ends;

    const HOSTS: [&str; 4] = ["10.0.0.1", "10.0.0.2", "10.1.0.3", "fe80::1"];
    const PORTS: [u16; 4] = [53, 80, 443, 8080];

    /// Primitives, with the words that a bare value takes, and some of which nothing is known.
    fn primitive() -> impl Strategy<Value = String> {
        let host = || select(HOSTS.to_vec()).prop_map(str::to_owned);
        let port = || select(PORTS.to_vec()).prop_map(|port| port.to_string());
        let direction = || select(vec!["", "src ", "dst ", "src or dst ", "src and dst "]);
        let protocol = || select(vec!["", "tcp ", "udp ", "sctp "]);
        let family = || select(vec!["", "ip ", "ip6 ", "arp ", "rarp "]);
        prop_oneof![
            (family(), direction(), host()).prop_map(|(family, direction, host)| format!("{family}{direction}host {host}")),
            (direction(), host()).prop_map(|(direction, host)| format!("{direction}{host}")),
            (protocol(), direction(), port()).prop_map(|(protocol, direction, port)| format!("{protocol}{direction}port {port}")),
            host(),
            port(),
            select(vec![
                "tcp",
                "udp",
                "icmp",
                "icmp6",
                "ip",
                "ip6",
                "arp",
                "vlan",
                "vlan 5",
                "mpls",
                "pppoes",
                "net 10.0.0.0/8",
                "proto 17",
                "ip proto 6",
                "ip6 proto 58",
                "portrange 80-443",
                "less 70",
                "tcp[13] & 2 != 0",
                "ip[0] & 0xf != 5",
                "ip broadcast",
                "ether host 02:02:02:02:02:02",
                "ether proto 0x0800",
                "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
                "len > 60",
            ])
            .prop_map(str::to_owned),
        ]
    }

    fn expression() -> impl Strategy<Value = String> {
        primitive().prop_recursive(4, 12, 4, |inner| {
            let operator = select(vec![" and ", " or ", " && ", " || "]);
            prop_oneof![
                (inner.clone(), operator.clone(), inner.clone()).prop_map(|(a, operator, b)| format!("{a}{operator}{b}")),
                (inner.clone(), operator, inner.clone()).prop_map(|(a, operator, b)| format!("({a}){operator}{b}")),
                inner.clone().prop_map(|a| format!("not {a}")),
                inner.clone().prop_map(|a| format!("!({a})")),
                inner.prop_map(|a| format!("({a})")),
            ]
        })
    }

    prop_compose! {
        fn frame()(
            tags in vec(select(vec![0x8100_u16, 0x88a8]), 0..3),
            kind in select(vec![0x0800_u16, 0x0800, 0x0800, 0x86dd, 0x0806, 0x8035, 0x8847, 0x8864]),
            hosts in (0..3_usize, 0..3_usize),
            protocol in select(vec![6_u8, 17, 1, 58, 132, 44, 0]),
            ports in (select(PORTS.to_vec()), select(PORTS.to_vec())),
            fragment in select(vec![0_u16, 0, 0, 0x2000, 100]),
            cut in 0..200_usize,
        ) -> Vec<u8> {
            let mut frame = vec![2; 12];
            for tag in tags {
                frame.extend(tag.to_be_bytes());
                frame.extend([0, 5]);
            }
            frame.extend(kind.to_be_bytes());
            match kind {
                0x8847 => frame.extend([0, 6, 65, 64]),
                0x8864 => frame.extend([0x11, 0, 0, 1, 0, 0, 0, 0x21]),
                _ => {}
            }
            let address = |n: usize| HOSTS[n].parse::<std::net::Ipv4Addr>().unwrap().octets();
            let mut payload = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
            payload.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 2, 0, 0, 0, 0, 0, 0]);
            match kind {
                0x0806 | 0x8035 => {
                    frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 2, 2, 2, 2, 2]);
                    frame.extend(address(hosts.0));
                    frame.extend([0; 6]);
                    frame.extend(address(hosts.1));
                }
                0x86dd => {
                    frame.extend([0x60, 0, 0, 0, 0, 32, protocol, 64]);
                    frame.extend(HOSTS[3].parse::<std::net::Ipv6Addr>().unwrap().octets());
                    frame.extend([3; 16]);
                    if protocol == 44 || protocol == 0 {
                        frame.extend([6, 0]);
                        frame.extend(fragment.to_be_bytes());
                        frame.extend([0; 4]);
                    }
                    frame.extend(payload);
                }
                _ => {
                    frame.extend([0x45, 0, 0, 40, 0, 0]);
                    frame.extend(fragment.to_be_bytes());
                    frame.extend([64, protocol, 0, 0]);
                    frame.extend(address(hosts.0));
                    frame.extend(address(hosts.1));
                    frame.extend(payload);
                }
            }
            if cut < frame.len() && cut % 3 == 0 {
                frame.truncate(cut);
            }
            frame
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]
        #[test]
        fn what_libpcap_takes_has_what_is_implied(text in expression(), frames in vec(frame(), 50)) {
            // Many a combination is none of tcpdump's.
            if let Ok(Some(filter)) = Filter::compile(&text) {
                for frame in frames {
                    if filter.matches(&frame) {
                        let keys: HashSet<_> = Ends::of(&frame).keys().collect();
                        prop_assert!(filter.may_match(|key| keys.contains(&key)), "{text:?} {:?} {frame:02x?}", Implied::by(&text));
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_tagged_frame_matches_as_it_does_without_tags(frames in vec(frame(), 20), text in select(vec![
            "host 10.0.0.1", "tcp port 80", "udp and host 10.0.0.1 and host 10.0.0.2 and port 53 and port 80", "arp", "icmp6", "ip6",
        ])) {
            let (plain, all) = (Filter::compile(text).unwrap().unwrap(), Filter::compile_behind_tags(text).unwrap().unwrap());
            for frame in frames.into_iter().filter(|frame| frame.len() > 80) {
                let mut bare = frame.clone();
                while bare[12..14] == [0x81, 0] || bare[12..14] == [0x88, 0xa8] {
                    bare.drain(12..16);
                }
                prop_assert_eq!(all.matches(&frame), plain.matches(&bare), "{} {:02x?}", text, frame);
                let keys: HashSet<_> = Ends::of(&frame).keys().collect();
                prop_assert!(!all.matches(&frame) || all.may_match(|key| keys.contains(&key)));
            }
        }
    }

    #[test]
    fn a_typo_says_what_is_wrong_and_where_to_look() {
        let message = Filter::compile("tcp prot 80").err().unwrap().to_string();
        assert!(message.contains("tcp prot 80") && message.contains("pcap-filter"), "{message}");
        assert!(Filter::compile(" \n").unwrap().is_none());
    }
}
