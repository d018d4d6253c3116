//! Delivers lines of files as the daemon would, and ends when they are acknowledged: for tests against other people's
//! receivers, without an interface to capture from.
//!
//! `cargo run -p forward --example deliver -- --settings FILE [--log NAME=FILE]... [--documents INDEX=FILE]...`
//!
//! Lines of `--log` go by Lumberjack as the settings' `[forward]` says, documents to OpenSearch as `[opensearch]` says; the
//! id of a document is the number of its line.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a tool of tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use forward::Intake;
use forward::opensearch::{Delivery, Operation, Order};
use forward::{Envelope, Forwarder, Shipper};
use settings::Settings;
use spool::{Options, Writer};
use tokio::time::timeout;

/// How long it may take in all.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut settings, mut logs, mut documents) = (None, Vec::new(), Vec::new());
    while let (Some(option), Some(value)) = (arguments.next(), arguments.next()) {
        let named = || value.split_once('=').map(|(name, file)| (name.to_owned(), PathBuf::from(file))).unwrap();
        match option.as_str() {
            "--settings" => settings = Some(Settings::load(Path::new(&value)).unwrap_or_else(|error| panic!("{error}"))),
            "--log" => logs.push(named()),
            "--documents" => documents.push(named()),
            other => panic!("there is no option {other}"),
        }
    }
    let settings = settings.unwrap();
    let folder = tempfile::tempdir().unwrap();
    timeout(PATIENCE, async {
        if !logs.is_empty() {
            by_lumberjack(&settings, &folder.path().join("logs"), &logs).await;
        }
        if !documents.is_empty() {
            to_opensearch(&settings, folder.path(), &documents).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("not everything was acknowledged within {} seconds", PATIENCE.as_secs()));
}

async fn by_lumberjack(settings: &Settings, folder: &Path, logs: &[(String, PathBuf)]) {
    let mut spool = Writer::open(folder, Options::with_budget(256 << 20)).unwrap();
    let forwarder = Forwarder::new(settings.forward.clone(), spool.reader("forward").unwrap());
    spool.on_append(forwarder.waker());
    let state = forwarder.state();
    let task = tokio::spawn(forwarder.run(std::future::pending()));
    let mut shipper = Shipper::new(Envelope::new(&settings.node, 0), spool);
    for (name, file) in logs {
        for (number, line) in (0..).zip(std::fs::read_to_string(file).unwrap().lines()) {
            shipper.zeek(name, number * 1_000_000_000, line.as_bytes());
        }
    }
    shipper.flush();
    until(|| shipper.stats().waiting == 0, || format!("{:?}", state.borrow())).await;
    task.abort();
}

async fn to_opensearch(settings: &Settings, folder: &Path, documents: &[(String, PathBuf)]) {
    let mut spool = Writer::open(&folder.join("documents"), Options::with_budget(256 << 20)).unwrap();
    let reader = spool.reader("bulk").unwrap();
    let delivery = Delivery::new(settings.opensearch.clone(), Order::Free, reader, folder.join("refused.ndjson"));
    spool.on_append(delivery.waker());
    let state = delivery.state();
    let task = tokio::spawn(delivery.run(std::future::pending()));
    let mut intake = Intake::new(spool, "documents");
    for (index, file) in documents {
        for (number, line) in std::fs::read_to_string(file).unwrap().lines().enumerate() {
            intake.put(Operation::Index, index, &number.to_string(), line.as_bytes());
        }
    }
    intake.flush();
    until(|| intake.stats().waiting == 0, || format!("{:?}", state.borrow().hosts)).await;
    let refused = state.borrow().refused;
    task.abort();
    assert!(refused == 0, "{refused} documents were refused: {}", std::fs::read_to_string(folder.join("refused.ndjson")).unwrap());
}

/// Looks again and again; tells each new state on standard error.
async fn until(holds: impl Fn() -> bool, state: impl Fn() -> String) {
    let mut told = String::new();
    while !holds() {
        let now = state();
        if now != told {
            eprintln!("{now}");
            told = now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
