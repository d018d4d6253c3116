//! A day without a collector, time compressed: the spool is filled, then drained by processes that are killed on the way.
//! Every record comes, in order and byte for byte, and the memory of who drains does not grow with what waits.
//!
//! `TENREC_RECORDS` says how many (a day at 500 a second are 43,200,000), `TENREC_ROUNDS` how many kills.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, reason = "a test that fails may panic")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forward::{Envelope, Forwarder, PIPELINE, Shipper};
use lumberjack::{Limits, Receiver};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use settings::{Forward, Node, Verify};
use spool::{Options, Writer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Where the child finds the spool and the peer.
const FOLDER: &str = "TENREC_TEST_SPOOL";
const PEER: &str = "TENREC_TEST_PEER";
const CERTIFICATE: &str = "peer.crt";
const READER: &str = "forward";
/// Resident memory of who drains, kilobytes: the program itself, its windows, and one block of the spool.
const MOST_RESIDENT: u64 = 64 << 10;
/// Records a second of the day that is compressed.
const RATE: u64 = 500;
const DAY_BEGINS: u64 = 1_767_312_000;
/// Longest time without an event.
const PATIENCE: Duration = Duration::from_secs(60);

fn of_environment(name: &str, few: u64) -> u64 {
    std::env::var(name).map_or(few, |text| text.parse().expect("a number"))
}

fn options() -> Options {
    Options::with_budget(64 << 30)
}

/// The spool of a child stands in a folder of its own, beside the certificate.
fn spool_in(folder: &Path) -> Writer {
    Writer::open(&folder.join("spool"), options()).unwrap()
}

/// A line of conn.log of its own for each number, as compressible as real ones are.
fn line(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 8) % below
    };
    let (uid, port, service) = (random(u64::MAX >> 8), 1024 + random(60_000), random(4) as usize);
    let (client, server, micros) = (random(2048), random(40), random(1_000_000));
    let (sent, received, packets) = (random(5_000), random(500_000), random(400));
    format!(
        concat!(
            r#"{{"ts":{}.{:06},"uid":"C{:017}","id.orig_h":"10.0.{}.{}","id.orig_p":{},"id.resp_h":"192.0.2.{}","id.resp_p":{},"#,
            r#""proto":"tcp","service":"{}","duration":0.{:06},"orig_bytes":{},"resp_bytes":{},"conn_state":"SF","local_orig":true,"#,
            r#""local_resp":false,"missed_bytes":0,"history":"ShADadFf","orig_pkts":{},"orig_ip_bytes":{},"resp_pkts":{},"#,
            r#""resp_ip_bytes":{},"ip_proto":6,"n":{}}}"#
        ),
        DAY_BEGINS + number / RATE,
        micros,
        uid,
        client / 256,
        client % 256,
        port,
        server,
        [443, 80, 53, 22][service],
        ["ssl", "http", "dns", "ssh"][service],
        micros,
        sent,
        received,
        packets,
        sent + packets * 40,
        packets,
        received + packets * 40,
        number
    )
}

fn at(number: u64) -> i128 {
    i128::from(DAY_BEGINS + number / RATE) * 1_000_000_000
}

fn envelope() -> Envelope {
    Envelope::new(&Node { name: "sensor".to_owned(), ..Node::default() }, 0)
}

/// The process that drains.
#[tokio::test]
#[ignore = "started by the other test, and ended by it alone"]
async fn child() {
    let (Ok(folder), Ok(peer)) = (std::env::var(FOLDER), std::env::var(PEER)) else { return };
    let folder = Path::new(&folder);
    let writer = spool_in(folder);
    let hosts = vec![peer.parse().unwrap()];
    let settings = Forward { enabled: true, hosts, ca: Some(folder.join(CERTIFICATE)), verify: Verify::Full, ..Forward::default() };
    Forwarder::new(settings, writer.reader(READER).unwrap()).run(std::future::pending()).await;
}

/// Kilobytes of memory that a process has had resident at most, proc(5).
fn most_resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

struct Drain(Child);

impl Drain {
    fn start(folder: &Path, peer: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["child", "--exact", "--ignored"]).env(FOLDER, folder).env(PEER, peer);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The other side: checks every event and acknowledges whole windows.
struct Peer {
    listener: TcpListener,
    tls: TlsAcceptor,
    envelope: Envelope,
    /// Number of the next record that has not come, and how many came again.
    next: u64,
    again: u64,
}

impl Peer {
    async fn begin(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(folder.join(CERTIFICATE), made.cert.pem()).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = versions.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, tls: TlsAcceptor::from(Arc::new(config)), envelope: envelope(), next: 0, again: 0 }
    }

    async fn accept(&self) -> TlsStream<TcpStream> {
        let (tcp, _) = tokio::time::timeout(PATIENCE, self.listener.accept()).await.expect("nobody dials").unwrap();
        self.tls.accept(tcp).await.unwrap()
    }

    /// Takes events until the record `until` was taken and acknowledged; then `end` is called, and what is under way taken too.
    async fn take(&mut self, until: u64, end: impl FnOnce()) {
        let mut stream = self.accept().await;
        let mut receiver = Receiver::new(Limits::default());
        let (mut bytes, mut end, mut expected) = (vec![0; 64 << 10], Some(end), Vec::new());
        loop {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await.expect("nothing comes").unwrap_or(0);
            if read == 0 {
                assert!(end.is_none(), "the connection ended before its time");
                return;
            }
            receiver.feed(&bytes[..read]);
            let mut first = None;
            while let Some(event) = receiver.next().unwrap() {
                let number = *first.get_or_insert_with(|| number(event.payload));
                self.check(number, event.payload, &mut expected);
                first = Some(number + 1);
                if event.ends_window && end.is_some() {
                    // After a kill nobody listens.
                    let _ = stream.write_all(&lumberjack::encode_ack(event.sequence)).await;
                    let _ = stream.flush().await;
                    if self.next >= until {
                        end.take().unwrap()();
                    }
                }
            }
        }
    }

    fn check(&mut self, number: u64, event: &[u8], expected: &mut Vec<u8>) {
        expected.clear();
        self.envelope.zeek("conn", at(number), line(number).as_bytes(), expected);
        assert!(event == *expected, "record {number} came changed: {}", String::from_utf8_lossy(event));
        assert!(number <= self.next, "records {} to {number} did not come", self.next);
        if number == self.next { self.next += 1 } else { self.again += 1 }
    }
}

/// The number of the record in an event.
fn number(event: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(event);
    let (_, rest) = text.split_once(r#"\"n\":"#).unwrap();
    rest.split_once('}').unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn a_day_of_records_is_drained_in_order_by_processes_that_are_killed() {
    let (records, rounds) = (of_environment("TENREC_RECORDS", 60_000), of_environment("TENREC_ROUNDS", 3));
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let mut shipper = Shipper::new(envelope(), spool_in(folder.path()));
    for number in 0..records {
        shipper.zeek("conn", at(number), line(number).as_bytes());
    }
    shipper.flush();
    let held = shipper.stats();
    assert_eq!((held.appended, held.lost()), (records, 0));
    drop(shipper);
    println!(
        "{records} records, {} bytes each on disk, {:.1} s to spool them: {:.1} hours of {RATE} a second; {:.1} GB a day",
        held.bytes / records,
        begun.elapsed().as_secs_f64(),
        records as f64 / RATE as f64 / 3600.0,
        (held.bytes / records * RATE * 86_400) as f64 / 1e9
    );
    let begun = Instant::now();
    let mut peer = Peer::begin(folder.path()).await;
    let address = peer.listener.local_addr().unwrap().to_string();
    let mut resident = 0;
    for round in 1..=rounds + 1 {
        let mut drain = Drain::start(folder.path(), &address);
        // The last one is let end its work.
        let until = if round > rounds { records } else { (records * round / (rounds + 1)).max(peer.next) };
        peer.take(until, || {
            resident = resident.max(most_resident(drain.0.id()));
            drain.0.kill().unwrap();
            drain.0.wait().unwrap();
        })
        .await;
    }
    println!(
        "{rounds} kills of who drains: {records} in, {} out in order, {} again; {resident} kB resident at most; {:.1} s",
        peer.next,
        peer.again,
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(peer.next, records);
    assert!(peer.again <= rounds * (PIPELINE * Forward::default().window) as u64);
    assert!(resident <= MOST_RESIDENT, "{resident} kB");
}
