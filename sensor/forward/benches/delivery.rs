//! What delivery costs on one core: records into the spool, and from there over TLS to their acknowledgement.
//!
//! `cargo bench -p forward --bench delivery [-- RECORDS]`
//!
//! The sensor's side runs on the first core, the peer is a process of its own on the last; it checks the protocol and
//! acknowledges, and writes nothing, so that what is measured is ours. The limit in the same run is the same
//! bytes written through the same TLS without spool, windows and acknowledgements. Figures are records a second of CPU of
//! the sensor's process: on a shared machine wall time says little.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a measurement at the terminal")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use forward::{Envelope, Forwarder, Shipper};
use lumberjack::{Limits, Receiver};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use settings::{Forward, Node, Verify};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Lines of conn.log that differ as real ones do: times, uids, addresses, ports, counts. Compression has to work for it.
fn lines() -> Vec<String> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let line = |n: u64| {
        format!(
            concat!(
                r#"{{"ts":{}.{:06},"uid":"C{:017}","id.orig_h":"10.0.{}.{}","id.orig_p":{},"id.resp_h":"192.0.2.{}","#,
                r#""id.resp_p":{},"proto":"tcp","service":"{}","duration":{}.{:06},"orig_bytes":{},"resp_bytes":{},"#,
                r#""conn_state":"SF","local_orig":true,"local_resp":false,"missed_bytes":0,"history":"ShADadFf","orig_pkts":{},"#,
                r#""orig_ip_bytes":{},"resp_pkts":{},"resp_ip_bytes":{},"ip_proto":6,"community_id":"1:{:026}="}}"#
            ),
            1_767_319_000 + n / 100,
            next(1_000_000),
            next(u64::MAX) % 100_000_000_000_000_000,
            next(8),
            next(256),
            1024 + next(60_000),
            next(40),
            [443, 80, 53, 22][next(4) as usize],
            ["ssl", "http", "dns", "ssh"][next(4) as usize],
            next(30),
            next(1_000_000),
            next(5_000),
            next(500_000),
            next(40),
            next(9_000),
            next(400),
            next(600_000),
            next(u64::MAX),
        )
    };
    (0..20_000).map(line).collect()
}

const CERTIFICATE: &str = "peer.crt";
const KEY: &str = "peer.key";

/// What the peer is started with, followed by the folder of its certificates.
const PEER: &str = "--peer";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |word: &str| arguments.iter().position(|argument| argument == word).and_then(|at| arguments.get(at + 1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(folder) = after(PEER) {
        pin(usize::MAX);
        return runtime.block_on(peer(Path::new(folder)));
    }
    let records = arguments.iter().filter_map(|argument| argument.parse().ok()).next().unwrap_or(500_000);
    pin(0);
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.path().join(CERTIFICATE), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join(KEY), made.signing_key.serialize_pem()).unwrap();
    let lines = lines();
    let length = lines.iter().map(String::len).sum::<usize>() / lines.len();
    let limit = runtime.block_on(limit(records, &lines, folder.path()));
    println!("limit: the same bytes through TLS alone {limit:.0} records/s");
    for compression in [0, 1, 3] {
        let (into, out) = runtime.block_on(measure(records, &lines, compression, folder.path()));
        println!(
            "compression {compression}: {records} records of {} bytes: into the spool {into:.0}/s, to their acknowledgement over TLS \
             {out:.0}/s ({:.0} % of the limit)",
            length,
            out / limit * 100.0
        );
    }
}

fn pin(number: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(core) = cores.get(number.min(cores.len().saturating_sub(1))) {
        core_affinity::set_for_current(*core);
    }
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

async fn measure(records: u64, lines: &[String], compression: u32, certificates: &Path) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(certificates);
    let mut spool = spool::Writer::open(folder.path(), spool::Options::with_budget(8 << 30)).unwrap();
    let hosts = vec![peer.address.parse().unwrap()];
    let settings =
        Forward { enabled: true, hosts, ca: Some(certificates.join(CERTIFICATE)), verify: Verify::Full, compression, ..Forward::default() };
    let forwarder = Forwarder::new(settings, spool.reader("forward").unwrap());
    spool.on_append(forwarder.waker());
    let mut shipper = Shipper::new(Envelope::new(&Node { name: "sensor".to_owned(), ..Node::default() }, 0), spool);
    // Filled before anyone drains it: each half is measured by itself.
    let before = cpu();
    for (record, line) in (0..records).zip(lines.iter().cycle()) {
        shipper.zeek("conn", i128::from(record), line.as_bytes());
    }
    shipper.flush();
    let filled = cpu() - before;
    let before = cpu();
    let task = tokio::spawn(forwarder.run(std::future::pending()));
    while shipper.stats().waiting > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let drained = cpu() - before;
    task.abort();
    (records as f64 / filled, records as f64 / drained)
}

/// What TLS and the kernel alone take: the windows are made beforehand.
async fn limit(records: u64, lines: &[String], certificates: &Path) -> f64 {
    let peer = Peer::start(certificates);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates.join(CERTIFICATE)).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = versions.with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect(&peer.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), tcp).await.unwrap();
    let (mut from, mut to) = tokio::io::split(stream);
    let envelope = Envelope::new(&Node { name: "sensor".to_owned(), ..Node::default() }, 0);
    let event = |line: &String| {
        let mut event = Vec::new();
        envelope.zeek("conn", 0, line.as_bytes(), &mut event);
        event
    };
    let events: Vec<_> = lines.iter().take(2048).map(event).collect();
    let mut window = Vec::new();
    lumberjack::encode_window(events.iter().map(Vec::as_slice), 0, &mut window).unwrap();
    let windows = records.div_ceil(2048);
    let before = cpu();
    let acks = tokio::spawn(async move {
        let mut bytes = [0; 1024];
        let mut left = windows * 6;
        while left > 0 {
            left -= from.read(&mut bytes).await.unwrap() as u64;
        }
    });
    for _ in 0..windows {
        to.write_all(&window).await.unwrap();
    }
    to.flush().await.unwrap();
    acks.await.unwrap();
    (windows * 2048) as f64 / (cpu() - before)
}

/// Checks and acknowledges one connection.
async fn peer(certificates: &Path) {
    let chain = vec![CertificateDer::from_pem_file(certificates.join(CERTIFICATE)).unwrap()];
    let key = PrivateKeyDer::from_pem_file(certificates.join(KEY)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = versions.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let (tcp, _) = listener.accept().await.unwrap();
    let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(tcp).await.unwrap();
    let mut receiver = Receiver::new(Limits::default());
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = stream.read(&mut bytes).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        receiver.feed(&bytes[..read]);
        while let Some(event) = receiver.next().unwrap() {
            if event.ends_window {
                let ack = lumberjack::encode_ack(event.sequence);
                if stream.write_all(&ack).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        }
    }
}

struct Peer {
    child: Child,
    address: String,
}

impl Peer {
    fn start(certificates: &Path) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program).arg(PEER).arg(certificates).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { child, address: address.trim().to_owned() }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
