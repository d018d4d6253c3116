use std::path::PathBuf;

use analyze::Time;
use serde_json::{Value, json};
use spool::{Options, Writer};

use super::*;

/// The records that `put` puts into a queue: action and document.
fn records(put: impl FnOnce(&mut Intake)) -> Vec<(Value, Value)> {
    let folder = tempfile::tempdir().unwrap();
    let spool = Writer::open(folder.path(), Options::with_budget(16 << 20)).unwrap();
    let mut reader = spool.reader("test").unwrap();
    let mut intake = Intake::new(spool, "documents");
    put(&mut intake);
    intake.flush();
    let batch = reader.read(1000, 1 << 20).unwrap();
    let lines = |record: &[u8]| {
        let mut lines = record.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap_or(Value::Null));
        (lines.next().unwrap(), lines.next().unwrap())
    };
    batch.iter().map(lines).collect()
}

#[test]
fn the_life_of_a_capture_file_becomes_documents_and_pushes_the_number_on() {
    let path = PathBuf::from("/data/tenrec-eth1-x-00000007.pcap");
    let first = Time::from_micros(1_700_000_000_123_456);
    let told = records(|intake| {
        let files = Files::new("s");
        files.tell(&FileEvent::Begun { number: 7, path: path.clone(), first }, intake);
        let last = Time::from_secs(1_700_000_100);
        files.tell(&FileEvent::Ended { number: 7, path: path.clone(), bytes: 500, uncompressed: 900, packets: 3, last }, intake);
        files.tell(&FileEvent::Deleted { number: 7, path: path.clone() }, intake);
    });
    assert_eq!(told.len(), 4);
    let (action, document) = &told[0];
    assert_eq!(*action, json!({"index": {"_index": "arkime_files", "_id": "s-7"}}));
    assert_eq!((&document["num"], &document["name"], &document["first"]), (&json!(7), &json!(path), &json!(1_700_000_000)));
    assert_eq!((&document["packetPosEncoding"], &document["locked"]), (&json!("gap0"), &json!(0)));
    assert_eq!(document["firstTimestamp"], json!(1_700_000_000_123_i64));
    let sequence = json!({"index": {"_index": "arkime_sequence", "_id": "fn-s", "version": 7, "version_type": "external"}});
    assert_eq!(told[1], (sequence, json!({})));
    assert_eq!(told[2].0, json!({"update": {"_index": "arkime_files", "_id": "s-7"}}));
    let closed = &told[2].1["doc"];
    assert_eq!((&closed["filesize"], &closed["packetsSize"], &closed["packets"]), (&json!(500), &json!(900), &json!(3)));
    assert_eq!(told[3].0, json!({"delete": {"_index": "arkime_files", "_id": "s-7"}}));
}

#[test]
fn a_file_of_an_earlier_run_completes_what_is_there_and_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenrec-eth1-x-00000003.pcap.lz4");
    std::fs::write(&path, "seven b").unwrap();
    let told = records(|intake| {
        // With its index it takes more.
        Files::new("s").tell(&FileEvent::Found { number: 3, path, first: Time::from_secs(1), bytes: 10 }, intake);
    });
    assert_eq!(told[0].1["doc"]["filesize"], json!(7));
    assert_eq!(told[0].0, json!({"update": {"_index": "arkime_files", "_id": "s-3"}}));
    assert_eq!((&told[0].1["doc_as_upsert"], &told[0].1["doc"]["compression"]), (&json!(true), &json!("lz4")));
    assert_eq!(told[0].1["doc"].get("startTimestamp"), None);
}
