//! Delivery to a collector that goes wrong on purpose.

use collector::Faults;

use super::*;

/// A collector in the clear, with its faults.
async fn faulty(folder: &Path, fault: &str) -> (Peer, Faults) {
    let received = folder.join("received");
    let options = collector::Options { listen: "127.0.0.1:0".parse().unwrap(), folder: received.clone(), tls: None };
    let faults = Faults::default();
    faults.add_text(fault).unwrap();
    let collector = Collector::bind(&options).await.unwrap().with_faults(faults.clone());
    let (address, counts) = (collector.address(), collector.counts());
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(collector.run(async {
        let _ = stopped.await;
    }));
    (Peer { address, counts, folder: received, _stop: stop }, faults)
}

#[tokio::test]
async fn a_lost_acknowledgement_costs_a_repetition_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (mut peer, faults) = faulty(folder.path(), "lose-ack*3").await;
    let mut sensor = Sensor::start(towards(&[peer.address]), quick());
    sensor.ship(0..100);
    sensor.until_drained().await;
    peer.has(100).await;
    assert_eq!(faults.struck(), 3);
    let received = std::fs::read_to_string(peer.folder.join("conn.ndjson")).unwrap();
    let mut different: Vec<&str> = received.lines().collect();
    assert!(different.len() > 100, "nothing came twice");
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 100);
}

#[tokio::test]
async fn a_connection_that_is_closed_within_a_window_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut peer, faults) = faulty(folder.path(), "close-after=4*5").await;
    let mut sensor = Sensor::start(towards(&[peer.address]), quick());
    sensor.ship(0..100);
    sensor.until_drained().await;
    peer.has(100).await;
    assert_eq!(faults.struck(), 5);
    assert_eq!(peer.numbers(), (0..100).collect::<Vec<_>>(), "a window that was not whole is not written");
}

#[tokio::test]
async fn a_collector_that_stops_acknowledging_is_left_and_nothing_is_dropped() {
    for fault in ["no-ack*2", "stall*2"] {
        let folder = tempfile::tempdir().unwrap();
        let (mut peer, faults) = faulty(folder.path(), fault).await;
        let mut sensor = Sensor::start(towards(&[peer.address]), quick());
        sensor.ship(0..30);
        sensor.until_drained().await;
        peer.has(30).await;
        assert_eq!(faults.struck(), 2, "{fault}");
    }
}

#[tokio::test]
async fn signs_of_life_alone_acknowledge_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut peer, faults) = faulty(folder.path(), "keep-alive").await;
    let mut sensor = Sensor::start(towards(&[peer.address]), quick());
    sensor.ship(0..10);
    peer.has(10).await;
    // For three times the patience nothing is taken for acknowledged.
    timeout(quick().patience * 3, sensor.until_drained()).await.unwrap_err();
    assert!(faults.struck() >= 1);
    assert_eq!(sensor.shipper.stats().waiting, 10);
}

#[tokio::test]
async fn an_expired_certificate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::expired(folder.path(), Keys::Ecdsa).unwrap();
    let peer = Peer::start(folder.path(), "127.0.0.1:0", Some((&files, ClientCertificates::None))).await;
    let mut sensor = Sensor::start(over_tls(peer.address, &files), quick());
    sensor.ship(0..3);
    sensor.fails_with("): renew it, or set the clock right").await;
    assert!(peer.numbers().is_empty());
}
