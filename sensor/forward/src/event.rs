//! The event around a record: what Filebeat on a Malcolm sensor sends, field by field (contract B1).
//!
//! Malcolm's Logstash routes by `tags` alone, takes the log's type from the base name of `log.file.path`, and parses
//! `message`, which is the raw line.

use std::io::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use settings::Node;

/// The version that `@metadata` names: that of the Filebeat which a Malcolm 26.08 sensor runs.
const BEAT_VERSION: &str = "9.5.0";

/// Everything about events that is the same for the whole run.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// JSON members that follow `log`, per stream: tags, host, agent, NetBox site; with the closing brace.
    zeek: String,
    suricata: String,
    filescan: Value,
    metrics: Value,
    /// The path that Suricata's log would have.
    suricata_path: String,
}

impl Envelope {
    /// For a sensor that started at `started`, nanoseconds since 1970.
    #[must_use]
    pub fn new(node: &Node, started: i128) -> Self {
        let tail = |tags: &[&str]| {
            let Value::Object(members) = members(node, tags) else { return String::new() };
            // Written after other members: without the opening brace.
            Value::Object(members).to_string().split_off(1)
        };
        let time = Timestamp::from_nanosecond(started).unwrap_or_default();
        Self {
            // Both tags: the first routes, the second says that the sensor is remote and serves its carved files.
            zeek: tail(&["_filebeat_zeek_malcolm_live", "_filebeat_zeek_hedgehog"]),
            suricata: tail(&["_filebeat_suricata_malcolm_live"]),
            filescan: members(node, &["_filebeat_filescan", "_filebeat_filescan_hedgehog"]),
            // The first routes, the second says what it is.
            metrics: members(node, &["_malcolm_beats", "_malcolm_miscbeat"]),
            suricata_path: format!("/suricata/live/eve-{}.json", time.strftime("%Y%m%d_%H%M%S")),
        }
    }

    /// Appends the event of one line of a Zeek log. `log` is the log's name (`conn`), `at` nanoseconds since 1970, `line` JSON
    /// or TSV without its line break. Bytes that are not UTF-8 become U+FFFD, since JSON has no other place for them.
    pub fn zeek(&self, log: &str, at: i128, line: &[u8], out: &mut Vec<u8>) {
        lined(&format_args!("/zeek/live/spool/logger-1/{log}.log"), at, line, &self.zeek, out);
    }

    /// Appends the event of one EVE object.
    pub fn suricata(&self, at: i128, line: &[u8], out: &mut Vec<u8>) {
        lined(&self.suricata_path, at, line, &self.suricata, out);
    }

    /// Appends the event of one scan result, which stands at the root of the event (contract B3).
    pub fn filescan(&self, at: i128, result: &Map<String, Value>, out: &mut Vec<u8>) {
        let mut event = Map::new();
        event.insert("@timestamp".to_owned(), Value::String(time(at)));
        event.insert("@metadata".to_owned(), metadata());
        event.extend(result.clone());
        if let Value::Object(members) = &self.filescan {
            event.extend(members.clone());
        }
        // Writing a Value into a Vec does not fail.
        let _ = serde_json::to_writer(out, &event);
    }

    /// Appends the event of one measurement: of `module`, as Fluent Bit on a Malcolm sensor names it (contract B4).
    pub fn metric(&self, at: i128, module: &str, measured: &Value, out: &mut Vec<u8>) {
        let mut event = Map::new();
        event.insert("@timestamp".to_owned(), Value::String(time(at)));
        event.insert("@metadata".to_owned(), metadata());
        // The module and the member under which its values stand differ for file systems alone.
        let member = if module == "df" { "disk" } else { module };
        event.insert("miscbeat".to_owned(), json!({"date": at as f64 / 1e9, "module": module, member: measured}));
        if let Value::Object(members) = &self.metrics {
            event.extend(members.clone());
        }
        // Writing a Value into a Vec does not fail.
        let _ = serde_json::to_writer(out, &event);
    }
}

fn lined(path: &impl std::fmt::Display, at: i128, line: &[u8], tail: &str, out: &mut Vec<u8>) {
    let message = String::from_utf8_lossy(line);
    // None of these writes into a Vec can fail; paths and times hold nothing that JSON would escape.
    let _ = write!(out, "{{\"@timestamp\":\"{}\",\"@metadata\":{},\"message\":", time(at), METADATA);
    let _ = serde_json::to_writer(&mut *out, &message);
    let _ = write!(out, ",\"log\":{{\"file\":{{\"path\":\"{path}\"}}}},{tail}");
}

/// Milliseconds, as Filebeat writes them.
fn time(at: i128) -> String {
    format!("{:.3}", Timestamp::from_nanosecond(at).unwrap_or_default())
}

const METADATA: &str = r#"{"beat":"filebeat","type":"_doc","version":"9.5.0"}"#;

fn metadata() -> Value {
    json!({"beat": "filebeat", "type": "_doc", "version": BEAT_VERSION})
}

fn members(node: &Node, tags: &[&str]) -> Value {
    let tags: Vec<&str> = tags.iter().copied().chain(node.tags.iter().map(String::as_str)).collect();
    let mut members = json!({
        "tags": tags,
        "host": {"name": node.name},
        "agent": {"name": node.name, "type": "filebeat", "version": BEAT_VERSION},
    });
    if !node.site.is_empty()
        && let Some(members) = members.as_object_mut()
    {
        members.insert("netbox".to_owned(), json!({"site": node.site}));
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(site: &str) -> Envelope {
        let node = Node { name: "sensor-1".to_owned(), site: site.to_owned(), tags: vec!["plant".to_owned()] };
        Envelope::new(&node, 1_767_225_600_000_000_000)
    }

    fn parsed(build: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut out = Vec::new();
        build(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_zeek_line_is_wrapped_as_filebeat_wraps_it() {
        let event = parsed(|out| envelope("7").zeek("conn", 1_700_000_000_123_456_789, b"{\"ts\":1.5,\"q\":\"a\\\"b\"}", out));
        assert_eq!(
            event,
            json!({
                "@timestamp": "2023-11-14T22:13:20.123Z",
                "@metadata": {"beat": "filebeat", "type": "_doc", "version": "9.5.0"},
                "message": "{\"ts\":1.5,\"q\":\"a\\\"b\"}",
                "log": {"file": {"path": "/zeek/live/spool/logger-1/conn.log"}},
                "tags": ["_filebeat_zeek_malcolm_live", "_filebeat_zeek_hedgehog", "plant"],
                "host": {"name": "sensor-1"},
                "agent": {"name": "sensor-1", "type": "filebeat", "version": "9.5.0"},
                "netbox": {"site": "7"},
            })
        );
    }

    #[test]
    fn metadata_is_the_same_in_both_ways_of_writing_it() {
        assert_eq!(serde_json::from_str::<Value>(METADATA).unwrap(), metadata());
    }

    #[test]
    fn without_a_site_there_is_no_netbox() {
        assert!(parsed(|out| envelope("").zeek("dns", 0, b"x\ty", out)).get("netbox").is_none());
    }

    #[test]
    fn an_eve_object_names_a_file_that_suricata_could_have_written() {
        let event = parsed(|out| envelope("").suricata(0, b"{}", out));
        assert_eq!(event["log"]["file"]["path"], "/suricata/live/eve-20260101_000000.json");
        assert_eq!(event["tags"][0], "_filebeat_suricata_malcolm_live");
    }

    #[test]
    fn a_scan_result_stands_at_the_root() {
        let Value::Object(result) = json!({"id": "1", "file": {"size": 3}, "service": {"type": "zeek"}}) else { unreachable!() };
        let event = parsed(|out| envelope("").filescan(0, &result, out));
        assert_eq!((&event["id"], &event["file"]["size"], &event["host"]["name"]), (&json!("1"), &json!(3), &json!("sensor-1")));
        assert_eq!(event["tags"], json!(["_filebeat_filescan", "_filebeat_filescan_hedgehog", "plant"]));
    }

    #[test]
    fn a_measurement_stands_under_miscbeat_and_its_module() {
        let event = parsed(|out| envelope("").metric(1_500_000_000, "mem", &json!({"Mem": {"used": 1}}), out));
        assert_eq!(event["miscbeat"], json!({"date": 1.5, "module": "mem", "mem": {"Mem": {"used": 1}}}));
        assert_eq!(event["tags"], json!(["_malcolm_beats", "_malcolm_miscbeat", "plant"]));
        let event = parsed(|out| envelope("").metric(0, "df", &json!({"df": {"details": []}}), out));
        assert_eq!(event["miscbeat"]["disk"], json!({"df": {"details": []}}));
    }

    #[test]
    fn bytes_that_are_not_utf8_do_not_break_the_event() {
        assert_eq!(parsed(|out| envelope("").zeek("weird", 0, b"a\xffb\n", out))["message"], "a\u{fffd}b\n");
    }
}
