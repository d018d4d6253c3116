//! What the appliance shows to its network.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use etherparse::{ArpHardwareId, ArpOperation, ArpPacket, EtherType, NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

use super::first_boot::{send, setup_code};
use crate::browser::Browser;
use crate::central::Central;
use crate::guest::{Plan, Wire};
use crate::lab::Lab;
use crate::wizard::{self, Answers};
use crate::{provision, stick, traffic};

/// Nobody answers to DHCP, so the guest has a link-local address; each of its TCP ports is asked from there.
pub(super) fn only_the_web_ui_answers(lab: &Lab) -> anyhow::Result<()> {
    let mut sensor = Plan::new(lab, "scanned").alone().start()?;
    let shown = sensor.or_screenshot(|sensor| sensor.console.wait_for_after("https://169.254.", Duration::from_secs(600)))?;
    let address = shown.split(':').next().unwrap_or_default();
    let address: Ipv4Addr = format!("169.254.{address}").parse().context("the console shows no address")?;
    let wire = sensor.management.as_ref().context("the management port is in other hands")?;
    let scanner = Scanner { wire, address };
    let (mut open, mut closed) = scanner.ask((1..=65_535).collect())?;
    // A lost question is no answer: the ports that matter most are asked again.
    let (again, refused) = scanner.ask([22, 80, 443, 111, 5044, 5355, 8005, 8006, 8080, 8443, 9200].to_vec())?;
    open.extend(again);
    closed.extend(refused);
    println!("    {address}: open {open:?}, closed with an answer: {}", closed.len());
    ensure!(open.iter().eq(&[8443]), "these ports answer: {open:?}");
    ensure!(closed.is_empty(), "these ports say that they are closed, in place of nothing: {closed:?}");
    Ok(())
}

/// Our end of the management port, as a host of the same link.
struct Scanner<'a> {
    wire: &'a Wire,
    address: Ipv4Addr,
}

impl Scanner<'_> {
    const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x99];
    const ADDRESS: [u8; 4] = [169, 254, 1, 1];
    const PORT: u16 = 40_000;
    const GUEST: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 1];

    /// Sends a SYN to each port; which answered with SYN and ACK, and which with RST.
    fn ask(&self, ports: Vec<u16>) -> anyhow::Result<(BTreeSet<u16>, BTreeSet<u16>)> {
        let (mut open, mut closed) = (BTreeSet::new(), BTreeSet::new());
        for some in ports.chunks(64) {
            for port in some {
                let mut frame = Vec::new();
                PacketBuilder::ethernet2(Self::MAC, Self::GUEST)
                    .ipv4(Self::ADDRESS, self.address.octets(), 64)
                    .tcp(Self::PORT, *port, 1, 1024)
                    .syn()
                    .write(&mut frame, &[])?;
                self.wire.send(&frame)?;
            }
            // The guest's receive ring is short, and its processor emulated.
            std::thread::sleep(Duration::from_millis(40));
            self.listen(&mut open, &mut closed)?;
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(100));
            self.listen(&mut open, &mut closed)?;
        }
        Ok((open, closed))
    }

    fn listen(&self, open: &mut BTreeSet<u16>, closed: &mut BTreeSet<u16>) -> anyhow::Result<()> {
        for frame in self.wire.heard() {
            let Ok(sliced) = SlicedPacket::from_ethernet(&frame) else { continue };
            if let Some(NetSlice::Arp(arp)) = &sliced.net {
                if arp.target_protocol_addr() == Self::ADDRESS && arp.operation() == ArpOperation::REQUEST {
                    self.answer_arp(arp.sender_protocol_addr())?;
                }
                continue;
            }
            if let Some(TransportSlice::Tcp(tcp)) = &sliced.transport
                && tcp.destination_port() == Self::PORT
            {
                let set = if tcp.rst() { &mut *closed } else { &mut *open };
                set.insert(tcp.source_port());
            }
        }
        Ok(())
    }

    fn answer_arp(&self, asker: &[u8]) -> anyhow::Result<()> {
        let packet =
            ArpPacket::new(ArpHardwareId::ETHERNET, EtherType::IPV4, ArpOperation::REPLY, &Self::MAC, &Self::ADDRESS, &Self::GUEST, asker)?;
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(Self::MAC, Self::GUEST).arp(packet).write(&mut frame)?;
        self.wire.send(&frame)
    }
}

/// A sensor that captures is asked for its address, spoken to and asked to forward, on the port that captures.
pub(super) fn the_capture_port_says_nothing(lab: &Lab) -> anyhow::Result<()> {
    let central = Central::start(&lab.folder)?;
    let set = stick::with_files(lab, &[("tenrec-settings.toml", &provision::settings(&central)?)])?;
    let mut sensor = Plan::new(lab, "silent").disk(&set, "STICK").reaches(5044, central.logs).reaches(9200, central.sessions).start()?;
    sensor.wait_for_web()?;
    let page = b"<!doctype html><title>page</title>";
    send(&sensor, &traffic::http(1, "www.example.org", "/before", "text/html", page))?;
    sensor.or_screenshot(|_| central.wait_for_line("http", &["/before"], Duration::from_secs(300)))?;

    // QEMU's network gives the management port this address.
    let (ours, theirs, mac) = ([10, 0, 2, 77], [10, 0, 2, 15], [0x52, 0x54, 0, 0x12, 0x34, 2]);
    let asker = [0x02, 0, 0, 0, 0, 0x77];
    let question = ArpPacket::new(ArpHardwareId::ETHERNET, EtherType::IPV4, ArpOperation::REQUEST, &asker, &ours, &[0; 6], &theirs)?;
    let mut arp = Vec::new();
    PacketBuilder::ethernet2(asker, [0xff; 6]).arp(question).write(&mut arp)?;
    let mut frames = vec![arp];
    // To the appliance itself, and through it to a host beyond.
    for to in [theirs, [10, 0, 2, 2]] {
        let (mut ping, mut syn) = (Vec::new(), Vec::new());
        PacketBuilder::ethernet2(asker, mac).ipv4(ours, to, 64).icmpv4_echo_request(7, 1).write(&mut ping, b"hello")?;
        PacketBuilder::ethernet2(asker, mac).ipv4(ours, to, 64).tcp(40_000, 8443, 1, 1024).syn().write(&mut syn, &[])?;
        frames.extend([ping, syn]);
    }
    let mut solicitation = Vec::new();
    let all_nodes = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets();
    PacketBuilder::ethernet2(asker, [0x33, 0x33, 0, 0, 0, 1])
        .ipv6(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x77).octets(), all_nodes, 255)
        .icmpv6_echo_request(7, 1)
        .write(&mut solicitation, b"hello")?;
    frames.push(solicitation);
    send(&sensor, &frames)?;

    // What came later has been seen, so these were.
    send(&sensor, &traffic::http(2, "www.example.org", "/after", "text/html", page))?;
    sensor.or_screenshot(|_| central.wait_for_line("http", &["/after"], Duration::from_secs(300)))?;
    let heard = sensor.capture.heard();
    ensure!(heard.is_empty(), "the capture port sent {} frames since power-on; the first is {:02x?}", heard.len(), heard.first());
    Ok(())
}

pub(super) fn a_wrong_clock_is_told(lab: &Lab) -> anyhow::Result<()> {
    let central = Central::start(&lab.folder)?;
    let mut sensor =
        Plan::new(lab, "late").clock("2020-01-01T00:00:00").reaches(5044, central.logs).reaches(9200, central.sessions).start()?;
    let (_, fingerprint) = sensor.wait_for_web()?;
    let code = setup_code(&sensor, &fingerprint)?;
    let mut browser = Browser::start(lab, false)?;
    let answers = Answers::towards(&central, &code);
    sensor.or_screenshot(|sensor| wizard::up_to_the_probe(&mut browser, sensor, &answers))?;
    browser.wait_for_text("clock", Duration::from_secs(120))
}
