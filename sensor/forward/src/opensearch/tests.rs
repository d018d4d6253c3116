use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use collector::certificates::{self, Files, Keys};
use collector::opensearch::{self as peer, Server};
use collector::{Counts, Faults};
use serde_json::{Value, json};
use settings::{ClientCertificates, Verify};
use spool::{Options, Stats, Writer};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::Intake;

const DEADLINE: Duration = Duration::from_secs(30);
const INDEX: &str = "arkime_sessions3-261124";

fn quick() -> Timing {
    Timing {
        connect: Duration::from_secs(5),
        patience: Duration::from_secs(5),
        backoff: (Duration::from_millis(5), Duration::from_millis(20)),
        retry_after: Duration::from_millis(200),
        drain: Duration::from_secs(5),
    }
}

/// An OpenSearch, over TLS with certificates as Malcolm makes them.
struct Peer {
    address: SocketAddr,
    counts: watch::Receiver<Counts>,
    faults: Faults,
    files: Files,
    folder: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Peer {
    async fn start(folder: &Path) -> Self {
        Self::start_at(folder, "127.0.0.1:0", |_| {}).await
    }

    async fn start_at(folder: &Path, listen: &str, change: impl FnOnce(&mut peer::Options)) -> Self {
        let files = certificates::ensure(&folder.join("certs"), Keys::Ecdsa).unwrap();
        let mut options = peer::Options::new(listen.parse().unwrap(), folder.join("indices"));
        options.tls = Some(collector::Tls {
            certificate: files.server.clone(),
            key: files.server_key.clone(),
            ca: files.ca.clone(),
            clients: ClientCertificates::Optional,
        });
        change(&mut options);
        let faults = Faults::default();
        let server = Server::bind(&options).await.unwrap().with_faults(faults.clone());
        let (address, counts) = (server.address(), server.counts());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, counts, faults, files, folder: options.folder, stop: Some(stop), task }
    }

    fn settings(&self) -> OpenSearch {
        OpenSearch {
            enabled: true,
            hosts: vec![format!("https://{}", self.address).parse().unwrap()],
            ca: Some(self.files.ca.clone()),
            ..OpenSearch::default()
        }
    }

    async fn has(&mut self, documents: u64) {
        let all = |counts: &Counts| counts.values().sum::<u64>();
        let waited = timeout(DEADLINE, self.counts.wait_for(|counts| all(counts) >= documents)).await.is_ok();
        assert!(waited, "never {documents} documents: {:?}", self.counts.borrow());
    }

    /// The lines of an index: each change, in the order in which it came.
    fn lines(&self, index: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join(format!("{index}.ndjson"))).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn numbers(&self) -> BTreeSet<u64> {
        self.lines(INDEX).iter().filter_map(|line| line["_source"]["n"].as_u64()).collect()
    }

    async fn kill(mut self) {
        drop(self.stop.take());
        timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

/// A sensor: a queue, and a delivery that runs until it is stopped.
struct Sensor {
    intake: Intake,
    state: watch::Receiver<State>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Sensor {
    fn start(settings: OpenSearch) -> Self {
        Self::start_with(settings, Order::Free, quick(), |delivery| delivery)
    }

    fn start_with(settings: OpenSearch, order: Order, timing: Timing, change: impl FnOnce(Delivery) -> Delivery) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Writer::open(&folder.path().join("queue"), Options::with_budget(64 << 20)).unwrap();
        let mut delivery = Delivery::new(settings, order, spool.reader("bulk").unwrap(), folder.path().join("refused.ndjson"));
        delivery.timing = timing;
        let delivery = change(delivery);
        spool.on_append(delivery.waker());
        let state = delivery.state();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(delivery.run(async {
            let _ = stopped.await;
        }));
        Self { intake: Intake::new(spool, "documents"), state, stop: Some(stop), task, folder }
    }

    fn put(&mut self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.intake.put(Operation::Index, INDEX, &format!("261124-{number}"), json!({"n": number}).to_string().as_bytes());
        }
        self.intake.flush();
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&State) -> bool) {
        let waited = timeout(DEADLINE, self.state.wait_for(|state| holds(state))).await.is_ok();
        assert!(waited, "never {what}: {:?}", self.state.borrow());
    }

    async fn fails_with(&mut self, words: &str) {
        self.until(words, |state| state.hosts.iter().any(|host| host.last_error.contains(words))).await;
    }

    async fn drained(&self) {
        let polled = async {
            while self.intake.stats().waiting > 0 {
                tokio::task::yield_now().await;
            }
        };
        let waited = timeout(DEADLINE, polled).await.is_ok();
        assert!(waited, "never drained: {:?} {:?}", self.intake.stats(), self.state.borrow());
    }

    fn refused(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("refused.ndjson")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn stop(mut self) -> Stats {
        drop(self.stop.take());
        timeout(DEADLINE, self.task).await.unwrap().unwrap();
        self.intake.stats()
    }
}

fn all(count: u64) -> BTreeSet<u64> {
    (0..count).collect()
}

#[tokio::test]
async fn documents_arrive_once_over_tls_and_the_queue_is_empty_then() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(folder.path()).await;
    let mut sensor = Sensor::start(OpenSearch { bulk_bytes: 10_000, ..peer.settings() });
    sensor.put(0..1000);
    peer.has(1000).await;
    sensor.drained().await;
    assert_eq!((peer.lines(INDEX).len(), peer.numbers()), (1000, all(1000)));
    sensor.until("counted", |state| state.taken == 1000).await;
    assert_eq!(sensor.stop().await.waiting, 0);
}

#[tokio::test]
async fn all_lanes_end_at_once_when_the_queue_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path()).await;
    let mut settings = OpenSearch { bulk_bytes: 10_000, ..peer.settings() };
    settings.hosts = vec![settings.hosts[0].clone(); 5];
    let timing = Timing { drain: DEADLINE * 4, ..quick() };
    let mut sensor = Sensor::start_with(settings, Order::Free, timing, |delivery| delivery);
    sensor.put(0..2000);
    let stats = sensor.stop().await;
    assert_eq!((stats.waiting, peer.numbers()), (0, all(2000)));
}

#[tokio::test]
async fn documents_that_opensearch_had_no_room_for_are_sent_again_and_only_those() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path()).await;
    peer.faults.add_text("partial=429/3*4").unwrap();
    let mut sensor = Sensor::start(peer.settings());
    sensor.put(0..100);
    sensor.drained().await;
    assert_eq!((peer.lines(INDEX).len(), peer.numbers()), (100, all(100)), "nothing was written twice");
    assert!(sensor.state.borrow().retried >= 33 && sensor.refused().is_empty());
}

#[tokio::test]
async fn a_busy_host_is_left_alone_for_as_long_as_it_asks() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path()).await;
    peer.faults.add_text("status=429*2").unwrap();
    let mut sensor = Sensor::start(peer.settings());
    let begun = std::time::Instant::now();
    sensor.put(0..10);
    sensor.fails_with("too much to do (429)").await;
    sensor.drained().await;
    // It asks for a second; the test's timing obeys 200 ms at most.
    assert!(begun.elapsed() >= quick().retry_after, "{:?}", begun.elapsed());
    assert_eq!((peer.lines(INDEX).len(), peer.faults.struck()), (10, 2));
    sensor.until("well again", |state| state.hosts[0].last_error.is_empty()).await;
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved_and_a_document_that_is_too_large_alone_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start_at(folder.path(), "127.0.0.1:0", |options| options.max_request = 2000).await;
    let mut sensor = Sensor::start(OpenSearch { compression: 0, ..peer.settings() });
    sensor.put(0..50);
    let big = json!({"n": 50, "text": "x".repeat(3000)});
    sensor.intake.put(Operation::Index, INDEX, "261124-big", big.to_string().as_bytes());
    sensor.put(51..100);
    sensor.drained().await;
    assert_eq!(peer.lines(INDEX).len(), 99);
    let refused = sensor.refused();
    assert_eq!((refused.len(), &refused[0]["status"], &refused[0]["document"]), (1, &json!(413), &big));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again_and_nothing_is_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path()).await;
    peer.faults.add_text("cut*3").unwrap();
    let mut sensor = Sensor::start(peer.settings());
    sensor.put(0..20);
    sensor.drained().await;
    let lines = peer.lines(INDEX);
    assert!(lines.len() > 20, "obeyed each time");
    let mut contents: Vec<String> = lines.iter().map(|line| format!("{}{}", line["_id"], line["_source"])).collect();
    contents.sort();
    contents.dedup();
    assert_eq!(contents.len(), 20, "the same ids with the same documents, so that there is one of each");
}

#[tokio::test]
async fn a_collector_that_is_killed_loses_nothing_that_it_had_answered_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(folder.path()).await;
    let (address, settings) = (peer.address.to_string(), OpenSearch { bulk_bytes: 10_000, ..peer.settings() });
    let mut sensor = Sensor::start(settings);
    sensor.put(0..500);
    peer.has(1).await;
    peer.kill().await;
    sensor.put(500..1000);
    sensor.fails_with("nothing listens on").await;
    let again = Peer::start_at(folder.path(), &address, |_| {}).await;
    sensor.drained().await;
    assert_eq!(again.numbers(), all(1000));
}

#[tokio::test]
async fn what_does_not_fit_the_mapping_is_put_aside_with_the_reason_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path()).await;
    let mut sensor = Sensor::start(peer.settings());
    sensor.put(0..10);
    sensor.drained().await;
    sensor.intake.put(Operation::Index, INDEX, "261124-bad", b"{\"n\":{\"is\":\"an object\"}}");
    sensor.put(10..20);
    sensor.drained().await;
    assert_eq!(peer.numbers(), all(20));
    let refused = sensor.refused();
    assert_eq!((refused.len(), &refused[0]["type"]), (1, &json!("mapper_parsing_exception")));
    assert!(refused[0]["reason"].as_str().unwrap().contains("[n] of type [long]"), "{refused:?}");
    assert_eq!(refused[0]["document"], json!({"n": {"is": "an object"}}));
    sensor.until("counted", |state| state.refused == 1).await;
}

#[tokio::test]
async fn what_is_refused_stays_in_the_queue_while_it_cannot_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path()).await;
    let mut sensor = Sensor::start(peer.settings());
    let place = sensor.folder.path().join("refused.ndjson");
    // A folder where the file should be.
    std::fs::create_dir(&place).unwrap();
    sensor.put(0..5);
    sensor.drained().await;
    sensor.intake.put(Operation::Index, INDEX, "261124-bad", b"{\"n\":{}}");
    sensor.put(5..6);
    sensor.fails_with("documents that were refused cannot be written to").await;
    assert_eq!(sensor.intake.stats().waiting, 2);
    std::fs::remove_dir(&place).unwrap();
    sensor.drained().await;
    assert_eq!((sensor.refused().len(), peer.numbers()), (1, all(6)));
}

#[tokio::test]
async fn trouble_is_told_in_the_operators_words() {
    let folder = tempfile::tempdir().unwrap();
    let protected = |options: &mut peer::Options| options.user = Some(("malcolm".into(), "right".into()));
    let peer = Peer::start_at(folder.path(), "127.0.0.1:0", protected).await;
    let wrong = OpenSearch { user: "malcolm".to_owned(), password: String::from("hunter2").into(), ..peer.settings() };
    let mut sensor = Sensor::start(wrong);
    sensor.put(0..1);
    sensor.fails_with("does not know this user or password (401): check opensearch.user and opensearch.password_file").await;
    assert!(!sensor.state.borrow().hosts[0].last_error.contains("hunter2"));
    drop(sensor.stop.take());

    let right = OpenSearch { user: "malcolm".to_owned(), password: String::from("right").into(), ..peer.settings() };
    let mut sensor = Sensor::start(right);
    sensor.put(0..1);
    sensor.drained().await;
    drop(sensor.stop.take());

    let elsewhere = tempfile::tempdir().unwrap();
    let other = certificates::ensure(elsewhere.path(), Keys::Ecdsa).unwrap();
    Sensor::start(OpenSearch { ca: Some(other.ca), ..peer.settings() }).fails_with("is not signed by the CA in").await;
    Sensor::start(OpenSearch { verify: Verify::Full, ..peer.settings() }).fails_with("set opensearch.verify = \"chain\"").await;
    let plain = format!("http://{}", peer.address).parse().unwrap();
    Sensor::start(OpenSearch { hosts: vec![plain], ..peer.settings() }).fails_with("broke the connection").await;
}

#[tokio::test]
async fn an_expired_certificate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let expired = certificates::expired(&folder.path().join("expired"), Keys::Ecdsa).unwrap();
    let certificate = (expired.server.clone(), expired.server_key.clone());
    let peer = Peer::start_at(folder.path(), "127.0.0.1:0", |options| {
        if let Some(tls) = &mut options.tls {
            (tls.certificate, tls.key) = certificate;
        }
    })
    .await;
    let mut sensor = Sensor::start(OpenSearch { ca: Some(expired.ca), ..peer.settings() });
    sensor.fails_with("): renew it, or set the clock right").await;
}

#[tokio::test]
async fn nothing_is_sent_where_arkime_has_not_made_its_database() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start_at(folder.path(), "127.0.0.1:0", |options| options.database_version = None).await;
    let address = peer.address.to_string();
    let mut sensor = Sensor::start(peer.settings());
    sensor.put(0..10);
    sensor.fails_with("has no Arkime database yet").await;
    assert!(peer.counts.borrow().is_empty());
    peer.kill().await;
    let old = Peer::start_at(folder.path(), &address, |options| options.database_version = Some(70)).await;
    sensor.fails_with("version 70 of Arkime's database, which is too old").await;
    old.kill().await;
    // Malcolm 26.01: taken, with a warning.
    let older = Peer::start_at(folder.path(), &address, |options| options.database_version = Some(82)).await;
    sensor.drained().await;
    assert_eq!(older.numbers(), all(10));
}

#[tokio::test]
async fn hosts_share_the_work_and_stand_in_for_each_other() {
    let folders = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut first, mut second) = (Peer::start(folders.0.path()).await, Peer::start(folders.1.path()).await);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut settings = OpenSearch { bulk_bytes: 10_000, verify: Verify::None, ..first.settings() };
    settings.hosts.extend([second.settings().hosts[0].clone(), format!("https://{nobody}").parse().unwrap()]);
    let mut sensor = Sensor::start(settings);
    let mut sent = 0;
    while first.counts.borrow().is_empty() || second.counts.borrow().is_empty() {
        assert!(sent < 1_000_000, "one host gets everything");
        sensor.put(sent..sent + 1000);
        sent += 1000;
        sensor.drained().await;
    }
    first.has(1).await;
    second.has(1).await;
    first.faults.add_text("http-stall").unwrap();
    let had = first.numbers();
    sensor.put(sent..sent + 100);
    sent += 100;
    sensor.drained().await;
    let both: BTreeSet<u64> = first.numbers().union(&second.numbers()).copied().collect();
    assert_eq!(both, all(sent));
    assert_eq!(had, first.numbers());
    assert!(sensor.state.borrow().hosts.iter().any(|host| host.phase == crate::Phase::Connected));
}

#[tokio::test]
async fn changes_of_a_document_keep_their_order_whatever_goes_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path()).await;
    for fault in ["partial=429/1*2", "cut*1", "partial=503/2*1", "status=503*1"] {
        peer.faults.add_text(fault).unwrap();
    }
    let mut sensor = Sensor::start_with(peer.settings(), Order::Kept, quick(), |delivery| delivery);
    for number in 1..=20 {
        let id = format!("s-{number}");
        sensor.intake.put(Operation::Index, "arkime_files", &id, json!({"num": number}).to_string().as_bytes());
        sensor.intake.put(Operation::Update, "arkime_files", &id, b"{\"doc\":{\"filesize\":7}}");
        if number % 2 == 0 {
            sensor.intake.put(Operation::Delete, "arkime_files", &id, b"");
        }
        sensor.intake.flush();
    }
    sensor.drained().await;
    assert!(sensor.refused().is_empty(), "{:?}", sensor.refused());
    assert_eq!(peer.counts.borrow()["arkime_files"], 10);
    let last = peer.lines("arkime_files").into_iter().rfind(|line| line["_id"] == "s-19").unwrap();
    assert_eq!(last["_source"], json!({"num": 19, "filesize": 7}));
}

#[tokio::test]
async fn of_a_state_only_the_newest_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(folder.path()).await;
    let (newest, latest) = watch::channel(Vec::new());
    let mut sensor = Sensor::start_with(peer.settings(), Order::Kept, quick(), |delivery| delivery.with_latest(latest));
    sensor.until("connected", |state| state.hosts[0].phase == crate::Phase::Connected).await;
    for version in 1..=3 {
        let mut record = Vec::new();
        let document = json!({"cpu": version}).to_string();
        action::write(Operation::IndexVersion(version), "arkime_stats", "s", document.as_bytes(), &mut record);
        newest.send_replace(record);
        let there = |counts: &Counts| counts.contains_key("arkime_stats");
        timeout(DEADLINE, peer.counts.wait_for(there)).await.unwrap().unwrap();
    }
    let polled = async {
        while peer.lines("arkime_stats").last().is_none_or(|line| line["_source"]["cpu"] != 3) {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, polled).await.unwrap();
}

/// A proxy that answers a request of more than `most` bytes with 413 as soon as it has read its head, and hangs up on the rest.
async fn rude_proxy(most: usize) -> (SocketAddr, watch::Receiver<usize>) {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (documents, taken) = watch::channel(0);
    let documents = Arc::new(documents);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let documents = Arc::clone(&documents);
            tokio::spawn(async move {
                let mut stream = BufReader::new(tcp);
                loop {
                    let (mut length, mut line) = (0, String::new());
                    while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {
                        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                            length = text.trim().parse().unwrap();
                        }
                        line.clear();
                    }
                    if line.is_empty() {
                        return;
                    }
                    if length > most {
                        let _ = stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
                        return;
                    }
                    let mut body = vec![0; length];
                    stream.read_exact(&mut body).await.unwrap();
                    let count = body.iter().filter(|byte| **byte == b'\n').count() / 2;
                    let items = vec![json!({"index": {"status": 201}}); count];
                    let answer =
                        json!({"items": items, "arkime_sessions3_template": {"mappings": {"_meta": {"molochDbVersion": 86}}}}).to_string();
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
                    stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
                    documents.send_modify(|all| *all += count);
                }
            });
        }
    });
    (address, taken)
}

#[tokio::test]
async fn a_proxy_that_hangs_up_on_what_is_too_large_gets_less() {
    let (address, mut taken) = rude_proxy(100_000).await;
    let hosts = vec![format!("http://{address}").parse().unwrap()];
    let mut sensor = Sensor::start(OpenSearch { hosts, compression: 0, ..OpenSearch::default() });
    for number in 0..2000 {
        let document = json!({"n": number, "text": "x".repeat(2000)}).to_string();
        sensor.intake.put(Operation::Index, INDEX, &number.to_string(), document.as_bytes());
    }
    sensor.intake.flush();
    sensor.drained().await;
    timeout(DEADLINE, taken.wait_for(|taken| *taken >= 2000)).await.unwrap().unwrap();
    assert!(sensor.refused().is_empty());
}
