//! Which file an event belongs into.

use serde::Deserialize;

/// The parts of an event that say where it comes from; everything else is left as it is.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default, borrow)]
    log: Option<Log<'a>>,
    #[serde(default, borrow)]
    tags: Vec<std::borrow::Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Log<'a> {
    #[serde(default, borrow)]
    file: Option<LogFile<'a>>,
}

#[derive(Deserialize)]
struct LogFile<'a> {
    #[serde(default, borrow)]
    path: Option<std::borrow::Cow<'a, str>>,
}

/// The name of an event's stream: the log's name for Zeek (`conn`), `eve` for Suricata, `filescan`, `metrics`, or `other`
/// for an object of another kind. `None` for what is no JSON object. The name is safe to be a file name.
#[must_use]
pub fn stream_of(event: &[u8]) -> Option<String> {
    let head: Head<'_> = serde_json::from_slice(event).ok()?;
    let tagged = |prefix: &str| head.tags.iter().any(|tag| tag.starts_with(prefix));
    if tagged("_filebeat_suricata") {
        return Some("eve".to_owned());
    }
    if tagged("_filebeat_filescan") {
        return Some("filescan".to_owned());
    }
    if tagged("_malcolm_miscbeat") {
        return Some("metrics".to_owned());
    }
    let path = head.log.and_then(|log| log.file).and_then(|file| file.path).unwrap_or_default();
    let base = path.rsplit('/').next().unwrap_or_default();
    let name = base.strip_suffix(".log").unwrap_or(base);
    let safe: String = name.chars().take(64).map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect();
    Some(if safe.is_empty() { "other".to_owned() } else { safe })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(event: &str, expected: Option<&str>) {
        assert_eq!(stream_of(event.as_bytes()).as_deref(), expected, "{event}");
    }

    #[test]
    fn streams_are_named_by_tag_and_by_file() {
        check(r#"{"tags":["_filebeat_zeek_hedgehog"],"log":{"file":{"path":"/zeek/live/spool/logger-1/conn.log"}}}"#, Some("conn"));
        check(r#"{"tags":["_filebeat_suricata_malcolm_live"],"log":{"file":{"path":"/suricata/live/eve-1.json"}}}"#, Some("eve"));
        check(r#"{"tags":["x","_filebeat_filescan"]}"#, Some("filescan"));
        check(r#"{"tags":["_malcolm_beats","_malcolm_miscbeat"]}"#, Some("metrics"));
        check(r#"{"a":1}"#, Some("other"));
    }

    #[test]
    fn no_name_leaves_the_folder() {
        check(r#"{"log":{"file":{"path":"/a/../../etc\\x.log"}}}"#, Some("etc_x"));
        check(r#"{"log":{"file":{"path":"/a/.."}}}"#, Some("__"));
    }

    #[test]
    fn what_is_no_object_has_no_stream() {
        check("hello", None);
        check("{\"a\":", None);
    }
}
