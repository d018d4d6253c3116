//! What delivery of sessions costs: documents into the spool, and from there by bulk requests over HTTPS to their answers.
//!
//! `cargo bench -p forward --bench bulk [-- DOCUMENTS]`
//!
//! The other side is the embedded collector as a process of its own; it checks every document and writes it to disk, so
//! that wall time is mostly its own. Figures are documents a second of CPU of the sensor's process.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement at the terminal")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use collector::certificates::{self, Files, Keys};
use collector::opensearch::{Options, Server};
use forward::Intake;
use forward::opensearch::{Delivery, Operation, Order};
use settings::{ClientCertificates, OpenSearch};

/// What the peer is started with, followed by its folder.
const PEER: &str = "--peer";
const INDEX: &str = "arkime_sessions3-261124";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |word: &str| arguments.iter().position(|argument| argument == word).and_then(|at| arguments.get(at + 1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(folder) = after(PEER) {
        return runtime.block_on(serve(Path::new(folder)));
    }
    let documents = arguments.iter().filter_map(|argument| argument.parse().ok()).next().unwrap_or(100_000);
    for compression in [0, 3] {
        runtime.block_on(measure(documents, compression));
    }
}

async fn measure(documents: u64, compression: u32) {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(folder.path(), Keys::Ecdsa).unwrap();
    let peer = Peer::start(folder.path());
    let mut spool = spool::Writer::open(&folder.path().join("spool"), spool::Options::with_budget(8 << 30)).unwrap();
    let host = format!("https://{}", peer.address).parse().unwrap();
    let settings = OpenSearch { enabled: true, hosts: vec![host], ca: Some(files.ca), compression, ..OpenSearch::default() };
    let delivery = Delivery::new(settings, Order::Free, spool.reader("bulk").unwrap(), folder.path().join("refused.ndjson"));
    spool.on_append(delivery.waker());
    let mut intake = Intake::new(spool, "sessions");
    // Filled before anyone drains it: each half is measured by itself.
    let before = cpu();
    let mut bytes = 0;
    for number in 0..documents {
        let document = document(number);
        bytes += document.len() as u64;
        intake.put(Operation::Index, INDEX, &format!("261124-{number:024}"), document.as_bytes());
    }
    intake.flush();
    let filled = cpu() - before;
    let (before, begun) = (cpu(), Instant::now());
    let task = tokio::spawn(delivery.run(std::future::pending()));
    while intake.stats().waiting > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (drained, elapsed) = (cpu() - before, begun.elapsed().as_secs_f64());
    task.abort();
    let rate = |seconds: f64| documents as f64 / seconds;
    println!(
        "compression {compression}: {documents} documents of {} bytes: made and put into the spool {:.0}/s of CPU, to their answers {:.0}/s \
         of CPU, {:.0}/s on the clock",
        bytes / documents,
        rate(filled),
        rate(drained),
        rate(elapsed)
    );
}

/// A session of TLS as the daemon makes them; numbers, addresses and times differ from one to the next.
fn document(number: u64) -> String {
    let at = 1_795_000_000_000 + number * 3;
    let (host, port, bytes) = (number % 251, 1024 + number % 60_000, 400 + number * 7919 % 90_000);
    format!(
        concat!(
            r#"{{"event":{{"provider":"arkime","dataset":"session"}},"packetRange":{{"gte":{at},"lte":{end}}},"firstPacket":{at},"#,
            r#""lastPacket":{end},"length":823,"ipProtocol":6,"ethertype":2048,"tcpflags":{{"syn":1,"syn-ack":1,"ack":9,"psh":6,"fin":2,"#,
            r#""rst":0,"urg":0,"ece":0,"cwr":0,"ae":0,"srcZero":0,"dstZero":0}},"initRTT":7,"tcpseq":{{"src":{seq},"dst":{port}}},"#,
            r#""@timestamp":{end},"source":{{"ip":"10.0.0.{host}","port":{port},"bytes":{bytes},"packets":12,"mac":["02:00:00:00:00:01"],"#,
            r#""mac-cnt":1}},"destination":{{"ip":"192.0.2.{host}","port":443,"bytes":{bytes},"packets":10,"mac":["02:00:00:00:00:02"],"#,
            r#""mac-cnt":1}},"srcPayload8":"1603010200010001","dstPayload8":"160303007a020000","network":{{"packets":22,"bytes":{bytes},"#,
            r#""community_id":"1:{seq:026}="}},"client":{{"bytes":1843}},"server":{{"bytes":{bytes}}},"totDataBytes":{bytes},"segmentCnt":1,"#,
            r#""node":"sensor","packetPos":[-7,{seq},114,90,0,0,106,1514,0,0],"packetLen":[90,90,82,599,1530,1530,1530,82],"fileId":[7],"#,
            r#""protocol":["tcp","tls"],"protocolCnt":2,"tls":{{"cipher":["TLS_AES_256_GCM_SHA384"],"cipherCnt":1,"#,
            r#""ja4":["t13d1516h2_8daaf6152771_{host:012}"],"ja4Cnt":1,"version":["TLSv1.3"],"versionCnt":1}},"#,
            r#""host":["host{host}.example"],"hostCnt":1}}"#
        ),
        at = at,
        end = at + 823,
        seq = number.wrapping_mul(2_654_435_761) % 4_294_967_296,
        port = port,
        host = host,
        bytes = bytes,
    )
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The collector's process.
struct Peer {
    child: Child,
    address: String,
}

impl Peer {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap()).arg(PEER).arg(folder).stdout(Stdio::piped()).spawn().unwrap();
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

async fn serve(folder: &Path) {
    let files = Files::of(folder);
    let tls = collector::Tls { certificate: files.server, key: files.server_key, ca: files.ca, clients: ClientCertificates::Optional };
    let options = Options { tls: Some(tls), ..Options::new("127.0.0.1:0".parse().unwrap(), folder.join("indices")) };
    let server = Server::bind(&options).await.unwrap();
    println!("{}", server.address());
    server.run(std::future::pending()).await;
}
