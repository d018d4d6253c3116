//! A veth pair in a network namespace of its own, and frames to send over it.
//!
//! The calling thread moves into the namespace; it is removed when the wire is dropped, also by a test that fails.
#![allow(dead_code, unreachable_pub, reason = "each test file compiles this module and uses its share of it")]

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tenrec::capture::{Capture, InterfaceCounters, Options, Source, Wanted, interface::Interface, sys};

/// Two interfaces, `near` and `far`, joined by a wire.
pub struct Wire {
    name: String,
    home: File,
    far: OwnedFd,
}

impl Wire {
    /// Lays a wire, or says loudly why the test is skipped.
    pub fn lay(test: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let _ = tracing_subscriber::fmt().with_test_writer().try_init();
        if !has_bpf(test) {
            return None;
        }
        let name = format!("tenrec-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let home = File::open("/proc/thread-self/ns/net").unwrap();
        if !Command::new("ip").args(["netns", "add", &name]).status().is_ok_and(|status| status.success()) {
            skipped(test, "`ip netns add` does not work here");
            return None;
        }
        let space = File::open(Path::new("/run/netns").join(&name)).unwrap();
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        // No router solicitations and the like: only the frames that the test sends.
        for scope in ["all", "default"] {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1").unwrap();
        }
        ip(&["link", "add", "near", "type", "veth", "peer", "name", "far"]);
        ip(&["link", "set", "lo", "up"]);
        ip(&["link", "set", "near", "up"]);
        ip(&["link", "set", "far", "up"]);
        let far = sys::packet_socket().unwrap();
        sys::bind_packet(&far, Interface::find("far").unwrap().index, 0).unwrap();
        Some(Self { name, home, far })
    }

    /// Puts a frame onto the wire, so that it arrives at `near`.
    pub fn send(&self, frame: &[u8]) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Err(error) = sys::send_frame(&self.far, frame) {
            assert!(Instant::now() < deadline, "cannot send: {error}");
            std::thread::yield_now();
        }
    }

    /// The name of the namespace.
    pub fn namespace(&self) -> &str {
        &self.name
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        move_into_link_name_space(self.home.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Says loudly that a test is skipped. Not by eprintln!, which the test harness swallows when a test passes.
pub fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}

/// Whether eBPF programs can be loaded here; if not, says loudly why the test is skipped.
pub fn has_bpf(test: &str) -> bool {
    if !cfg!(has_ebpf) {
        skipped(test, "the XDP object is not built: run `make ebpf`");
        return false;
    }
    // r0 = XDP_PASS, exit.
    let program = [[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
    match sys::load_xdp("probe", &program) {
        Ok(_) => true,
        Err(error) => {
            skipped(test, &format!("eBPF programs cannot be loaded here (root is needed): {error}"));
            false
        }
    }
}

/// Runs `ip` in the thread's namespace.
pub fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}

/// Options for the near end.
pub fn near(filter: &str) -> Options {
    Options { interfaces: vec![Wanted { name: "near".into(), filter: filter.into() }], ring_bytes: 4 << 20, ..Options::default() }
}

/// Waits, with a deadline, until the interface has received `frames` frames and all of them are accounted for.
pub fn wait_for(capture: &mut Capture, frames: u64) -> InterfaceCounters {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let counters = capture.counters().remove(0);
        if counters.total.received >= frames && counters.total.adds_up() {
            return counters;
        }
        assert!(Instant::now() < deadline, "{frames} frames did not come: {}", counters.total);
        std::thread::yield_now();
    }
}

/// A frame as a source hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub at: i64,
    pub wire_len: u32,
    pub data: Vec<u8>,
}

/// Drains the sources, with a deadline, until `frames` frames have come.
pub fn drain(sources: &mut [Source], frames: usize) -> Vec<Kept> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut kept = Vec::new();
    while kept.len() < frames {
        for source in &mut *sources {
            source.drain(1024, |frame| {
                kept.push(Kept { at: frame.at.0, wire_len: frame.wire_len, data: frame.data.to_vec() });
            });
        }
        assert!(Instant::now() < deadline, "{} of {frames} frames came", kept.len());
        std::thread::yield_now();
    }
    kept
}

/// An Ethernet frame: addresses, VLAN tags, ethertype, payload; padded to `length` bytes.
pub fn ethernet(tags: &[u16], ethertype: u16, payload: &[u8], length: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for tag in tags {
        frame.extend(0x8100_u16.to_be_bytes());
        frame.extend(tag.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame.resize(frame.len().max(length), 0);
    frame
}

/// An IPv4 header and a TCP or UDP header without checksums; `flags` are TCP's.
pub fn ipv4(source: [u8; 4], destination: [u8; 4], protocol: u8, ports: [u16; 2], flags: u8) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend(source);
    packet.extend(destination);
    packet.extend(transport(ports, flags));
    packet
}

/// An IPv6 header and a TCP or UDP header.
pub fn ipv6(source: u16, destination: u16, protocol: u8, ports: [u16; 2], flags: u8) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 20, protocol, 64];
    for host in [source, destination] {
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(host.to_be_bytes());
    }
    packet.extend(transport(ports, flags));
    packet
}

fn transport([source, destination]: [u16; 2], flags: u8) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(source.to_be_bytes());
    header.extend(destination.to_be_bytes());
    header.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    header
}

/// A TCP segment of `length` bytes from 10.0.0.1 to 10.0.0.2.
pub fn tcp(ports: [u16; 2], flags: u8, length: usize) -> Vec<u8> {
    ethernet(&[], 0x0800, &ipv4([10, 0, 0, 1], [10, 0, 0, 2], 6, ports, flags), length)
}
