//! A translated filter wants exactly the frames that libpcap wants, whatever the frame.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

mod wire;

use std::os::fd::AsFd;

use tenrec::capture::{
    filter::Filter,
    sys,
    translate::{Endings, translate},
};
use wire::{ethernet, ipv4, ipv6, tcp};

const FILTERS: &[&str] = &[
    "host 10.0.0.1",
    "net 10.0.0.0/8 and not port 22",
    "tcp port 80 or udp portrange 5000-6000",
    "vlan 7 and ip6",
    "vlan 100 and vlan 7 and tcp",
    "vlan",
    "ip[2:2] > 576 or tcp[13] & 3 != 0",
    "ether host 02:00:00:00:00:01",
    "ether src 02:00:00:00:00:02 and not arp",
    "greater 100 and less 1000",
    "ip6 and ip6[40] == 156",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
    "ip broadcast or ether multicast",
    "(tcp or udp) and src net 10.0.0.0/24 and dst port 53",
    "ip[8] / 3 = 21 and ip[8] * 2 > 100 and ip[8] % 7 = 1",
    "ip[8] << 2 = 256 or ip[9] ^ 6 = 0 or (ip[9] | 1) = 17",
    "len > 70 and (ip[0] & 0xf) * 4 = 20",
    "ip6 host fd00::1 or ip6 net fd00::/120",
    "mpls 7",
    "pppoes and ip",
    "tcp[65000] = 0",
    "ip[100000] = 0",
    "not (tcp port 1 or tcp port 2 or tcp port 3 or udp port 4 or host 1.2.3.4 or host 5.6.7.8)",
];

fn frames() -> Vec<Vec<u8>> {
    let v4 = |ports| ipv4([10, 0, 0, 1], [10, 0, 0, 53], 17, ports, 0x18);
    let mut frames = vec![
        tcp([40_000, 80], 0x10, 60),
        tcp([40_000, 22], 0x12, 1200),
        ethernet(&[], 0x0800, &v4([5353, 53]), 90),
        ethernet(&[7], 0x86dd, &ipv6(1, 2, 6, [40_000, 80], 0x10), 100),
        ethernet(&[], 0x86dd, &ipv6(0x101, 2, 17, [40_000, 5500], 0), 101),
        ethernet(&[100, 7], 0x0800, &ipv4([10, 1, 0, 1], [1, 2, 3, 4], 6, [1, 2], 2), 70),
        ethernet(&[], 0x0806, &[0, 1, 8, 0, 6, 4, 0, 1], 60),
        ethernet(&[], 0x8847, &[0, 0, 0x71, 64, 0x45, 0, 0, 0], 60),
        ethernet(&[], 0x8864, &[0x11, 0, 0, 0, 0, 22, 0, 0x21, 0x45, 0, 0, 0], 60),
    ];
    let mut request = tcp([40_000, 80], 0x18, 54);
    request.extend(b"GET / HTTP/1.1\r\n\r\n");
    frames.push(request);
    // Each of them cut short everywhere: a load beyond the end must reject, not read.
    let whole = frames.clone();
    for frame in &whole {
        frames.extend((14..frame.len().min(90)).map(|length| frame[..length].to_vec()));
    }
    frames
}

#[test]
fn a_translated_filter_agrees_with_libpcap_on_every_frame() {
    if !wire::has_bpf("a_translated_filter_agrees_with_libpcap_on_every_frame") {
        return;
    }
    let frames = frames();
    let handle = pcap::Capture::dead(pcap::Linktype::ETHERNET).unwrap();
    for text in FILTERS {
        let filter = Filter::compile(text).unwrap().unwrap();
        let words = translate(filter.instructions(), Endings::Verdict).unwrap();
        let program = match sys::load_xdp("verdict", &words) {
            Ok(program) => program,
            Err(error) => panic!("{text}: {error}"),
        };
        let oracle = handle.compile(text, true).unwrap();
        let mut wanted = 0;
        for frame in &frames {
            const XDP_PASS: u32 = 2;
            let ours = sys::test_run(program.as_fd(), frame).unwrap() == XDP_PASS;
            assert_eq!(ours, oracle.filter(frame), "{text}: {frame:02x?}");
            wanted += usize::from(ours);
        }
        println!("{wanted:4} of {} wanted by {text}", frames.len());
    }
}

#[test]
fn a_filter_of_three_hundred_hosts_passes_the_verifier() {
    if !wire::has_bpf("a_filter_of_three_hundred_hosts_passes_the_verifier") {
        return;
    }
    let hosts: Vec<_> = (0..300).map(|n| format!("host 10.1.{}.{}", n / 200, n % 200)).collect();
    let filter = Filter::compile(&hosts.join(" or ")).unwrap().unwrap();
    let words = translate(filter.instructions(), Endings::Verdict).unwrap();
    println!("{} classic instructions, {} of eBPF", filter.instructions().len(), words.len());
    sys::load_xdp("verdict", &words).unwrap();
}
