//! The event around a line, as Filebeat makes it: text, file, offset, tags, and who sent it.

use std::io::Write as _;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{Input, Marks};

/// The version that events name: that of the Filebeat which a Malcolm 26.08 sensor runs.
const BEAT_VERSION: &str = "9.5.0";

/// What all events of one input have in common.
pub(crate) struct Envelope {
    /// Members after the ones that differ, without the opening brace.
    tail: String,
}

impl Envelope {
    /// For events of a machine that is called `name`.
    pub(crate) fn new(input: &Input, name: &str) -> Self {
        Self::marked(input, name, &Marks::default())
    }

    /// For events that have marks of their own.
    pub(crate) fn marked(input: &Input, name: &str, marks: &Marks) -> Self {
        let mut members = Map::new();
        if !input.fields_under_root && !input.fields.is_empty() {
            members.insert("fields".to_owned(), Value::Object(input.fields.clone()));
        }
        let tags: Vec<&String> = input.tags.iter().chain(&marks.tags).collect();
        members.insert("tags".to_owned(), json!(tags));
        members.insert("input".to_owned(), json!({"type": input.kind.word()}));
        members.insert("ecs".to_owned(), json!({"version": "8.0.0"}));
        members.insert("host".to_owned(), json!({"name": name}));
        members.insert("agent".to_owned(), json!({"name": name, "type": "filebeat", "version": BEAT_VERSION}));
        if input.fields_under_root {
            // As documented for Filebeat: a field of the operator's wins over one of the same name.
            members.extend(input.fields.clone());
        }
        if let Some(site) = &marks.site {
            members.insert("netbox".to_owned(), json!({"site": site}));
        }
        Self { tail: Value::Object(members).to_string().split_off(1) }
    }

    /// Appends the event of a line. `offset` is where the line begins in its file.
    pub(crate) fn write(&self, at: Timestamp, line: &[u8], path: &Path, offset: u64, out: &mut Vec<u8>) {
        let message = String::from_utf8_lossy(line);
        // Writing into a Vec does not fail.
        let _ = write!(
            out,
            "{{\"@timestamp\":\"{at:.3}\",\"@metadata\":{{\"beat\":\"filebeat\",\"type\":\"_doc\",\"version\":\"{BEAT_VERSION}\"}},\"message\":"
        );
        let _ = serde_json::to_writer(&mut *out, &message);
        let _ = write!(out, ",\"log\":{{\"offset\":{offset},\"file\":{{\"path\":");
        let _ = serde_json::to_writer(&mut *out, &path.to_string_lossy());
        let _ = write!(out, "}}}},{}", self.tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(input: &Input, line: &[u8]) -> Value {
        let mut out = Vec::new();
        Envelope::new(input, "box").write(Timestamp::UNIX_EPOCH, line, Path::new("/var/zeek/co\"nn.log"), 17, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_line_is_wrapped_with_its_place_and_the_inputs_tags() {
        let input = Input { tags: vec!["a".to_owned()], ..Input::default() };
        let event = event(&input, b"1\t\xff");
        assert_eq!(event["message"], "1\t\u{fffd}");
        assert_eq!(event["log"], json!({"offset": 17, "file": {"path": "/var/zeek/co\"nn.log"}}));
        assert_eq!((&event["tags"], &event["host"]["name"], &event["input"]["type"]), (&json!(["a"]), &json!("box"), &json!("log")));
    }

    #[test]
    fn fields_stand_at_the_root_only_when_they_are_to() {
        let fields = json!({"site": "7"}).as_object().unwrap().clone();
        let below = Input { fields, ..Input::default() };
        assert_eq!(event(&below, b"x")["fields"]["site"], "7");
        assert_eq!(event(&Input { fields_under_root: true, ..below }, b"x")["site"], "7");
    }
}
