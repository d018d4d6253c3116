use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use settings::ClientCertificates;

use super::*;
use crate::{Tls, certificates};

const DEADLINE: Duration = Duration::from_secs(20);

/// A collector without TLS on a free port; it stops when the sender is dropped.
async fn plain() -> (tempfile::TempDir, SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { listen: "127.0.0.1:0".parse().unwrap(), folder: folder.path().join("in"), tls: None };
    let collector = Collector::bind(&options).await.unwrap();
    let address = collector.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(collector.run(async {
        let _ = stopped.await;
    }));
    (folder, address, stop, task)
}

fn window(events: &[&str], level: u32) -> Vec<u8> {
    let mut out = Vec::new();
    ::lumberjack::encode_window(events.iter().map(|event| event.as_bytes()), level, &mut out).unwrap();
    out
}

#[tokio::test]
async fn a_window_is_on_disk_by_stream_when_it_is_acknowledged() {
    let (folder, address, _stop, _task) = plain().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let conn = r#"{"log":{"file":{"path":"/x/conn.log"}},"n":1}"#;
    let dns = r#"{"log":{"file":{"path":"/x/dns.log"}},"n":2}"#;
    for _ in 0..2 {
        stream.write_all(&window(&[conn, dns, conn], 3)).await.unwrap();
        let mut ack = [0; 6];
        timeout(DEADLINE, stream.read_exact(&mut ack)).await.unwrap().unwrap();
        assert_eq!(ack, ::lumberjack::encode_ack(3));
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("in/conn.ndjson")).unwrap(), format!("{conn}\n").repeat(4));
    assert_eq!(std::fs::read_to_string(folder.path().join("in/dns.ndjson")).unwrap(), format!("{dns}\n").repeat(2));
}

#[tokio::test]
async fn a_broken_window_closes_the_connection_without_an_ack_or_a_trace_on_disk() {
    let (folder, address, _stop, _task) = plain().await;
    for bad in [window(&["{}", "no object"], 0), b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&bad).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(DEADLINE, stream.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty());
    }
    assert_eq!(std::fs::read_dir(folder.path().join("in")).unwrap().count(), 0);
}

/// `2 W` and `2 J` frames as they stand on the wire.
fn frames(count: u32, events: &[(u32, &str)]) -> Vec<u8> {
    let mut out = b"2W".to_vec();
    out.extend(count.to_be_bytes());
    for (sequence, payload) in events {
        out.extend(b"2J");
        out.extend(sequence.to_be_bytes());
        out.extend((payload.len() as u32).to_be_bytes());
        out.extend(payload.as_bytes());
    }
    out
}

#[tokio::test]
async fn what_logstash_would_not_understand_is_refused_before_anything_is_written() {
    let (folder, address, _stop, _task) = plain().await;
    let compressed = |bytes: &[u8]| [b"2W\0\0\0\x01".as_slice(), b"2C", &(bytes.len() as u32).to_be_bytes(), bytes].concat();
    for (what, bad) in [
        ("a window of no event", frames(0, &[])),
        ("a window of too many", frames(u32::MAX, &[(1, "{}")])),
        ("an event outside a window", frames(1, &[(1, "{}")])[6..].to_vec()),
        ("a sequence that does not begin at 1", frames(2, &[(2, "{}"), (3, "{}")])),
        ("a window within a window", [frames(3, &[(1, "{}")]), frames(1, &[(1, "{}")])].concat()),
        ("an event that is longer than any", b"2W\0\0\0\x012J\0\0\0\x01\xff\xff\xff\xff".to_vec()),
        ("zlib that is none", compressed(b"not zlib")),
        ("an acknowledgement from a sender", b"2A\0\0\0\x01".to_vec()),
        ("version 1", b"1W\0\0\0\x01".to_vec()),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&bad).await.unwrap();
        let mut rest = Vec::new();
        // Closed with bytes unread, the connection may end by a reset.
        let _ = timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect(what);
        assert!(rest.is_empty(), "{what}");
    }
    assert_eq!(std::fs::read_dir(folder.path().join("in")).unwrap().count(), 0);
}

#[tokio::test]
async fn it_stops_when_it_is_told_to_though_a_sensor_is_connected() {
    let (_folder, address, stop, task) = plain().await;
    let _stream = TcpStream::connect(address).await.unwrap();
    drop(stop);
    timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let (folder, address, _stop, _task) = plain().await;
    let options = Options { listen: address, folder: folder.path().to_owned(), tls: None };
    let error = Collector::bind(&options).await.err().unwrap();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn certificates_are_made_once_and_serve() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(folder.path(), certificates::Keys::Ecdsa).unwrap();
    let before = std::fs::read(&files.server).unwrap();
    assert_eq!(certificates::ensure(folder.path(), certificates::Keys::Ecdsa).unwrap(), files);
    assert_eq!(std::fs::read(&files.server).unwrap(), before);
    let tls = Tls { certificate: files.server, key: files.server_key, ca: files.ca, clients: ClientCertificates::Required };
    let options = Options { listen: "127.0.0.1:0".parse().unwrap(), folder: folder.path().to_owned(), tls: Some(tls) };
    Collector::bind(&options).await.unwrap();
}
