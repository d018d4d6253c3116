use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use futures_util::StreamExt as _;
use settings::control::{
    CollectorState, Connection, Drops, File, FileCounts, Flows, Interface, PcapState, Request as Question, Response as Answer, SpoolState,
    Status, Verdict, Worker, decode, encode,
};
use tower::ServiceExt as _;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// A sensor in the middle of its work, with names that would break a page that does not escape them.
fn busy() -> Status {
    Status {
        version: "0.1.0".into(),
        node: "sensor-7".into(),
        started: 1_767_225_600.0,
        uptime: 93_784.0,
        interfaces: vec![Interface {
            name: "eth1".into(),
            mode: "xdp-native".into(),
            queues: 4,
            received: 123_456_789,
            captured: 123_450_000,
            filtered: 6789,
            bytes: 98_765_432_100,
            ..Interface::default()
        }],
        workers: vec![Worker { number: 0, packets: 60_000_000, bytes: 50_000_000_000, flows_active: 512, busy: 0.42, restarts: 0 }],
        packets_analysed: 123_450_000,
        bytes_analysed: 98_765_432_100,
        drops: Drops { carver: 3, ..Drops::default() },
        flows: Flows { active: 1024, total: 987_654 },
        logs: [("conn", 987_654), ("dns", 456_789), ("http", 12_345), ("ssl", 65_432), ("files", 9876), ("weird", 12)]
            .map(|(name, lines)| (name.to_owned(), lines))
            .into(),
        files: FileCounts { seen: 9876, carved: 321, scanned: 320, matched: 2, failed: 1 },
        verdicts: vec![Verdict {
            time: 1_767_319_000.0,
            file: "HTTP-FabcdEFgh-Cxyz123-20260102013640.exe".into(),
            mime: "application/x-dosexec".into(),
            size: 123_456,
            sha256: "ab".repeat(32),
            rules: vec!["yara:<b>Bold</b>".into()],
        }],
        pcap: PcapState {
            file: "/var/lib/tenrec/pcap/eth1-20260102.pcap".into(),
            bytes: 1 << 30,
            files: 41,
            total_bytes: 160 << 30,
            deleted: 7,
        },
        spool: Some(SpoolState { records: 120, bytes: 345_678, acknowledged: 1_500_000, lost: 0 }),
        collector: Some(CollectorState {
            state: "connected".into(),
            address: "malcolm.example:5044".into(),
            last_error: String::new(),
            since: 1_767_315_000.0,
        }),
    }
}

fn connection() -> Connection {
    Connection {
        time: 1_767_319_000.5,
        uid: "CHhAvVGS1DHFjwGM9".into(),
        source: "2001:db8::7".into(),
        source_port: 49_152,
        destination: "192.0.2.53".into(),
        destination_port: 53,
        protocol: "udp".into(),
        service: "dns".into(),
        duration: 0.02,
        source_bytes: 45,
        destination_bytes: 120,
        state: "SF".into(),
    }
}

fn file() -> File {
    File {
        time: 1_767_319_000.5,
        fuid: "FabcdEFgh".into(),
        uid: "CHhAvVGS1DHFjwGM9".into(),
        source: "HTTP".into(),
        name: "<script>alert(1)</script>.exe".into(),
        mime: "application/x-dosexec".into(),
        size: 123_456,
        sha256: "cd".repeat(32),
        extracted: "HTTP-FabcdEFgh.exe".into(),
        verdict: "matched".into(),
        rules: vec!["yara:Tenrec_Demo_Marker".into()],
    }
}

/// A daemon that answers every question.
fn daemon() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let Some(Ok(line)) = BufReader::new(&stream).lines().next() else { continue };
            let answer = match decode(line.as_bytes()).unwrap() {
                Question::Status => Answer::Status(Box::new(busy())),
                Question::Connections { .. } => Answer::Connections { connections: vec![connection(); 3] },
                Question::Files { .. } => Answer::Files { files: vec![file(); 2] },
                Question::Reload => Answer::Error { message: "no".into() },
            };
            (&stream).write_all(&encode(&answer).unwrap()).unwrap();
        }
    });
    (folder, path)
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

async fn get(router: &Router, path: &str) -> Got {
    let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Got { status: parts.status, headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() }
}

/// The web UI of a sensor that works.
async fn up() -> (tempfile::TempDir, Router) {
    let (folder, path) = daemon();
    let mut snapshot = watch_daemon(path.clone());
    tokio::time::timeout(DEADLINE, snapshot.wait_for(|snapshot| snapshot.status.is_some())).await.unwrap().unwrap();
    (folder, router(path, snapshot))
}

/// The web UI of a sensor that is not running.
fn without_daemon() -> Router {
    let path = PathBuf::from("/nonexistent/control.sock");
    let refused = settings::control::Client::connect(&path).map(|_| Status::default());
    let (_, snapshot) = watch::channel(Snapshot::default().next(refused));
    router(path, snapshot)
}

#[tokio::test]
async fn the_status_page_shows_capture_delivery_logs_and_verdicts() {
    let (_folder, router) = up().await;
    let page = get(&router, "/").await;
    assert_eq!(page.status, StatusCode::OK);
    for words in [
        "sensor-7",
        "eth1",
        "xdp-native",
        "123,450,000",
        "malcolm.example:5044",
        "connected",
        "120 records",
        "eth1-20260102.pcap",
        "987,654",
        "HTTP-FabcdEFgh-Cxyz123-20260102013640.exe",
        "PCAP or carved files have gaps",
        "1 d 2 h",
    ] {
        assert!(page.text.contains(words), "no {words:?} in {}", page.text);
    }
}

#[tokio::test]
async fn connections_and_files_are_tables_of_what_was_seen_last() {
    let (_folder, router) = up().await;
    let connections = get(&router, "/connections").await.text;
    assert_eq!(connections.matches("[2001:db8::7]:49152").count(), 3);
    assert!(connections.contains("192.0.2.53:53") && connections.contains("<b>dns</b>"));
    let files = get(&router, "/files").await.text;
    assert!(files.contains("yara:Tenrec_Demo_Marker") && files.contains(&"cd".repeat(32)));
}

#[tokio::test]
async fn what_came_over_the_wire_is_escaped() {
    let (_folder, router) = up().await;
    let files = get(&router, "/files").await.text;
    assert!(!files.contains("<script>alert") && files.contains("&#60;script&#62;alert"), "{files}");
    assert!(!get(&router, "/").await.text.contains("<b>Bold"));
}

#[tokio::test]
async fn every_response_carries_the_policy_and_no_page_needs_an_exception() {
    let (_folder, router) = up().await;
    for path in ["/", "/connections", "/files", "/healthz", "/static/app.js", "/nothing"] {
        let got = get(&router, path).await;
        let policy = got.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{path}");
        assert_eq!(got.headers["x-content-type-options"], "nosniff", "{path}");
        if got.text.starts_with("<!doctype html>") {
            assert_eq!(got.headers["cache-control"], "no-store", "{path}");
            for inline in [" style=", "<style", " onclick=", "javascript:", "http:/", "https:/"] {
                assert!(!got.text.contains(inline), "{inline:?} in {path}");
            }
            assert_eq!(got.text.matches("<script").count(), got.text.matches("<script src=\"/static/").count(), "{path}");
        }
    }
}

#[tokio::test]
async fn without_javascript_the_page_reloads_by_itself() {
    let (_folder, router) = up().await;
    assert!(get(&router, "/").await.text.contains("<noscript><meta http-equiv=\"refresh\""));
}

#[tokio::test]
async fn a_daemon_that_is_not_running_is_said_on_every_page() {
    let router = without_daemon();
    for path in ["/", "/connections", "/files"] {
        let page = get(&router, path).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(page.text.contains("not running") && page.text.contains("systemctl start tenrec"), "{}", page.text);
    }
    assert_eq!(get(&router, "/healthz").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn health_is_good_when_the_daemon_answers() {
    let (_folder, router) = up().await;
    let got = get(&router, "/healthz").await;
    assert_eq!((got.status, got.text.as_str()), (StatusCode::OK, "ok\n"));
}

#[tokio::test]
async fn the_event_stream_brings_the_live_part() {
    let (_folder, router) = up().await;
    let response = router.oneshot(Request::get("/events/status").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    let first = tokio::time::timeout(DEADLINE, body.next()).await.unwrap().unwrap().unwrap();
    let first = String::from_utf8(first.to_vec()).unwrap();
    assert!(first.starts_with("event: live\ndata: ") && first.contains("eth1") && !first.contains("<html"), "{first}");
}

#[tokio::test]
async fn only_so_many_streams_are_kept_open() {
    let (_folder, router) = up().await;
    let mut open = Vec::new();
    for _ in 0..MAX_STREAMS {
        open.push(router.clone().oneshot(Request::get("/events/status").body(Body::empty()).unwrap()).await.unwrap());
    }
    assert_eq!(get(&router, "/events/status").await.status, StatusCode::SERVICE_UNAVAILABLE);
    drop(open);
    let again = router.oneshot(Request::get("/events/status").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(again.status(), StatusCode::OK);
}

#[tokio::test]
async fn unknown_pages_are_not_found() {
    let (_folder, router) = up().await;
    for path in ["/nothing", "/static/../Cargo.toml", "/static/nothing.css", "/events/nothing"] {
        assert_eq!(get(&router, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}
