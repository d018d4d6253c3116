//! How fast records go from the shipper through the spool and over TLS to an acknowledgement, on loopback.
//!
//! `cargo run --release -p forward --example throughput [RECORDS]`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement at the terminal")]

use std::time::{Duration, Instant};

use collector::certificates::{self, Keys};
use collector::{Collector, Options, Tls};
use forward::{Envelope, Forwarder, Shipper};
use settings::{ClientCertificates, Forward, Node};

const LINE: &str = r#"{"ts":1767319000.123456,"uid":"CHhAvVGS1DHFjwGM9","id.orig_h":"10.0.12.7","id.orig_p":49152,"id.resp_h":"192.0.2.53","id.resp_p":443,"proto":"tcp","service":"ssl","duration":0.734512,"orig_bytes":1843,"resp_bytes":20456,"conn_state":"SF","local_orig":true,"local_resp":false,"missed_bytes":0,"history":"ShADadFf","orig_pkts":18,"orig_ip_bytes":2791,"resp_pkts":22,"resp_ip_bytes":21612,"ip_proto":6,"community_id":"1:LQU9qZlK+B5F3KDmev6m5PMibrg="}"#;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let records: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(500_000);
    for compression in [0, 3] {
        measure(records, compression).await;
    }
}

async fn measure(records: u64, compression: u32) {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(&folder.path().join("certs"), Keys::Ecdsa).unwrap();
    let tls = Tls { certificate: files.server, key: files.server_key, ca: files.ca.clone(), clients: ClientCertificates::Optional };
    let options = Options { listen: "127.0.0.1:0".parse().unwrap(), folder: folder.path().join("in"), tls: Some(tls) };
    let collector = Collector::bind(&options).await.unwrap();
    let hosts = vec![collector.address().to_string().parse().unwrap()];
    tokio::spawn(collector.run(std::future::pending()));

    let mut spool = spool::Writer::open(&folder.path().join("spool"), spool::Options::with_budget(8 << 30)).unwrap();
    let settings = Forward { enabled: true, hosts, ca: Some(files.ca), compression, ..Forward::default() };
    let reader = spool.reader("forward").unwrap();
    let envelope = Envelope::new(&Node { name: "sensor".to_owned(), ..Node::default() }, 0);

    let began = Instant::now();
    // Filled before anyone drains it: each half is measured by itself.
    let forwarder = Forwarder::new(settings, reader);
    spool.on_append(forwarder.waker());
    let mut shipper = Shipper::new(envelope, spool);
    for record in 0..records {
        shipper.zeek("conn", i128::from(record), LINE.as_bytes());
    }
    shipper.flush();
    let filled = began.elapsed();

    let began = Instant::now();
    let task = tokio::spawn(forwarder.run(std::future::pending()));
    while shipper.stats().waiting > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let drained = began.elapsed();
    task.abort();
    let rate = |time: Duration| records as f64 / time.as_secs_f64();
    println!(
        "compression {compression}: {records} records of {} bytes: into the spool {:.0}/s, acknowledged over TLS {:.0}/s",
        LINE.len(),
        rate(filled),
        rate(drained)
    );
}
