//! The web UI over made-up servers, to look at: `cargo run -p web-ui --example made_up -- [appliance|open] [PORT]`.
//!
//! As an appliance it is at its first boot, with the setup code ABCDE-FGHJK; open, it shows a sensor with some traffic.

mod servers;

use std::path::PathBuf;

use settings::control::{CollectorState, Connection, Destination, Drops, File, Flows, Interface, SpoolState, Status, Verdict};
use web_ui::Options;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let appliance = arguments.next().is_none_or(|word| word == "appliance");
    let port: u16 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(8090);
    let folder = std::env::temp_dir().join(format!("tenrec-made-up-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("setup-code"), "ABCDE-FGHJK\n")?;
    let world = servers::start(&folder);
    world.daemon(|daemon| (daemon.status, daemon.connections, daemon.files) = (status(), connections(), files()));
    let path = |name: &str| -> PathBuf { folder.join(name) };
    let options = Options {
        control: path("control.sock"),
        viewer: path("viewer.sock"),
        appliance: Some(path("appliance.sock")),
        settings: path("tenrec.toml"),
        password_file: path("web.password"),
        setup_code: Some(path("setup-code")),
        open: !appliance,
        state: Some(folder.clone()),
        ..Options::default()
    };
    tokio::spawn(traffic(world));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/", listener.local_addr()?);
    web_ui::serve(listener, None, options).await;
    Ok(())
}

/// Counts on, so that the charts move.
async fn traffic(world: servers::World) {
    let mut second = 0_u64;
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        second += 1;
        world.daemon(|daemon| {
            let status = &mut daemon.status;
            let packets = 40_000 + (second * 7919) % 30_000;
            status.uptime += 1.0;
            status.packets_analysed += packets;
            status.bytes_analysed += packets * 800;
            status.drops.ring += (second * 31) % 17;
        });
    }
}

fn status() -> Status {
    let interface = |name: &str, received: u64, ring_full: u64| Interface {
        name: name.into(),
        mode: "xdp-native".into(),
        queues: 4,
        received,
        captured: received - ring_full,
        ring_full,
        bytes: received * 800,
        ..Interface::default()
    };
    let collector = |address: &str, state: &str, last_error: &str| CollectorState {
        state: state.into(),
        address: address.into(),
        last_error: last_error.into(),
        since: 1_764_000_000.0,
    };
    let destination = |name: &str, collectors, records| Destination {
        name: name.into(),
        spool: SpoolState { records, bytes: records * 400, acknowledged: 8_123_456, lost: 0 },
        collectors,
        refused: 0,
    };
    Status {
        version: "0.1.0".into(),
        node: "sensor-7".into(),
        started: 1_764_000_000.0,
        uptime: 93_784.0,
        interfaces: vec![interface("eth1", 1_234_567_890, 1_234), interface("eth2", 9_876_543, 0)],
        packets_analysed: 1_244_000_000,
        bytes_analysed: 995_200_000_000,
        drops: Drops { ring: 1_234, carver: 3, ..Drops::default() },
        flows: Flows { active: 23_456, total: 9_876_543 },
        logs: [("conn", 9_876_543), ("dns", 3_456_789), ("http", 456_789), ("ssl", 2_345_678), ("files", 234_567)]
            .map(|(name, lines)| (name.to_owned(), lines))
            .into(),
        files: settings::control::FileCounts { seen: 234_567, carved: 1_234, scanned: 1_234, matched: 2, failed: 0 },
        verdicts: vec![Verdict {
            time: 1_764_000_123.0,
            file: "HTTP-FabcXY-CdefZ-20251124160203.exe".into(),
            mime: "application/x-dosexec".into(),
            size: 73_802,
            sha256: "0123456789abcdef".repeat(4),
            rules: vec!["yara:Tenrec_Demo".into()],
        }],
        pcap: settings::control::PcapState {
            file: "tenrec-eth1-20251124T160000-17.pcap".into(),
            bytes: 1_234_567_890,
            files: 93,
            total_bytes: 399_000_000_000,
            deleted: 412,
        },
        destinations: vec![
            destination("logs", vec![collector("malcolm.example.org:5044", "connected", "")], 12),
            destination("sessions", vec![collector("https://malcolm.example.org:9200", "waiting", "connection refused")], 34_567),
        ],
        ..Status::default()
    }
}

fn connections() -> Vec<Connection> {
    let services = ["http", "ssl", "dns", "", "ssh", "http,ssl"];
    (0..120_u16)
        .map(|n| Connection {
            time: 1_764_000_000.0 + f64::from(n),
            uid: format!("C{n:03}abcDEFghiJKL4"),
            source: format!("10.0.0.{}", n % 9),
            source_port: 40_000 + n,
            destination: if n % 5 == 0 { "2001:db8:1:2:3:4:5:6".into() } else { "192.0.2.17".into() },
            destination_port: [80, 443, 53, 9999, 22, 8080].get(usize::from(n % 6)).copied().unwrap_or_default(),
            protocol: if n % 6 == 2 { "udp" } else { "tcp" }.into(),
            service: services.get(usize::from(n % 6)).copied().unwrap_or_default().into(),
            duration: f64::from(n) / 7.0,
            source_bytes: u64::from(n) * 1234,
            destination_bytes: u64::from(n) * 12_345,
            state: "SF".into(),
        })
        .collect()
}

fn files() -> Vec<File> {
    let file = |name: &str, mime: &str, verdict: &str, rules: &[&str], extracted: &str| File {
        time: 1_764_000_123.0,
        fuid: format!("F{}", name.len()),
        uid: "C003abcDEFghiJKL4".into(),
        source: "HTTP".into(),
        name: name.into(),
        mime: mime.into(),
        size: 73_802,
        sha256: "0123456789abcdef".repeat(4),
        extracted: extracted.into(),
        verdict: verdict.into(),
        rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
    };
    vec![
        file("tool.exe", "application/x-dosexec", "matched", &["yara:Tenrec_Demo"], "HTTP-FabcXY-CdefZ-20251124160203.exe"),
        file("report-of-the-fourth-quarter.pdf", "application/pdf", "clean", &[], ""),
        file("", "text/html", "unscanned", &[], ""),
    ]
}
