mod faults;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use collector::certificates::{Files, Keys};
use collector::{Collector, certificates};
use lumberjack::{Limits, Receiver};
use settings::{ClientCertificates, Forward, Node, Verify};
use spool::{Options, Writer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::forwarder::Timing;

const DEADLINE: Duration = Duration::from_secs(30);

fn quick() -> Timing {
    Timing {
        connect: Duration::from_secs(5),
        patience: Duration::from_millis(300),
        backoff: (Duration::from_millis(5), Duration::from_millis(20)),
        drain: Duration::from_secs(5),
    }
}

fn towards(hosts: &[SocketAddr]) -> Forward {
    Forward {
        enabled: true,
        hosts: hosts.iter().map(|host| host.to_string().parse().unwrap()).collect(),
        tls: false,
        window: 10,
        ..Forward::default()
    }
}

fn over_tls(host: SocketAddr, files: &Files) -> Forward {
    Forward { tls: true, ca: Some(files.ca.clone()), ..towards(&[host]) }
}

/// A sensor: a spool with `numbers` in it, and a forwarder that runs until it is dropped or stopped.
struct Sensor {
    shipper: Shipper,
    state: watch::Receiver<Vec<State>>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Sensor {
    fn start(settings: Forward, timing: Timing) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Writer::open(folder.path(), Options::with_budget(64 << 20)).unwrap();
        let mut forwarder = Forwarder::new(settings, spool.reader("lumberjack").unwrap());
        forwarder.timing = timing;
        spool.on_append(forwarder.waker());
        let node = Node { name: "s".to_owned(), ..Node::default() };
        let shipper = Shipper::new(Envelope::new(&node, 0), spool);
        let state = forwarder.state();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(forwarder.run(async {
            let _ = stopped.await;
        }));
        Self { shipper, state, stop: Some(stop), task, _folder: folder }
    }

    fn ship(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.shipper.zeek("conn", number as i128 * 1_000_000_000, format!("{{\"n\":{number}}}").as_bytes());
        }
        self.shipper.flush();
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&State) -> bool) {
        let waited = timeout(DEADLINE, self.state.wait_for(|states| states.iter().any(&holds))).await.is_ok();
        assert!(waited, "never {what}: {:?}", self.state.borrow());
    }

    async fn until_stats(&self, holds: impl Fn(spool::Stats) -> bool) {
        let polled = async {
            while !holds(self.shipper.stats()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, polled).await.unwrap();
    }

    async fn until_drained(&self) {
        self.until_stats(|stats| stats.waiting == 0).await;
    }

    async fn fails_with(&mut self, words: &str) {
        self.until(words, |state| state.last_error.contains(words)).await;
    }

    async fn stop(mut self) -> spool::Stats {
        drop(self.stop.take());
        timeout(DEADLINE, self.task).await.unwrap().unwrap();
        self.shipper.stats()
    }
}

/// A real collector.
struct Peer {
    address: SocketAddr,
    counts: watch::Receiver<collector::Counts>,
    folder: PathBuf,
    _stop: oneshot::Sender<()>,
}

impl Peer {
    async fn start(folder: &Path, listen: &str, tls: Option<(&Files, ClientCertificates)>) -> Self {
        let tls = tls.map(|(files, clients)| collector::Tls {
            certificate: files.server.clone(),
            key: files.server_key.clone(),
            ca: files.ca.clone(),
            clients,
        });
        let folder = folder.join("received");
        let options = collector::Options { listen: listen.parse().unwrap(), folder: folder.clone(), tls };
        let collector = Collector::bind(&options).await.unwrap();
        let (address, counts) = (collector.address(), collector.counts());
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(collector.run(async {
            let _ = stopped.await;
        }));
        Self { address, counts, folder, _stop: stop }
    }

    async fn has(&mut self, events: u64) {
        let waited = timeout(DEADLINE, self.counts.wait_for(|counts| counts.get("conn").copied().unwrap_or(0) >= events)).await.is_ok();
        assert!(waited, "never {events} events: {:?}", self.counts.borrow());
    }

    /// The numbers of the events received, in order.
    fn numbers(&self) -> Vec<usize> {
        numbers(&self.folder)
    }
}

fn numbers(received: &Path) -> Vec<usize> {
    let text = std::fs::read_to_string(received.join("conn.ndjson")).unwrap_or_default();
    text.lines().map(number).collect()
}

fn number(event: &str) -> usize {
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    let message: serde_json::Value = serde_json::from_str(event["message"].as_str().unwrap()).unwrap();
    usize::try_from(message["n"].as_u64().unwrap()).unwrap()
}

/// A peer under the test's control.
struct Script {
    listener: TcpListener,
}

impl Script {
    async fn listen() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self { listener }, address)
    }

    async fn accept(&self) -> Conversation {
        let (stream, _) = timeout(DEADLINE, self.listener.accept()).await.unwrap().unwrap();
        Conversation { stream, receiver: Receiver::new(Limits::default()), taken: 0 }
    }
}

struct Conversation {
    stream: TcpStream,
    receiver: Receiver,
    /// Place in its window of the last event taken.
    taken: u32,
}

impl Conversation {
    /// The events of the next window, up to `most`; `None` when the sensor hangs up.
    async fn events(&mut self, most: usize) -> Option<Vec<String>> {
        let mut events = Vec::new();
        let mut bytes = [0; 4096];
        loop {
            while let Some(event) = self.receiver.next().unwrap() {
                self.taken = event.sequence;
                events.push(String::from_utf8(event.payload.to_vec()).unwrap());
                if event.ends_window || events.len() == most {
                    return Some(events);
                }
            }
            let read = timeout(DEADLINE, self.stream.read(&mut bytes)).await.unwrap().unwrap_or(0);
            if read == 0 {
                return None;
            }
            self.receiver.feed(&bytes[..read]);
        }
    }

    async fn ack(&mut self, sequence: u32) {
        let _ = self.stream.write_all(&lumberjack::encode_ack(sequence)).await;
    }
}

#[tokio::test]
async fn records_arrive_over_tls_at_a_collector_like_malcolms_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    // As Malcolm makes them: RSA with 4096 bits, no name in the server's certificate.
    let files = certificates::ensure(folder.path(), Keys::Rsa4096).unwrap();
    let mut peer = Peer::start(folder.path(), "127.0.0.1:0", Some((&files, ClientCertificates::Optional))).await;
    let mut sensor = Sensor::start(over_tls(peer.address, &files), quick());
    sensor.ship(0..95);
    peer.has(95).await;
    sensor.ship(95..100);
    peer.has(100).await;
    sensor.until("connected", |state| state.phase == Phase::Connected && state.last_error.is_empty()).await;
    let stats = sensor.stop().await;
    assert_eq!((stats.waiting, stats.acknowledged), (0, 100));
    assert_eq!(peer.numbers(), (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_wrong_ca_is_told_and_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(&folder.path().join("a"), Keys::Ecdsa).unwrap();
    let other = certificates::ensure(&folder.path().join("b"), Keys::Ecdsa).unwrap();
    let peer = Peer::start(folder.path(), "127.0.0.1:0", Some((&files, ClientCertificates::Optional))).await;
    let mut sensor = Sensor::start(over_tls(peer.address, &other), quick());
    sensor.ship(0..5);
    sensor.fails_with("is not signed by the CA in").await;
    sensor.fails_with("check forward.ca").await;
    assert!(peer.numbers().is_empty());
    assert_eq!(sensor.stop().await.waiting, 5);
}

#[tokio::test]
async fn the_full_check_wants_a_name_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(folder.path(), Keys::Ecdsa).unwrap();
    let peer = Peer::start(folder.path(), "127.0.0.1:0", Some((&files, ClientCertificates::None))).await;
    let mut sensor = Sensor::start(Forward { verify: Verify::Full, ..over_tls(peer.address, &files) }, quick());
    sensor.fails_with("forward.verify = \"chain\"").await;
}

#[tokio::test]
async fn without_a_check_any_certificate_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(folder.path(), Keys::Ecdsa).unwrap();
    let mut peer = Peer::start(folder.path(), "127.0.0.1:0", Some((&files, ClientCertificates::None))).await;
    let mut sensor = Sensor::start(Forward { tls: true, verify: Verify::None, ..towards(&[peer.address]) }, quick());
    sensor.ship(0..3);
    peer.has(3).await;
}

#[tokio::test]
async fn a_client_certificate_is_sent_when_there_is_one_and_asked_for_when_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(folder.path(), Keys::Ecdsa).unwrap();
    let mut peer = Peer::start(folder.path(), "127.0.0.1:0", Some((&files, ClientCertificates::Required))).await;
    let without = over_tls(peer.address, &files);
    let mut sensor = Sensor::start(without.clone(), quick());
    sensor.ship(0..3);
    sensor.fails_with("wants a client certificate").await;
    drop(sensor);
    let with = Forward { certificate: Some(files.client.clone()), key: Some(files.client_key.clone()), ..without };
    let mut sensor = Sensor::start(with, quick());
    sensor.ship(0..3);
    peer.has(3).await;
}

#[tokio::test]
async fn missing_and_wrong_certificate_files_are_named_with_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(folder.path(), Keys::Ecdsa).unwrap();
    let nobody = "127.0.0.1:1".parse().unwrap();
    for (settings, words) in [
        (Forward { ca: Some("/nonexistent/ca.crt".into()), ..over_tls(nobody, &files) }, "check forward.ca"),
        (Forward { ca: Some(files.server_key.clone()), ..over_tls(nobody, &files) }, "holds no certificate"),
        (
            Forward { certificate: Some(files.client.clone()), key: Some(files.server_key.clone()), ..over_tls(nobody, &files) },
            "do not belong together",
        ),
        (Forward { certificate: Some(files.client.clone()), key: Some(files.ca.clone()), ..over_tls(nobody, &files) }, "check forward.key"),
    ] {
        let mut sensor = Sensor::start(settings, quick());
        sensor.fails_with(words).await;
    }
}

#[tokio::test]
async fn what_was_recorded_without_a_collector_is_delivered_when_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (script, address) = Script::listen().await;
    drop(script);
    let mut sensor = Sensor::start(towards(&[address]), quick());
    sensor.ship(0..50);
    sensor.fails_with("nothing listens on").await;
    let mut peer = Peer::start(folder.path(), &address.to_string(), None).await;
    peer.has(50).await;
    sensor.until("without an error", |state| state.last_error.is_empty()).await;
    assert_eq!(peer.numbers(), (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_next_host_takes_over_when_the_first_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let (script, dead) = Script::listen().await;
    drop(script);
    let mut peer = Peer::start(folder.path(), "127.0.0.1:0", None).await;
    let mut sensor = Sensor::start(towards(&[dead, peer.address]), quick());
    sensor.ship(0..5);
    peer.has(5).await;
    let address = peer.address.to_string();
    sensor.until("at the second host", |state| state.phase == Phase::Connected && state.address == address).await;
}

#[tokio::test]
async fn a_partial_acknowledgement_counts_and_the_rest_comes_again_byte_for_byte() {
    let (script, address) = Script::listen().await;
    let mut sensor = Sensor::start(towards(&[address]), Timing { patience: DEADLINE, ..quick() });
    sensor.ship(0..10);
    let mut first = script.accept().await;
    let sent = first.events(10).await.unwrap();
    first.ack(4).await;
    // The forwarder must have read the ack before the connection dies under it.
    sensor.until_stats(|stats| stats.acknowledged == 4).await;
    drop(first);
    let mut second = script.accept().await;
    let again = second.events(10).await.unwrap();
    assert_eq!(again, sent[4..]);
    second.ack(6).await;
    assert_eq!(sensor.stop().await.acknowledged, 10);
}

#[tokio::test]
async fn signs_of_life_keep_a_slow_window_alive() {
    let (script, address) = Script::listen().await;
    let mut sensor = Sensor::start(towards(&[address]), quick());
    sensor.ship(0..10);
    let mut conversation = script.accept().await;
    conversation.events(10).await.unwrap();
    // Three times as long as the forwarder's patience, in signs of life.
    let mut ticks = tokio::time::interval(quick().patience / 4);
    for _ in 0..12 {
        ticks.tick().await;
        conversation.ack(0).await;
    }
    conversation.ack(10).await;
    assert_eq!(sensor.stop().await.acknowledged, 10);
}

#[tokio::test]
async fn a_silent_collector_is_left_and_dialled_again() {
    let (script, address) = Script::listen().await;
    let mut sensor = Sensor::start(towards(&[address]), quick());
    sensor.ship(0..10);
    let mut silent = script.accept().await;
    let sent = silent.events(10).await.unwrap();
    sensor.fails_with("sign of life").await;
    let mut second = script.accept().await;
    assert_eq!(second.events(10).await.unwrap(), sent);
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(folder.path(), Keys::Ecdsa).unwrap();
    let (script, address) = Script::listen().await;
    let mut sensor = Sensor::start(over_tls(address, &files), quick());
    let mut conversation = script.accept().await;
    conversation.stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
    sensor.fails_with("does not speak TLS").await;
}

/// Connections die at random places, acknowledgements are partial or lost: in the end everything was acknowledged, and what
/// came twice came with the same bytes.
#[tokio::test]
async fn nothing_is_lost_when_connections_die_at_random_places() {
    const EVENTS: usize = 3000;
    let (script, address) = Script::listen().await;
    let mut sensor = Sensor::start(towards(&[address]), Timing { patience: DEADLINE, ..quick() });
    let mut seen: BTreeMap<usize, String> = BTreeMap::new();
    let (mut came, mut rounds, mut random) = (0, 0_usize, 12345_u32);
    let mut shipped = 0;
    'all: loop {
        if shipped < EVENTS {
            sensor.ship(shipped..shipped + 100);
            shipped += 100;
        }
        rounds += 1;
        let mut conversation = script.accept().await;
        for _ in 0..20 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let most = if random >> 31 == 0 { 10 } else { (random >> 16) as usize % 10 + 1 };
            let drained = sensor.until_drained();
            let events = tokio::select! {
                events = conversation.events(most) => events,
                () = drained, if seen.len() == EVENTS => break 'all,
            };
            let Some(events) = events else { break };
            for event in &events {
                came += 1;
                let before = seen.insert(number(event), event.clone());
                assert!(before.is_none_or(|before| before == *event));
            }
            match random >> 28 {
                // Dies without an ack, though everything was taken.
                0 | 1 => break,
                // Acknowledges a part, and dies.
                2 => {
                    conversation.ack(conversation.taken - events.len() as u32 / 2).await;
                    break;
                }
                _ => conversation.ack(conversation.taken).await,
            }
            if shipped < EVENTS {
                break;
            }
        }
    }
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), (0..EVENTS).collect::<Vec<_>>());
    assert!(came - EVENTS <= rounds * PIPELINE * 10, "{came} events in {rounds} connections");
    assert_eq!(sensor.stop().await.acknowledged as usize, EVENTS);
}

/// A real collector is stopped in the middle of whatever it does, and comes back, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_dies_again_and_again_costs_resends_and_nothing_else() {
    const EVENTS: usize = 4000;
    const ROUNDS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(folder.path(), Keys::Ecdsa).unwrap();
    let mut peer = Peer::start(folder.path(), "127.0.0.1:0", Some((&files, ClientCertificates::Optional))).await;
    let address = peer.address;
    let mut sensor = Sensor::start(over_tls(address, &files), quick());
    for round in 0..ROUNDS {
        sensor.ship(round * EVENTS / ROUNDS..(round + 1) * EVENTS / ROUNDS);
        // A collector counts from its own start.
        peer.has(50).await;
        drop(peer);
        peer = timeout(DEADLINE, restart(folder.path(), address, &files)).await.unwrap();
    }
    sensor.until_drained().await;
    let mut numbers = peer.numbers();
    let came = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>());
    assert!(came - EVENTS <= ROUNDS * PIPELINE * 10, "{came} came of {EVENTS}");
    println!("{EVENTS} records in, {came} came, {} of them again", came - EVENTS);
    assert_eq!(sensor.stop().await.acknowledged as usize, EVENTS);
}

#[tokio::test]
async fn spread_records_go_to_every_host_and_the_others_take_the_share_of_one_that_dies() {
    let (one, first) = Script::listen().await;
    let (two, second) = Script::listen().await;
    let settings = Forward { balance: true, ..towards(&[first, second]) };
    let mut sensor = Sensor::start(settings, Timing { patience: DEADLINE, ..quick() });
    let (mut one, mut two) = (one.accept().await, two.accept().await);
    sensor.ship(0..40);
    let (at_one, at_two) = (one.events(10).await.unwrap(), two.events(10).await.unwrap());
    // The first dies with two windows in hand; they go to the second, before anything newer.
    drop(one);
    two.ack(10).await;
    let mut numbers: Vec<_> = at_two.iter().map(|event| number(event)).collect();
    for _ in 0..3 {
        numbers.extend(two.events(10).await.unwrap().iter().map(|event| number(event)));
        two.ack(10).await;
    }
    assert!(at_one.iter().all(|event| numbers.contains(&number(event))));
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
    assert_eq!(sensor.stop().await.acknowledged, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hosts_of_which_one_or_another_is_always_dying_get_every_record() {
    const EVENTS: usize = 6000;
    const ROUNDS: usize = 18;
    let folder = tempfile::tempdir().unwrap();
    let mut peers = Vec::new();
    for number in 0..3 {
        peers.push(Some(Peer::start(&folder.path().join(number.to_string()), "127.0.0.1:0", None).await));
    }
    let addresses: Vec<_> = peers.iter().flatten().map(|peer| peer.address).collect();
    let folders: Vec<_> = peers.iter().flatten().map(|peer| peer.folder.clone()).collect();
    let mut sensor = Sensor::start(Forward { balance: true, ..towards(&addresses) }, quick());
    for round in 0..ROUNDS {
        sensor.ship(round * EVENTS / ROUNDS..(round + 1) * EVENTS / ROUNDS);
        let victim = round % 3;
        peers[victim] = None;
        sensor.until_stats(|stats| stats.acknowledged as usize >= round * EVENTS / ROUNDS).await;
        while TcpListener::bind(addresses[victim]).await.is_err() {
            tokio::task::yield_now().await;
        }
        peers[victim] = Some(Peer::start(&folder.path().join(victim.to_string()), &addresses[victim].to_string(), None).await);
    }
    sensor.until_drained().await;
    let shares: Vec<Vec<usize>> = folders.iter().map(|folder| numbers(folder)).collect();
    let mut all = shares.concat();
    let came = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..EVENTS).collect::<Vec<_>>());
    assert!(shares.iter().all(|share| !share.is_empty()));
    assert!(came - EVENTS <= ROUNDS * PIPELINE * 10, "{came} came of {EVENTS}");
    println!("{EVENTS} records in, {came} came, {} of them again", came - EVENTS);
    assert_eq!(sensor.stop().await.acknowledged as usize, EVENTS);
}

/// Tries until the address is free again: the old collector lets it go in its own time.
async fn restart(folder: &Path, address: SocketAddr, files: &Files) -> Peer {
    while TcpListener::bind(address).await.is_err() {
        tokio::task::yield_now().await;
    }
    Peer::start(folder, &address.to_string(), Some((files, ClientCertificates::Optional))).await
}

/// The same steps as Malcolm's own: openssl, a CA and a server with organisation and unit alone, both RSA with 4096 bits.
#[tokio::test]
async fn certificates_made_with_openssl_as_malcolm_makes_them_are_checked_by_chain() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |line: &str| {
        let status = std::process::Command::new("openssl").args(line.split_whitespace()).current_dir(folder.path()).output();
        status.map(|output| assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr)))
    };
    if openssl("version").is_err() {
        println!("SKIPPED: openssl is not installed, so only our own certificates are checked");
        return;
    }
    std::fs::write(
        folder.path().join("ext.conf"),
        "extendedKeyUsage = serverAuth, clientAuth\nkeyUsage = digitalSignature, keyEncipherment\n",
    )
    .unwrap();
    for line in [
        "req -x509 -newkey rsa:4096 -sha256 -nodes -days 30 -subj /C=US/ST=ID/O=malcolm/OU=ca -keyout ca.key -out ca.crt",
        "req -newkey rsa:4096 -sha256 -nodes -subj /C=US/ST=ID/O=malcolm/OU=server -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -sha256 -extfile ext.conf -out server.crt",
    ] {
        openssl(line).unwrap();
    }
    let files = Files::of(folder.path());
    let mut peer = Peer::start(folder.path(), "127.0.0.1:0", Some((&files, ClientCertificates::Optional))).await;
    let mut sensor = Sensor::start(over_tls(peer.address, &files), quick());
    sensor.ship(0..20);
    peer.has(20).await;
    assert_eq!(peer.numbers(), (0..20).collect::<Vec<_>>());

    // Malcolm's own sensors speak TLS 1.2 alone; a server that does is spoken to as well.
    let (script, address) = Script::listen().await;
    drop(script);
    let mut server = std::process::Command::new("openssl")
        .args(["s_server", "-accept", &address.to_string(), "-cert", "server.crt", "-key", "server.key", "-tls1_2", "-quiet"])
        .current_dir(folder.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut sensor = Sensor::start(over_tls(address, &files), Timing { patience: DEADLINE, ..quick() });
    sensor.until("connected over TLS 1.2", |state| state.phase == Phase::Connected).await;
    server.kill().unwrap();
    server.wait().unwrap();
}
