//! Reads a `filebeat.yml`: inputs of type `log` and `filestream`, and `output.logstash`.
//!
//! Every option is one of four: taken; without effect here, for a reason that its table gives; asking for what would change
//! what is sent and is not to be had, which is refused; or unknown, which is told. Names and defaults are those of Filebeat 9
//! (its reference, "log input", "filestream input" and "Logstash output").

use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::bytes::Regex;
use serde_json::{Map, Value};
use settings::{Forward, Host, Verify};

use crate::{Error, Input, Kind};

/// What a `filebeat.yml` asks for.
#[derive(Debug)]
pub struct Configuration {
    /// What to follow.
    pub inputs: Vec<Input>,
    /// Where to send it.
    pub forward: Forward,
    /// `name`: of this machine, in events.
    pub name: Option<String>,
    /// `path.data`: where to keep what was read.
    pub data: Option<PathBuf>,
    /// What the operator should know: options that are unknown or have no effect.
    pub notes: Vec<String>,
}

/// Options of an input that change nothing here: a file is read to its end and known by its inode whatever they say.
const WITHOUT_EFFECT: &[&str] = &[
    "close_renamed",
    "close_removed",
    "close_eof",
    "close_timeout",
    "clean_removed",
    "clean_renamed",
    "backoff",
    "max_backoff",
    "backoff_factor",
    "harvester_limit",
    "harvester_buffer_size",
    "buffer_size",
    "scan.sort",
    "scan.order",
    "enabled",
    "id",
    "symlinks",
    "recursive_glob.enabled",
    "close.on_state_change.renamed",
    "close.on_state_change.removed",
    "close.reader.on_eof",
    "close.reader.after_interval",
    "clean_on_removed",
    "prospector.scanner.symlinks",
    "prospector.scanner.recursive_glob",
    "prospector.scanner.resend_on_touch",
    "prospector.scanner.fingerprint.enabled",
    "prospector.scanner.fingerprint.offset",
    "prospector.scanner.fingerprint.length",
    "file_identity.native",
    "file_identity.fingerprint",
    "file_identity.path",
    "allow_deprecated_use",
    "take_over",
    "take_over.enabled",
    "publisher_pipeline.disable_host",
    "keep_null",
];

/// Options whose absence would change what is sent: an operator must not think that they are at work.
const REFUSED: &[(&str, &str)] = &[
    ("multiline", "events of several lines are not known: leave it out, and one line is one event"),
    ("parsers", "parsers are not known: leave it out, and one line is one event"),
    ("json", "lines are sent as they are: leave it out, and have them parsed at the collector"),
    ("processors", "processors are not known: leave it out, and do what they do at the collector"),
    ("pipeline", "there is no ingest pipeline behind Lumberjack: leave it out"),
    ("index", "an index of its own is not known: leave it out"),
    ("key_passphrase", "an encrypted key cannot be used: decrypt it into a file that only this program may read"),
    ("ca_trusted_fingerprint", "a fingerprint of the CA is not known: name its file in ssl.certificate_authorities"),
    ("proxy_url", "proxies are not known: leave it out"),
];

impl Configuration {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Configuration`] with the option and what to do.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |problem: String| Error::Configuration { path: path.to_owned(), problem };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        Self::parse(&text).map_err(wrong)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let root: Value = serde_saphyr::from_str(text).map_err(|error| format!("is no YAML: {error}"))?;
        let mut options = Map::new();
        flatten("", &root, &mut options);
        let mut it = Self {
            inputs: Vec::new(),
            forward: Forward { enabled: true, tls: false, ..Forward::default() },
            name: None,
            data: None,
            notes: Vec::new(),
        };
        let Some(Value::Array(inputs)) = options.remove("filebeat.inputs") else {
            return Err("filebeat.inputs names nothing to follow".to_owned());
        };
        for (number, input) in inputs.iter().enumerate() {
            it.input(&format!("filebeat.inputs[{number}]"), input)?;
        }
        if it.inputs.is_empty() {
            return Err("no input is enabled in filebeat.inputs".to_owned());
        }
        for (name, value) in options {
            match name.split_once("output.logstash.").filter(|(before, _)| before.is_empty()) {
                Some((_, option)) => it.output(option, &value)?,
                None => it.global(&name, &value)?,
            }
        }
        if it.forward.hosts.is_empty() {
            return Err("output.logstash.hosts names no collector".to_owned());
        }
        if !it.forward.tls {
            it.notes.push("the connection to the collector is not encrypted: set output.logstash.ssl.enabled: true".to_owned());
        } else if it.forward.verify == Verify::None {
            it.notes.push("output.logstash.ssl.verification_mode: none lets anyone be the collector; `certificate` checks the CA without the name, which is what Malcolm's certificate needs".to_owned());
        } else if it.forward.ca.is_none() {
            return Err("output.logstash.ssl.certificate_authorities is not set: name the file of the collector's CA".to_owned());
        }
        Ok(it)
    }

    fn global(&mut self, name: &str, value: &Value) -> Result<(), String> {
        refuse(name, name)?;
        match name {
            "name" => self.name = Some(text(name, value)?),
            "path.data" => self.data = Some(text(name, value)?.into()),
            "output.logstash" => {}
            _ if name.starts_with("output.") => {
                return Err(format!("{name}: only output.logstash is known: name a Logstash, or another collector that takes Beats"));
            }
            _ if name.starts_with("filebeat.modules") || name.starts_with("filebeat.autodiscover") => {
                return Err(format!("{name}: modules are not known: name the files in filebeat.inputs"));
            }
            _ => self.notes.push(format!("{name} is not known here and has no effect")),
        }
        Ok(())
    }

    fn input(&mut self, place: &str, value: &Value) -> Result<(), String> {
        let mut options = Map::new();
        flatten("", value, &mut options);
        if options.get("enabled") == Some(&Value::Bool(false)) {
            return Ok(());
        }
        let mut input = Input::default();
        match options.remove("type").as_ref().and_then(Value::as_str) {
            Some("log") => {}
            Some("filestream") => input.kind = Kind::Filestream,
            Some(other) => return Err(format!("{place}.type: {other:?} is not known: `log` and `filestream` are")),
            None => return Err(format!("{place}.type is not set: `log` or `filestream`")),
        }
        for (name, value) in &options {
            let full = format!("{place}.{name}");
            refuse(name, &full)?;
            match name.as_str() {
                "paths" => input.paths = texts(&full, value)?,
                "exclude_lines" => input.exclude_lines = patterns(&full, value)?,
                "include_lines" => input.include_lines = patterns(&full, value)?,
                "exclude_files" | "prospector.scanner.exclude_files" => input.exclude_files = patterns(&full, value)?,
                "tags" => input.tags = texts(&full, value)?,
                "fields_under_root" => input.fields_under_root = truth(&full, value)?,
                "scan_frequency" | "prospector.scanner.check_interval" => input.scan_frequency = duration(&full, value)?,
                "ignore_older" => input.ignore_older = duration(&full, value)?,
                "close_inactive" | "close.on_state_change.inactive" => input.close_inactive = duration(&full, value)?,
                "clean_inactive" => input.clean_inactive = duration(&full, value)?,
                "tail_files" => input.tail_files = truth(&full, value)?,
                "max_bytes" | "message_max_bytes" => input.max_bytes = size(&full, value)?,
                "encoding" => match text(&full, value)?.as_str() {
                    "plain" | "utf-8" => {}
                    other => return Err(format!("{full}: {other:?} is not known: `plain` and `utf-8` are")),
                },
                "ignore_inactive" => {
                    return Err(format!("{full} is not known: use tail_files: true to begin at the end of new files"));
                }
                "compression_level" => {
                    self.notes.push(format!("{full} has no effect, as in Filebeat: compression belongs under output.logstash"));
                }
                _ if name.starts_with("fields.") => {
                    nest(&mut input.fields, name.trim_start_matches("fields."), value.clone());
                }
                _ if WITHOUT_EFFECT.contains(&name.as_str()) => {}
                _ => self.notes.push(format!("{full} is not known here and has no effect")),
            }
        }
        if input.paths.is_empty() {
            return Err(format!("{place}.paths names no file"));
        }
        if let Some(wrong) = input.paths.iter().find(|path| glob::Pattern::new(path).is_err()) {
            return Err(format!("{place}.paths: {wrong:?} is no pattern"));
        }
        let longest = input.ignore_older + input.scan_frequency;
        if !input.clean_inactive.is_zero() && input.clean_inactive <= longest {
            // Filebeat refuses this too: a forgotten file would be read again from its begin.
            return Err(format!("{place}.clean_inactive must be longer than ignore_older and scan_frequency together"));
        }
        self.inputs.push(input);
        Ok(())
    }

    fn output(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let full = format!("output.logstash.{name}");
        refuse(name.rsplit('.').next().unwrap_or(name), &full)?;
        let f = &mut self.forward;
        match name {
            "hosts" => {
                for host in texts(&full, value)? {
                    // Filebeat's default port of Logstash.
                    let with_port =
                        if host.rsplit(']').next().is_some_and(|rest| rest.contains(':')) { host } else { format!("{host}:5044") };
                    f.hosts.push(with_port.parse::<Host>().map_err(|error| format!("{full}: {error}"))?);
                }
            }
            "loadbalance" => f.balance = truth(&full, value)?,
            "compression_level" => f.compression = number(&full, value, 0, 9)? as u32,
            "bulk_max_size" => f.window = number(&full, value, 0, u64::from(u32::MAX))?.clamp(1, 2048) as usize,
            "ssl.enabled" => f.tls = truth(&full, value)?,
            "ssl.certificate_authorities" => {
                let mut files = texts(&full, value)?;
                if files.len() > 1 {
                    return Err(format!("{full}: one file is taken: put the certificates into one"));
                }
                f.ca = files.pop().map(PathBuf::from);
            }
            "ssl.certificate" => f.certificate = Some(text(&full, value)?.into()),
            "ssl.key" => f.key = Some(text(&full, value)?.into()),
            "ssl.supported_protocols" => {
                let known = ["TLSv1.2", "TLSv1.3"];
                let versions = texts(&full, value)?;
                if !versions.iter().any(|version| known.contains(&version.as_str())) {
                    return Err(format!("{full}: TLSv1.2 and TLSv1.3 are known, older ones are not safe"));
                }
                f.tls_versions = versions.iter().filter_map(|version| version.strip_prefix("TLSv")?.parse().ok()).collect();
            }
            "ssl.verification_mode" => {
                f.verify = match text(&full, value)?.as_str() {
                    "full" | "strict" => Verify::Full,
                    "certificate" => Verify::Chain,
                    "none" => Verify::None,
                    other => return Err(format!("{full}: {other:?} is not known: full, strict, certificate or none")),
                };
            }
            // The spool keeps what is not taken, and comes again with pauses of its own, for as long as it takes.
            "enabled" | "timeout" | "ttl" | "max_retries" | "pipelining" | "slow_start" | "backoff.init" | "backoff.max" | "worker"
            | "workers" | "escape_html" | "queue.mem.events" => {}
            _ => self.notes.push(format!("{full} is not known here and has no effect")),
        }
        Ok(())
    }
}

fn refuse(name: &str, full: &str) -> Result<(), String> {
    let refused = REFUSED.iter().find(|(option, _)| name == *option || name.strip_prefix(option).is_some_and(|rest| rest.starts_with('.')));
    refused.map_or(Ok(()), |(_, why)| Err(format!("{full}: {why}")))
}

/// Filebeat reads `a.b: 1` and `a: {b: 1}` alike: all names in the long form.
fn flatten(prefix: &str, value: &Value, to: &mut Map<String, Value>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let full = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&full, value, to);
            }
        }
        _ => drop(to.insert(prefix.to_owned(), value.clone())),
    }
}

fn nest(to: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        Some((first, rest)) => {
            let below = to.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                nest(below, rest, value);
            }
        }
        None => drop(to.insert(name.to_owned(), value)),
    }
}

fn text(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(format!("{name}: a text is expected")),
    }
}

fn texts(name: &str, value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(values) => values.iter().map(|value| text(name, value)).collect(),
        value => Ok(vec![text(name, value)?]),
    }
}

fn patterns(name: &str, value: &Value) -> Result<Vec<Regex>, String> {
    texts(name, value)?.iter().map(|pattern| Regex::new(pattern).map_err(|error| format!("{name}: {error}"))).collect()
}

fn truth(name: &str, value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(text) if text == "true" || text == "false" => Ok(text == "true"),
        _ => Err(format!("{name}: true or false is expected")),
    }
}

fn number(name: &str, value: &Value, least: u64, most: u64) -> Result<u64, String> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.filter(|number| (least..=most).contains(number)).ok_or_else(|| format!("{name}: a number from {least} to {most} is expected"))
}

/// Go's durations: `1h30m`, `10s`, `500ms`; a plain number counts seconds.
fn duration(name: &str, value: &Value) -> Result<Duration, String> {
    let wrong = || format!("{name}: a duration such as 10s, 90m or 1h30m is expected");
    if let Some(seconds) = value.as_u64() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = value.as_str().filter(|text| !text.is_empty()).ok_or_else(wrong)?;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (count, after) = rest.split_at(digits);
        let length = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(length);
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let count: f64 = count.parse().map_err(|_| wrong())?;
        sum += Duration::try_from_secs_f64(count * unit).map_err(|_| wrong())?;
        rest = after;
    }
    Ok(sum)
}

/// Bytes, also as `10MB` or `64KiB`.
fn size(name: &str, value: &Value) -> Result<usize, String> {
    let wrong = || format!("{name}: a size from 1 to 10 MiB is expected");
    let bytes = match value.as_u64() {
        Some(bytes) => bytes,
        None => {
            let text = value.as_str().ok_or_else(wrong)?.trim();
            let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let (count, unit) = text.split_at(digits);
            let unit = match unit.trim().to_ascii_lowercase().as_str() {
                "" | "b" => 1,
                "kb" | "kib" => 1 << 10,
                "mb" | "mib" => 1 << 20,
                _ => return Err(wrong()),
            };
            count.parse::<u64>().map_err(|_| wrong())?.saturating_mul(unit)
        }
    };
    usize::try_from(bytes).ok().filter(|bytes| (1..=10 << 20).contains(bytes)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in Malcolm's documentation on logs of other sensors.
    const MALCOLM: &str = r#"
filebeat.inputs:
- type: log
  paths:
    - /var/zeek/*.log
  fields_under_root: true
  compression_level: 0
  exclude_lines: ['^\s*#']
  scan_frequency: 10s
  clean_inactive: 180m
  ignore_older: 120m
  close_inactive: 90m
  close_renamed: true
  close_removed: true
  close_eof: false
  clean_renamed: true
  clean_removed: true

output.logstash:
  hosts: ["192.0.2.123:5044"]
  ssl.enabled: true
  ssl.certificate_authorities: ["/foo/bar/ca.crt"]
  ssl.certificate: "/foo/bar/client.crt"
  ssl.key: "/foo/bar/client.key"
  ssl.supported_protocols: "TLSv1.2"
  ssl.verification_mode: "none"
"#;

    fn refused(text: &str, words: &str) {
        let error = Configuration::parse(text).unwrap_err();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn the_file_of_malcolms_documentation_is_taken_as_it_is() {
        let read = Configuration::parse(MALCOLM).unwrap();
        let input = &read.inputs[0];
        assert_eq!((input.kind, input.paths.as_slice()), (Kind::Log, ["/var/zeek/*.log".to_owned()].as_slice()));
        assert!(!input.takes(b"  #fields\tts") && input.takes(b"1.0\tx"));
        assert_eq!((input.scan_frequency, input.ignore_older), (Duration::from_secs(10), Duration::from_secs(7200)));
        assert_eq!((input.clean_inactive, input.close_inactive), (Duration::from_secs(10_800), Duration::from_secs(5400)));
        let f = &read.forward;
        assert_eq!((f.hosts[0].to_string().as_str(), f.tls, f.verify), ("192.0.2.123:5044", true, Verify::None));
        assert_eq!(f.ca.as_deref(), Some(Path::new("/foo/bar/ca.crt")));
        assert_eq!(f.tls_versions.len(), 1);
        assert_eq!(read.notes.len(), 2, "{:?}", read.notes);
        assert!(read.notes[0].contains("filebeat.inputs[0].compression_level"));
    }

    #[test]
    fn filestream_with_id_and_tags_and_nested_options() {
        let text = "
name: box
path.data: /var/lib/x
filebeat:
  inputs:
    - type: filestream
      id: zeek
      tags: [_filebeat_zeek, plant]
      paths: [/a/*.log]
      fields: {site: '7', where.floor: 2}
      prospector.scanner: {check_interval: 1m30s}
    - {type: log, enabled: false}
output:
  logstash: {hosts: 'a, b', loadbalance: true}
";
        let read = Configuration::parse(&text.replace("'a, b'", "[a, 'b:6']")).unwrap();
        let input = &read.inputs[0];
        assert_eq!((read.inputs.len(), input.kind, input.tags.len()), (1, Kind::Filestream, 2));
        assert_eq!(input.fields, *serde_json::json!({"site": "7", "where": {"floor": 2}}).as_object().unwrap());
        assert_eq!(input.scan_frequency, Duration::from_secs(90));
        assert_eq!(read.forward.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:5044", "b:6"]);
        assert!(read.forward.balance && !read.forward.tls);
        assert_eq!((read.name.as_deref(), read.data.as_deref()), (Some("box"), Some(Path::new("/var/lib/x"))));
    }

    #[test]
    fn what_is_unknown_is_named() {
        let read = Configuration::parse(&MALCOLM.replace("close_eof", "colse_eof")).unwrap();
        assert!(read.notes.iter().any(|note| note.contains("filebeat.inputs[0].colse_eof is not known")), "{:?}", read.notes);
        let read = Configuration::parse(&format!("{MALCOLM}\nlogging.level: debug\n")).unwrap();
        assert!(read.notes.iter().any(|note| note.contains("logging.level is not known")), "{:?}", read.notes);
    }

    #[test]
    fn what_would_change_what_is_sent_is_refused() {
        refused(&MALCOLM.replace("scan_frequency: 10s", "multiline.pattern: '^x'"), "filebeat.inputs[0].multiline.pattern");
        refused(&format!("{MALCOLM}\nprocessors:\n- drop_event: ~\n"), "processors");
        refused(&MALCOLM.replace("output.logstash", "output.elasticsearch"), "only output.logstash is known");
        refused(&MALCOLM.replace("type: log", "type: syslog"), "\"syslog\" is not known");
        refused(&MALCOLM.replace("scan_frequency: 10s", "scan_frequency: soon"), "filebeat.inputs[0].scan_frequency");
        refused(&MALCOLM.replace("clean_inactive: 180m", "clean_inactive: 10m"), "clean_inactive must be longer");
        refused(&MALCOLM.replace("['^\\s*#']", "['(']"), "filebeat.inputs[0].exclude_lines");
        refused("a: [", "is no YAML");
        refused("{}", "filebeat.inputs names nothing");
    }
}
