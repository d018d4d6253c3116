//! Listening to a port for some seconds: how much comes, and who talks most.
//!
//! A mirror port carries other people's frames, so the port is made promiscuous for that time. Works beside the sensor: packets
//! are copied to both. Only headers are taken, and nothing is kept.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use etherparse::{LaxNetSlice, LaxSlicedPacket, LinkSlice};
use pcap::Capture;
use settings::appliance::{MAX_SECONDS, Preview, Talker};

/// Bytes of a packet that are looked at: Ethernet, VLAN tags and an IPv6 header.
const HEADERS: i32 = 128;
/// Talkers that are told.
const TALKERS: usize = 10;
/// Talkers that are counted: a scan of a whole network must not fill the memory. Who comes later is part of the sums alone.
const MAX_TALKERS: usize = 65_536;
/// How long packets may lie in the kernel's ring before they are handed over, and how long we sleep when there are none: a ring
/// without packets wakes nobody.
const WAKE: Duration = Duration::from_millis(20);
const WAKE_MS: i32 = 20;

/// Listens.
///
/// # Errors
/// When the interface cannot be listened to.
pub(crate) fn listen(interface: &str, seconds: u32) -> anyhow::Result<Preview> {
    let listening = Duration::from_secs(u64::from(seconds.clamp(1, MAX_SECONDS)));
    let capture = Capture::from_device(interface).and_then(|capture| capture.promisc(true).snaplen(HEADERS).timeout(WAKE_MS).open());
    let capture = capture.and_then(Capture::setnonblock);
    let mut capture = capture.with_context(|| format!("cannot listen to {interface}"))?;
    let began = Instant::now();
    let mut tally = Tally::default();
    while began.elapsed() < listening {
        match capture.next_packet() {
            Ok(packet) => tally.count(packet.data, u64::from(packet.header.len)),
            Err(pcap::Error::TimeoutExpired) => std::thread::sleep(WAKE),
            Err(error) => return Err(error).with_context(|| format!("{interface} fell silent")),
        }
    }
    let missed = capture.stats().map_or(0, |stats| u64::from(stats.dropped));
    Ok(tally.preview(began.elapsed().as_secs_f64(), missed))
}

/// What was counted.
#[derive(Debug, Default)]
struct Tally {
    packets: u64,
    bytes: u64,
    talkers: HashMap<Address, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Address {
    Ip(IpAddr),
    Mac([u8; 6]),
}

impl Tally {
    fn count(&mut self, frame: &[u8], bytes: u64) {
        self.packets += 1;
        self.bytes += bytes;
        for address in addresses(frame).into_iter().flatten() {
            if self.talkers.len() < MAX_TALKERS || self.talkers.contains_key(&address) {
                *self.talkers.entry(address).or_default() += bytes;
            }
        }
    }

    /// Rates. What the kernel had to drop for want of room is taken to be like what was seen.
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    fn preview(self, seconds: f64, missed: u64) -> Preview {
        let scale = if self.packets == 0 { 0.0 } else { (self.packets + missed) as f64 / self.packets as f64 / seconds };
        let mut talkers: Vec<Talker> =
            self.talkers.iter().map(|(address, bytes)| Talker { address: address.to_text(), bits: *bytes as f64 * 8.0 * scale }).collect();
        talkers.sort_by(|a, b| b.bits.total_cmp(&a.bits).then_with(|| a.address.cmp(&b.address)));
        talkers.truncate(TALKERS);
        Preview { seconds, packets: self.packets as f64 * scale, bits: self.bytes as f64 * 8.0 * scale, talkers }
    }
}

impl Address {
    fn to_text(self) -> String {
        match self {
            Self::Ip(address) => address.to_string(),
            Self::Mac(bytes) => bytes.map(|byte| format!("{byte:02x}")).join(":"),
        }
    }
}

/// Source and destination: of IP, or of Ethernet where there is no IP.
fn addresses(frame: &[u8]) -> [Option<Address>; 2] {
    let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else { return [None, None] };
    let ip = match packet.net {
        Some(LaxNetSlice::Ipv4(v4)) => Some((IpAddr::V4(v4.header().source_addr()), IpAddr::V4(v4.header().destination_addr()))),
        Some(LaxNetSlice::Ipv6(v6)) => Some((IpAddr::V6(v6.header().source_addr()), IpAddr::V6(v6.header().destination_addr()))),
        _ => None,
    };
    match (ip, packet.link) {
        (Some((source, destination)), _) => [Some(Address::Ip(source)), Some(Address::Ip(destination))],
        (None, Some(LinkSlice::Ethernet2(ethernet))) => [Some(Address::Mac(ethernet.source())), Some(Address::Mac(ethernet.destination()))],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use etherparse::PacketBuilder;

    use super::*;

    fn frame(last: u8, payload: usize) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([192, 0, 2, last], [198, 51, 100, 1], 64).udp(1000, 53);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &vec![0; payload]).unwrap();
        bytes
    }

    #[test]
    fn who_talks_most_comes_first_and_ten_are_told() {
        let mut tally = Tally::default();
        for host in 1..=20 {
            for _ in 0..host {
                tally.count(&frame(host, 100), 1000);
            }
        }
        let preview = tally.preview(2.0, 0);
        assert_eq!((preview.packets, preview.bits), (105.0, 840_000.0));
        let first: Vec<&str> = preview.talkers.iter().take(2).map(|talker| talker.address.as_str()).collect();
        assert_eq!((first, preview.talkers.len()), (vec!["198.51.100.1", "192.0.2.20"], 10));
        assert_eq!(preview.talkers[1].bits, 80_000.0);
    }

    #[test]
    fn what_was_dropped_counts_as_what_was_seen_and_frames_without_ip_have_their_mac() {
        let mut tally = Tally::default();
        let mut arp = vec![0xff; 6];
        arp.extend([2, 0, 0, 0, 0, 9, 0x08, 0x06]);
        arp.extend([0; 28]);
        tally.count(&arp, 60);
        tally.count(&[1, 2, 3], 3);
        let preview = tally.preview(1.0, 2);
        assert_eq!(preview.packets, 4.0);
        assert!(preview.talkers.iter().any(|talker| talker.address == "02:00:00:00:00:09"), "{preview:?}");
        assert_eq!(Tally::default().preview(1.0, 0).packets, 0.0);
    }

    #[test]
    fn tagged_frames_are_looked_into() {
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .single_vlan(7.try_into().unwrap())
            .ipv6([1; 16], [2; 16], 9)
            .tcp(1, 2, 3, 4)
            .write(&mut bytes, &[])
            .unwrap();
        assert!(matches!(addresses(&bytes), [Some(Address::Ip(IpAddr::V6(_))), Some(Address::Ip(_))]));
    }

    #[test]
    fn a_port_is_listened_to_while_it_is_used() {
        let (talk, hear) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = hear.local_addr().unwrap();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let talking = std::thread::spawn(move || {
            while matches!(stopped.recv_timeout(Duration::from_millis(5)), Err(std::sync::mpsc::RecvTimeoutError::Timeout)) {
                talk.send_to(&[7; 400], to).unwrap();
            }
        });
        let preview = listen("lo", 1);
        drop(stop);
        talking.join().unwrap();
        match preview {
            Ok(preview) => {
                assert!(preview.packets > 5.0 && preview.talkers.iter().any(|talker| talker.address == "127.0.0.1"), "{preview:?}")
            }
            Err(error) => println!("SKIPPED: no right to listen: {error:#}"),
        }
        assert!(listen("no-such-port", 1).is_err());
    }

    #[test]
    fn a_silent_port_is_not_waited_for() {
        let began = Instant::now();
        let Ok(mut capture) = Capture::from_device("lo").and_then(|capture| capture.timeout(WAKE_MS).open()).and_then(Capture::setnonblock)
        else {
            println!("SKIPPED: no right to listen");
            return;
        };
        capture.filter("ether proto 0xfffe", true).unwrap();
        assert!(matches!(capture.next_packet(), Err(pcap::Error::TimeoutExpired)));
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}
