//! Capturing from a veth pair: what is received is captured, filtered, shunted, too big, or lost to a full ring; nothing else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

mod wire;

use abi::FlowKey;
use tenrec::capture::{self, Mode, Options};
use wire::{Wire, drain, ethernet, ipv4, ipv6, near, tcp, wait_for};

const ACK: u8 = 0x10;
const SYN: u8 = 0x02;

/// Sends frames of several sizes and expects each of them back, byte for byte.
fn check_sizes(test: &str, mode: Mode, found: &str) {
    let Some(wire) = Wire::lay(test) else { return };
    let (mut capture, mut sources) = capture::open(&Options { mode, ..near("") }).unwrap();
    let sizes = [60, 64, 65, 128, 129, 500, 1024, 1280, 1281, 1514];
    let frames: Vec<_> = (0..200).map(|n| tcp([1000 + n, 80], ACK, sizes[n as usize % sizes.len()])).collect();
    for frame in &frames {
        wire.send(frame);
    }
    let kept = drain(&mut sources, frames.len());
    let counters = wait_for(&mut capture, frames.len() as u64);
    assert_eq!(counters.mode, found);
    assert_eq!((counters.total.received, counters.total.captured), (200, 200), "{}", counters.total);
    assert_eq!(counters.total.captured_bytes, frames.iter().map(|frame| frame.len() as u64).sum::<u64>());
    assert!(kept.iter().map(|frame| &frame.data).eq(frames.iter()));
    let now = jiff::Timestamp::now().as_nanosecond() as i64;
    assert!(kept.iter().all(|frame| (now - frame.at).abs() < 60_000_000_000), "time of day");
    assert!(kept.windows(2).all(|pair| pair[0].at <= pair[1].at), "in order");
}

#[test]
fn frames_of_every_size_come_through_native_xdp() {
    check_sizes("frames_of_every_size_come_through_native_xdp", Mode::Auto, "xdp-native");
}

#[test]
fn frames_of_every_size_come_through_generic_xdp() {
    check_sizes("frames_of_every_size_come_through_generic_xdp", Mode::Generic, "xdp-generic");
}

#[test]
fn frames_of_every_size_come_through_a_packet_socket() {
    check_sizes("frames_of_every_size_come_through_a_packet_socket", Mode::AfPacket, "af_packet");
}

#[test]
fn a_snap_length_keeps_the_beginning_and_tells_the_length() {
    for mode in [Mode::Native, Mode::Generic, Mode::AfPacket] {
        let Some(wire) = Wire::lay("a_snap_length_keeps_the_beginning_and_tells_the_length") else { return };
        let (mut capture, mut sources) = capture::open(&Options { mode, snap: 96, ..near("") }).unwrap();
        let (long, short) = (tcp([1, 2], ACK, 1000), tcp([1, 2], ACK, 60));
        wire.send(&long);
        wire.send(&short);
        let kept = drain(&mut sources, 2);
        assert_eq!((kept[0].wire_len, kept[0].data.as_slice()), (1000, &long[..96]), "{mode:?}");
        assert_eq!((kept[1].wire_len, &kept[1].data), (60, &short), "{mode:?}");
        wait_for(&mut capture, 2);
    }
}

/// Sends one frame of each kind through a filter; `wanted` are the names of those that must come.
fn check_filter(filter: &str, wanted: &[&str]) {
    let web = ipv4([10, 0, 0, 1], [10, 0, 0, 2], 6, [40_000, 80], ACK);
    let kinds = [
        ("web", ethernet(&[], 0x0800, &web, 60)),
        ("web in vlan 7", ethernet(&[7], 0x0800, &web, 64)),
        ("web in vlan 7 in vlan 100", ethernet(&[100, 7], 0x0800, &web, 68)),
        ("dns", ethernet(&[], 0x0800, &ipv4([10, 0, 0, 3], [10, 0, 0, 53], 17, [5353, 53], 0), 90)),
        ("web over ipv6", ethernet(&[], 0x86dd, &ipv6(1, 2, 6, [40_000, 80], ACK), 80)),
        ("arp", ethernet(&[], 0x0806, &[0, 1, 8, 0, 6, 4, 0, 1], 60)),
        ("long", tcp([40_000, 22], ACK, 1200)),
    ];
    for mode in [Mode::Native, Mode::Generic] {
        let Some(wire) = Wire::lay("check_filter") else { return };
        let (mut capture, mut sources) = capture::open(&Options { mode, ..near(filter) }).unwrap();
        for (_, frame) in &kinds {
            wire.send(frame);
        }
        let counters = wait_for(&mut capture, kinds.len() as u64).total;
        let kept = drain(&mut sources, counters.captured as usize);
        let names: Vec<_> = kinds.iter().filter(|(_, frame)| kept.iter().any(|kept| kept.data == *frame)).map(|(name, _)| *name).collect();
        assert_eq!(names, wanted, "{filter}, {mode:?}: {counters}");
        assert_eq!(counters.filtered as usize, kinds.len() - wanted.len(), "{filter}, {mode:?}: {counters}");
    }
}

#[test]
fn a_filter_is_applied_in_the_kernel() {
    if !wire::has_bpf("a_filter_is_applied_in_the_kernel") {
        return;
    }
    check_filter("tcp port 80", &["web", "web over ipv6"]);
    check_filter("vlan 7", &["web in vlan 7"]);
    check_filter("vlan 100 and vlan 7 and tcp", &["web in vlan 7 in vlan 100"]);
    check_filter("ip6", &["web over ipv6"]);
    check_filter("host 10.0.0.53", &["dns"]);
    check_filter("not ip and not vlan", &["web over ipv6", "arp"]);
    check_filter("greater 1000", &["long"]);
    check_filter("ether proto 0x0806 or udp", &["dns", "arp"]);
    check_filter("tcp[((tcp[12] & 0xf0) >> 2):4] = 0", &["web", "long"]);
}

#[test]
fn a_filter_is_applied_on_packet_sockets_too() {
    let Some(wire) = Wire::lay("a_filter_is_applied_on_packet_sockets_too") else { return };
    let (mut capture, mut sources) = capture::open(&Options { mode: Mode::AfPacket, ..near("vlan 7 and tcp port 80") }).unwrap();
    let web = ipv4([10, 0, 0, 1], [10, 0, 0, 2], 6, [40_000, 80], ACK);
    let tagged = ethernet(&[7], 0x0800, &web, 64);
    wire.send(&ethernet(&[], 0x0800, &web, 60));
    wire.send(&ethernet(&[8], 0x0800, &web, 64));
    wire.send(&tagged);
    let kept = drain(&mut sources, 1);
    assert_eq!(kept[0].data, tagged, "the tag that the kernel took is put back");
    assert_eq!(wait_for(&mut capture, 1).total.captured, 1);
}

#[test]
fn a_full_ring_is_counted_and_what_fitted_is_kept() {
    for mode in [Mode::Native, Mode::Generic] {
        let Some(wire) = Wire::lay("a_full_ring_is_counted_and_what_fitted_is_kept") else { return };
        let (mut capture, mut sources) = capture::open(&Options { mode, ring_bytes: 64 << 10, ..near("") }).unwrap();
        for _ in 0..500 {
            wire.send(&tcp([1, 2], ACK, 1000));
        }
        let counters = wait_for(&mut capture, 500).total;
        // 64 KiB hold 62 records of 1024 bytes, with our header and the kernel's.
        assert_eq!((counters.captured, counters.ring_full), (62, 438), "{mode:?}: {counters}");
        assert_eq!(drain(&mut sources, 62).len(), 62);
        wire.send(&tcp([1, 2], ACK, 1000));
        assert_eq!(wait_for(&mut capture, 501).total.captured, 63, "there is room again");
    }
}

#[test]
fn a_frame_that_no_record_holds_is_counted_apart() {
    let Some(wire) = Wire::lay("a_frame_that_no_record_holds_is_counted_apart") else { return };
    // A ring of one page takes records up to a quarter of it.
    let (mut capture, _sources) = capture::open(&Options { ring_bytes: 4096, ..near("") }).unwrap();
    wire.send(&tcp([1, 2], ACK, 1024));
    wire.send(&tcp([1, 2], ACK, 1025));
    let counters = wait_for(&mut capture, 2).total;
    assert_eq!((counters.captured, counters.too_big), (1, 1), "{counters}");
}

#[test]
fn a_flow_that_is_cut_off_is_counted_and_its_end_still_seen() {
    let Some(wire) = Wire::lay("a_flow_that_is_cut_off_is_counted_and_its_end_still_seen") else { return };
    let (mut capture, mut sources) = capture::open(&Options { shunting: true, ..near("") }).unwrap();
    let mut shunts = capture.take_shunts().unwrap();
    let mut flow =
        FlowKey { low_port: 4000_u16.to_be_bytes(), high_port: 80_u16.to_be_bytes(), protocol: 6, version: 4, ..FlowKey::default() };
    flow.low[..4].copy_from_slice(&[10, 0, 0, 1]);
    flow.high[..4].copy_from_slice(&[10, 0, 0, 2]);
    shunts.cut(&flow).unwrap();
    for _ in 0..10 {
        wire.send(&tcp([4000, 80], ACK, 500));
        wire.send(&ethernet(&[], 0x0800, &ipv4([10, 0, 0, 2], [10, 0, 0, 1], 6, [80, 4000], ACK), 60));
    }
    wire.send(&tcp([4000, 80], ACK | 1, 60));
    wire.send(&tcp([4000, 80], SYN, 60));
    wire.send(&tcp([4001, 80], ACK, 60));
    let counters = wait_for(&mut capture, 23).total;
    assert_eq!((counters.shunted, counters.captured), (20, 3), "{counters}");
    assert_eq!(drain(&mut sources, 3).len(), 3);
    let account = shunts.account(&flow).unwrap();
    assert_eq!((account.cut.frames, account.cut.bytes), (20, 5600));
}

#[test]
fn both_directions_of_a_pair_meet_at_one_worker() {
    for mode in [Mode::Native, Mode::AfPacket] {
        let Some(wire) = Wire::lay("both_directions_of_a_pair_meet_at_one_worker") else { return };
        let (mut capture, mut sources) = capture::open(&Options { mode, workers: 4, ..near("") }).unwrap();
        for host in 0..64 {
            let (a, b) = ([10, 0, 0, 1], [10, 0, 1, host]);
            wire.send(&ethernet(&[], 0x0800, &ipv4(a, b, 6, [4000, 80], ACK), 60));
            wire.send(&ethernet(&[], 0x0800, &ipv4(b, a, 6, [80, 4000], ACK), 60));
            wire.send(&ethernet(&[], 0x86dd, &ipv6(1, host.into(), 17, [4000, 53], 0), 80));
            wire.send(&ethernet(&[], 0x86dd, &ipv6(host.into(), 1, 17, [53, 4000], 0), 80));
        }
        wait_for(&mut capture, 256);
        let mut shares = Vec::new();
        let mut left = 256;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let mut pairs = vec![Vec::new(); 4];
        while left > 0 {
            assert!(std::time::Instant::now() < deadline, "{left} left, {mode:?}");
            for (source, pairs) in sources.iter_mut().zip(&mut pairs) {
                left -= source.drain(1024, |frame| {
                    let (a, b) = match frame.data[12] {
                        0x08 => (frame.data[26..30].to_vec(), frame.data[30..34].to_vec()),
                        _ => (frame.data[22..38].to_vec(), frame.data[38..54].to_vec()),
                    };
                    pairs.push(if a < b { (a, b) } else { (b, a) });
                });
            }
        }
        for pairs in &mut pairs {
            shares.push(pairs.len());
            assert!(pairs.len() >= 20, "uneven, {mode:?}: {shares:?}");
            pairs.sort();
            // 1 to 1 is a pair of one address and comes twice both ways; every other pair twice.
            assert!(pairs.chunk_by(|a, b| a == b).all(|same| same.len() == 2), "{mode:?}: a direction went elsewhere");
        }
    }
}

#[test]
fn several_interfaces_are_counted_apart_and_a_missing_one_does_not_stop_the_others() {
    let Some(wire) = Wire::lay("several_interfaces_are_counted_apart_and_a_missing_one_does_not_stop_the_others") else { return };
    let wanted = |name: &str, filter: &str| capture::Wanted { name: name.into(), filter: filter.into() };
    let interfaces = vec![wanted("near", "udp"), wanted("gone", ""), wanted("far", "")];
    let (mut capture, mut sources) = capture::open(&Options { interfaces, ..near("") }).unwrap();
    wire.send(&tcp([1, 2], ACK, 60));
    wire.send(&ethernet(&[], 0x0800, &ipv4([10, 0, 0, 3], [10, 0, 0, 53], 17, [5353, 53], 0), 90));
    let near = wait_for(&mut capture, 2);
    assert_eq!((near.name.as_str(), near.total.captured, near.total.filtered), ("near", 1, 1));
    assert_eq!(capture.counters()[1].total.received, 0);
    assert_eq!(drain(&mut sources, 1).len(), 1);
    let (name, reason) = &capture.failures()[0];
    assert!(name == "gone" && reason.contains("near, far") | reason.contains("far, near"), "{reason}");
}

#[test]
fn an_interface_with_large_frames_that_takes_no_native_program_is_captured_generically() {
    let Some(wire) = Wire::lay("an_interface_with_large_frames_that_takes_no_native_program_is_captured_generically") else { return };
    for name in ["near", "far"] {
        wire::ip(&["link", "set", name, "mtu", "9000"]);
    }
    let (mut capture, mut sources) = capture::open(&near("")).unwrap();
    let frame = tcp([1, 2], ACK, 9014);
    wire.send(&frame);
    let kept = drain(&mut sources, 1);
    assert_eq!(kept[0].data, frame);
    assert_eq!(wait_for(&mut capture, 1).mode, "xdp-generic");
}

#[test]
fn offloads_are_off_while_capturing_and_put_back_afterwards() {
    let Some(_wire) = Wire::lay("offloads_are_off_while_capturing_and_put_back_afterwards") else { return };
    let features = || {
        let output = std::process::Command::new("ethtool").args(["-k", "near"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let wanted = ["generic-receive-offload", "tx-tcp-segmentation", "generic-segmentation-offload", "rx-vlan-offload"];
        text.lines().map(str::trim).filter(|line| wanted.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect::<Vec<_>>()
    };
    let promiscuity = || {
        let output = std::process::Command::new("ip").args(["-d", "link", "show", "near"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().contains("promiscuity 1")
    };
    std::process::Command::new("ethtool").args(["-K", "near", "gro", "on"]).status().unwrap();
    let before = features();
    assert!(before.iter().filter(|line| line.contains(": on")).count() >= 3, "{before:?}");
    let (capture, _sources) = capture::open(&near("")).unwrap();
    assert!(features().iter().all(|line| line.contains(": off")), "{:?}", features());
    assert!(promiscuity());
    drop(capture);
    assert_eq!(features(), before);
    assert!(!promiscuity());
}
