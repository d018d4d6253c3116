//! A rule: its header and what its options ask for.

use pcre2::bytes::RegexBuilder;

use crate::content::{self, Part};
use crate::header::Header;

/// Bytes of a rule's text.
const MAX_RULE: usize = 64 << 10;

/// Why a rule is not used.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The header is not `action protocol address ports direction address ports`.
    #[error("the header is not: action protocol address ports -> address ports")]
    Header,
    /// The options are not in parentheses, or are longer than any rule.
    #[error("the options are not in parentheses")]
    Options,
    /// A value that means nothing.
    #[error("{0} {1:?} is not understood")]
    Unknown(&'static str, String),
    /// Something of Suricata's language that is not here yet.
    #[error("{0} is not supported yet: the rule is left out")]
    Unsupported(String),
    /// No number.
    #[error("the rule has no sid")]
    NoSid,
    /// A modifier without a content before it.
    #[error("{0} comes before any content")]
    Dangling(String),
}

/// What has to be so of the flow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FlowOptions {
    pub(crate) to_server: bool,
    pub(crate) to_client: bool,
    pub(crate) established: bool,
    pub(crate) not_established: bool,
}

/// What is done with, or asked of, a flow's bits.
#[derive(Clone, Debug)]
pub(crate) enum Flowbit {
    Set(String),
    Unset(String),
    Toggle(String),
    IsSet(Vec<String>),
    IsNotSet(Vec<String>),
    NoAlert,
}

/// One buffer of a record and what has to match in it.
#[derive(Clone, Debug)]
pub(crate) struct Sticky {
    pub(crate) name: &'static str,
    pub(crate) parts: Vec<Part>,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) header: Header,
    /// Its number.
    pub sid: u32,
    pub(crate) gid: u32,
    pub(crate) rev: u32,
    pub(crate) message: String,
    pub(crate) class: String,
    pub(crate) severity: u8,
    pub(crate) flow: FlowOptions,
    pub(crate) flowbits: Vec<Flowbit>,
    pub(crate) dsize: Option<(u64, u64)>,
    /// Parts that look at the payload.
    pub(crate) payload: Vec<Part>,
    /// Parts that look at buffers of records.
    pub(crate) sticky: Vec<Sticky>,
}

/// Suricata's names of the buffers that records show, also in the older form that follows its content.
const BUFFERS: &[(&str, &str)] = &[
    ("http.method", "http_method"),
    ("http.uri", "http_uri"),
    ("http.uri.raw", "http_raw_uri"),
    ("http.host", "http_host"),
    ("http.user_agent", "http_user_agent"),
    ("http.referer", "http_referer"),
    ("http.stat_code", "http_stat_code"),
    ("http.stat_msg", "http_stat_msg"),
    ("dns.query", "dns_query"),
    ("tls.sni", "tls_sni"),
];

/// Options that say something about the rule and nothing about the traffic.
const REMARKS: &[&str] = &["reference", "metadata", "target", "fast_pattern", "rawbytes", "threshold_remark"];

impl Rule {
    /// Reads one rule.
    ///
    /// # Errors
    /// If it is not a rule, or asks for what is not here yet.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        if text.len() > MAX_RULE {
            return Err(Refused::Options);
        }
        let (header, options) = text.split_once('(').ok_or(Refused::Options)?;
        let options = options.trim_end().strip_suffix(')').ok_or(Refused::Options)?;
        let mut rule = Self {
            header: Header::parse(header)?,
            sid: 0,
            gid: 1,
            rev: 0,
            message: String::new(),
            class: String::new(),
            severity: 3,
            flow: FlowOptions::default(),
            flowbits: Vec::new(),
            dsize: None,
            payload: Vec::new(),
            sticky: Vec::new(),
        };
        let mut buffer: Option<&'static str> = None;
        for option in split_options(options) {
            let (name, value) = match option.split_once(':') {
                Some((name, value)) => (name.trim(), value.trim()),
                None => (option.trim(), ""),
            };
            rule.option(name, value, &mut buffer)?;
        }
        if rule.sid == 0 {
            return Err(Refused::NoSid);
        }
        if !rule.sticky.is_empty() && !rule.payload.is_empty() {
            return Err(Refused::Unsupported("payload and buffers in one rule".to_owned()));
        }
        Ok(rule)
    }

    fn option(&mut self, name: &str, value: &str, buffer: &mut Option<&'static str>) -> Result<(), Refused> {
        if let Some((known, _)) = BUFFERS.iter().find(|(known, old)| *known == name || (*old == name && name == "dns_query")) {
            *buffer = Some(known);
            self.sticky.push(Sticky { name: known, parts: Vec::new() });
            return Ok(());
        }
        if let Some((known, _)) = BUFFERS.iter().find(|(_, old)| *old == name) {
            // The older form: the content before it is looked for in the buffer.
            let part = self.payload.pop().ok_or_else(|| Refused::Dangling(name.to_owned()))?;
            match self.sticky.iter_mut().find(|sticky| sticky.name == *known) {
                Some(sticky) => sticky.parts.push(part),
                None => self.sticky.push(Sticky { name: known, parts: vec![part] }),
            }
            return Ok(());
        }
        match name {
            "msg" => self.message = unquote(value).replace("\\;", ";").replace("\\\"", "\""),
            "sid" => self.sid = number("sid", value)?,
            "gid" => self.gid = number("gid", value)?,
            "rev" => self.rev = number("rev", value)?,
            "priority" => self.severity = number("priority", value)?,
            "classtype" => {
                if let Some((class, severity)) = class_of(value) {
                    self.class = class.to_owned();
                    self.severity = severity;
                }
            }
            "flow" => self.flow(value)?,
            "flowbits" => self.flowbits(value)?,
            "noalert" => self.flowbits.push(Flowbit::NoAlert),
            "dsize" => self.dsize = Some(range(value)?),
            "content" => {
                let (negated, text) = negation(value);
                let part = Part::content(content::bytes_of(unquote(text))?, negated);
                self.parts(*buffer).push(part);
            }
            "pcre" => {
                let (negated, text) = negation(value);
                let part = pattern(unquote(text), negated)?;
                self.parts(*buffer).push(part);
            }
            "pkt_data" => *buffer = None,
            "nocase" | "offset" | "depth" | "distance" | "within" | "startswith" | "endswith" => self.modifier(name, value, *buffer)?,
            name if REMARKS.contains(&name) => {}
            other => return Err(Refused::Unsupported(format!("option {other}"))),
        }
        Ok(())
    }

    fn parts(&mut self, buffer: Option<&'static str>) -> &mut Vec<Part> {
        match (buffer, self.sticky.last_mut()) {
            (Some(_), Some(sticky)) => &mut sticky.parts,
            _ => &mut self.payload,
        }
    }

    fn modifier(&mut self, name: &str, value: &str, buffer: Option<&'static str>) -> Result<(), Refused> {
        let part = self.parts(buffer).last_mut().ok_or_else(|| Refused::Dangling(name.to_owned()))?;
        match name {
            "nocase" => part.set_nocase(),
            "offset" => part.offset = Some(number(name_of(name), value)?),
            "depth" => part.depth = Some(number(name_of(name), value)?),
            "distance" => part.distance = Some(number(name_of(name), value)?),
            "within" => part.within = Some(number(name_of(name), value)?),
            "startswith" => {
                let len = match &part.kind {
                    content::Kind::Bytes { bytes, .. } => bytes.len() as i64,
                    content::Kind::Pattern { .. } => return Err(Refused::Dangling(name.to_owned())),
                };
                part.offset = Some(0);
                part.depth = Some(len);
            }
            _ => part.ends_with = true,
        }
        Ok(())
    }

    fn flow(&mut self, value: &str) -> Result<(), Refused> {
        for word in value.split(',').map(str::trim) {
            match word {
                "to_server" | "from_client" => self.flow.to_server = true,
                "to_client" | "from_server" => self.flow.to_client = true,
                "established" => self.flow.established = true,
                "not_established" => self.flow.not_established = true,
                "stateless" | "no_stream" | "only_stream" | "no_frag" | "only_frag" => {}
                other => return Err(Refused::Unknown("flow", other.to_owned())),
            }
        }
        Ok(())
    }

    fn flowbits(&mut self, value: &str) -> Result<(), Refused> {
        let (command, names) = value.split_once(',').map_or((value, ""), |(command, names)| (command.trim(), names.trim()));
        let one = || names.to_owned();
        let all = || names.split('|').map(|name| name.trim().to_owned()).collect();
        self.flowbits.push(match command.trim() {
            "set" => Flowbit::Set(one()),
            "unset" => Flowbit::Unset(one()),
            "toggle" => Flowbit::Toggle(one()),
            "isset" => Flowbit::IsSet(all()),
            "isnotset" => Flowbit::IsNotSet(all()),
            "noalert" => Flowbit::NoAlert,
            other => return Err(Refused::Unknown("flowbits", other.to_owned())),
        });
        Ok(())
    }
}

/// Options are divided by semicolons that are not escaped and not within quotes.
fn split_options(text: &str) -> Vec<&str> {
    let mut options = Vec::new();
    let (mut from, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                escaped = false;
                continue;
            }
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => {
                options.extend(text.get(from..at).filter(|option| !option.trim().is_empty()));
                from = at + 1;
            }
            _ => {}
        }
    }
    options.extend(text.get(from..).filter(|option| !option.trim().is_empty()));
    options
}

fn unquote(text: &str) -> &str {
    text.trim().strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn negation(value: &str) -> (bool, &str) {
    match value.trim().strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, value),
    }
}

fn name_of(name: &str) -> &'static str {
    match name {
        "offset" => "offset",
        "depth" => "depth",
        "distance" => "distance",
        _ => "within",
    }
}

fn number<T: std::str::FromStr>(what: &'static str, value: &str) -> Result<T, Refused> {
    value.trim().parse().map_err(|_| Refused::Unknown(what, value.to_owned()))
}

/// `10`, `<10`, `>10`, `5<>10`.
fn range(value: &str) -> Result<(u64, u64), Refused> {
    let number = |text: &str| number::<u64>("dsize", text);
    if let Some((low, high)) = value.split_once("<>") {
        return Ok((number(low)?.saturating_add(1), number(high)?.saturating_sub(1)));
    }
    if let Some(high) = value.strip_prefix('<') {
        return Ok((0, number(high)?.saturating_sub(1)));
    }
    if let Some(low) = value.strip_prefix('>') {
        return Ok((number(low)?.saturating_add(1), u64::MAX));
    }
    let exact = number(value)?;
    Ok((exact, exact))
}

/// `/pattern/flags`.
fn pattern(text: &str, negated: bool) -> Result<Part, Refused> {
    let bad = || Refused::Unknown("pcre", text.to_owned());
    let inner = text.strip_prefix('/').ok_or_else(bad)?;
    let (source, flags) = inner.rsplit_once('/').ok_or_else(bad)?;
    let mut builder = RegexBuilder::new();
    let mut relative = false;
    for flag in flags.chars() {
        match flag {
            'i' => drop(builder.caseless(true)),
            's' => drop(builder.dotall(true)),
            'm' => drop(builder.multi_line(true)),
            'x' => drop(builder.extended(true)),
            'R' => relative = true,
            'B' | 'G' | 'O' => {}
            other => return Err(Refused::Unsupported(format!("pcre flag {other}"))),
        }
    }
    let regex = builder.jit_if_available(true).build(&source.replace("\\;", ";")).map_err(|_| bad())?;
    Ok(Part::pattern(regex, relative, negated))
}

/// Class and severity of classtypes, as in Suricata's classification.config.
fn class_of(name: &str) -> Option<(&'static str, u8)> {
    Some(match name {
        "attempted-admin" => ("Attempted Administrator Privilege Gain", 1),
        "attempted-user" => ("Attempted User Privilege Gain", 1),
        "successful-admin" => ("Successful Administrator Privilege Gain", 1),
        "successful-user" => ("Successful User Privilege Gain", 1),
        "shellcode-detect" => ("Executable code was detected", 1),
        "trojan-activity" => ("A Network Trojan was detected", 1),
        "web-application-attack" => ("Web Application Attack", 1),
        "policy-violation" => ("Potential Corporate Privacy Violation", 1),
        "command-and-control" => ("Malware Command and Control Activity Detected", 1),
        "exploit-kit" => ("Exploit Kit Activity Detected", 1),
        "bad-unknown" => ("Potentially Bad Traffic", 2),
        "attempted-dos" => ("Attempted Denial of Service", 2),
        "attempted-recon" => ("Attempted Information Leak", 2),
        "misc-attack" => ("Misc Attack", 2),
        "suspicious-login" => ("An attempted login using a suspicious username was detected", 2),
        "web-application-activity" => ("access to a potentially vulnerable web application", 2),
        "misc-activity" => ("Misc activity", 3),
        "network-scan" => ("Detection of a Network Scan", 3),
        "not-suspicious" => ("Not Suspicious Traffic", 3),
        "protocol-command-decode" => ("Generic Protocol Command Decode", 3),
        "unknown" => ("Unknown Traffic", 3),
        _ => return None,
    })
}
