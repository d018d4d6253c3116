//! The record of a scan, in the form that a Malcolm collector accepts (contract B3): one event per file, with the files.log
//! record as a JSON *string* inside. Since 26.04 results are a list; 26.01 takes one alone.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use settings::Malcolm;
use sha2::{Digest as _, Sha256};

use crate::Verdict;

/// What is known of a scanned file besides the verdict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileFacts {
    /// Name of the carved file, Malcolm's pattern.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// MIME type by content; empty when unknown.
    pub mime: String,
    /// MD5 in hexadecimal; empty when unknown.
    pub md5: String,
    /// SHA-1 in hexadecimal; empty when unknown.
    pub sha1: String,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// The file's line of files.log in JSON form.
    pub record: Map<String, Value>,
}

/// The event of a verdict that was given at `at` (nanoseconds since 1970) on the sensor `node`. Tags and host are added by
/// the envelope that every event gets.
///
/// The same file and time give the same event: its id is made of them, so that a repetition is the same document.
#[must_use]
pub fn event(facts: &FileFacts, verdict: &Verdict, node: &settings::Node, at: i128) -> Map<String, Value> {
    // Seconds of a scan are few; what does not fit is a broken clock.
    let took = i128::from((verdict.seconds * 1e9) as i64);
    let (start, end) = (time(at - took), time(at));
    let id = id(&["scan", &facts.name, &facts.sha256, &end]);
    let tree = id_of_tree(facts);
    let record = record(facts, node);
    let mime = if facts.mime.is_empty() { "application/octet-stream" } else { &facts.mime };
    let mut scan = Map::new();
    for scanner in &verdict.scanners {
        let names: Vec<&str> = verdict.matches.iter().filter(|found| found.scanner == *scanner).map(|found| found.name.as_str()).collect();
        scan.insert(scanner.clone(), json!({"elapsed": verdict.seconds, "matches": names}));
    }
    let rules: Vec<Value> = verdict
        .matches
        .iter()
        .map(|found| json!({"scanner": found.scanner, "name": found.name, "author": found.author, "tags": found.tags}))
        .collect();
    let result = json!({
        "file": {
            "name": facts.name,
            "mime_type": [mime],
            "size": facts.size,
            "hash": hashes(facts),
            "tree": {"root": tree, "node": tree, "parent": null, "depth": 0},
            "flavors": {"mime": [mime]},
        },
        "scanners": verdict.scanners,
        "flags": if verdict.errors.is_empty() { json!([]) } else { json!(["scan_failed"]) },
        "rules": rules,
        "scan": scan,
        "request": {"source": "zeek", "attributes": {"filename": facts.name, "metadata": {"record": record}}},
    });
    let event = json!({
        "id": id,
        "start": start,
        "end": end,
        // The file on disk says "source": "zeek"; Filebeat renames it, since a text would collide with source.ip.
        "service": {"type": "zeek"},
        "file": {"path": format!("/zeek/extract_files/{}", facts.name), "size": facts.size, "sha256": facts.sha256, "mime_type": mime},
        "metadata": {"record": record},
        "results": {"strelka": {"start": start, "end": end, "errors": verdict.errors}},
    });
    let Value::Object(mut event) = event else { return Map::new() };
    let (name, value) = if node.malcolm == Malcolm::V2601 { ("result", result) } else { ("results", json!([result])) };
    if let Some(Value::Object(strelka)) = event.get_mut("results").and_then(|results| results.get_mut("strelka")) {
        strelka.insert(name.to_owned(), value);
    }
    event
}

/// The text that the collector parses to find the connection. Its `ts` must be ISO 8601: a number falls through to `start`.
fn record(facts: &FileFacts, node: &settings::Node) -> String {
    let mut file = facts.record.clone();
    if let Some(ts) = file.get("ts").and_then(Value::as_f64) {
        file.insert("ts".to_owned(), Value::String(time((ts * 1e6).round() as i128 * 1000)));
    }
    file.insert("_path".to_owned(), Value::String("files".to_owned()));
    let tags = if node.tags.is_empty() { String::new() } else { format!("({})", node.tags.join(",")) };
    let mut record = json!({
        "file": file,
        "host": {"name": node.name},
        "log": {"file": {"path": format!("/zeek/live/spool/logger-1/json_streaming_files{tags}.1.log")}},
    });
    if !node.site.is_empty()
        && let Some(record) = record.as_object_mut()
    {
        record.insert("netbox".to_owned(), json!({"site": node.site}));
    }
    record.to_string()
}

fn hashes(facts: &FileFacts) -> Value {
    let known = [("md5", &facts.md5), ("sha1", &facts.sha1), ("sha256", &facts.sha256)];
    Value::Object(known.into_iter().filter(|(_, hash)| !hash.is_empty()).map(|(name, hash)| (name.to_owned(), json!(hash))).collect())
}

fn id_of_tree(facts: &FileFacts) -> String {
    id(&["tree", &facts.name, &facts.sha256])
}

/// A UUID made of a name (RFC 9562 §5.8: version 8 leaves the bits to the maker).
fn id(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\0").as_bytes());
    let mut bits = u128::from_be_bytes(digest.first_chunk::<16>().copied().unwrap_or_default());
    bits = bits & !(0xf << 76) | 0x8 << 76;
    bits = bits & !(0x3 << 62) | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

fn time(at: i128) -> String {
    format!("{:.6}", Timestamp::from_nanosecond(at).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Match, Outcome};

    fn facts() -> FileFacts {
        let Value::Object(record) = json!({"ts": 1_700_000_000.25, "fuid": "Fx", "uid": "Cx", "id.orig_h": "10.0.0.1"}) else {
            unreachable!()
        };
        FileFacts {
            name: "HTTP-Fx-Cx-20231114221320.exe".into(),
            size: 5,
            mime: "application/x-dosexec".into(),
            sha256: "ab".repeat(32),
            record,
            ..FileFacts::default()
        }
    }

    fn verdict() -> Verdict {
        let found =
            Match { scanner: "yara".into(), name: "R".into(), tags: vec!["t".into()], author: vec!["a".into()], ..Match::default() };
        Verdict {
            outcome: Outcome::Matched,
            matches: vec![found],
            scanners: vec!["yara".into(), "clamav".into()],
            seconds: 0.5,
            ..Verdict::default()
        }
    }

    #[test]
    fn the_event_has_what_the_collector_asks_for() {
        let node = settings::Node { name: "n".into(), site: "3".into(), tags: vec!["a".into(), "b".into()], ..Default::default() };
        let event = Value::Object(event(&facts(), &verdict(), &node, 1_700_000_001_000_000_000));
        assert_eq!((&event["start"], &event["end"]), (&json!("2023-11-14T22:13:20.500000Z"), &json!("2023-11-14T22:13:21.000000Z")));
        assert_eq!(event["service"]["type"], "zeek");
        let result = &event["results"]["strelka"]["results"][0];
        assert_eq!(result["rules"], json!([{"scanner": "yara", "name": "R", "author": ["a"], "tags": ["t"]}]));
        assert_eq!(result["scan"]["yara"]["matches"], json!(["R"]));
        assert_eq!(result["scan"]["clamav"]["matches"], json!([]));
        assert_eq!(result["file"]["hash"], json!({"sha256": "ab".repeat(32)}));
        let record: Value = serde_json::from_str(event["metadata"]["record"].as_str().unwrap()).unwrap();
        assert_eq!(record["file"]["ts"], "2023-11-14T22:13:20.250000Z");
        assert_eq!((&record["file"]["_path"], &record["file"]["id.orig_h"]), (&json!("files"), &json!("10.0.0.1")));
        assert_eq!((&record["host"]["name"], &record["netbox"]["site"]), (&json!("n"), &json!("3")));
        assert_eq!(record["log"]["file"]["path"], "/zeek/live/spool/logger-1/json_streaming_files(a,b).1.log");
    }

    #[test]
    fn malcolm_26_01_takes_one_result_and_later_ones_a_list() {
        let of = |malcolm| Value::Object(event(&facts(), &verdict(), &settings::Node { malcolm, ..Default::default() }, 0));
        let (old, new) = (of(Malcolm::V2601), of(Malcolm::V2605));
        assert_eq!(old["results"]["strelka"]["result"], new["results"]["strelka"]["results"][0]);
        assert!(old["results"]["strelka"].get("results").is_none() && new["results"]["strelka"].get("result").is_none());
    }

    #[test]
    fn the_same_scan_has_the_same_id_and_another_has_another() {
        let node = settings::Node::default();
        let id = |at| event(&facts(), &verdict(), &node, at)["id"].as_str().unwrap().to_owned();
        assert_eq!(id(5_000_000_000), id(5_000_000_000));
        assert_ne!(id(5_000_000_000), id(6_000_000_000));
        let id = id(0);
        let shape: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(shape, [8, 4, 4, 4, 12]);
        assert!(id.as_bytes()[14] == b'8' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
}
