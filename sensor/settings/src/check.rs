//! The rules between parsed text and `Settings`: ranges, and keys that need each other.

use std::path::Path;

use crate::Sections;
use crate::url::Url;
use crate::values::{AnalysisMode, InterfaceAddress, Malcolm, Verify, ZeekFormat};

/// A rule that is broken: the key, and what the operator should know about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) key: &'static str,
    pub(crate) what: String,
}

/// All broken rules, in the order of the file.
pub(crate) fn check(s: &Sections) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut rule = |key, holds: bool, what: &dyn Fn() -> String| {
        if !holds {
            broken.push(Broken { key, what: what() });
        }
    };
    rule("node.name", is_host_name(&s.node.name), &|| {
        format!("{:?} is not a node name: use letters, digits, '-' and '.', at most 253 characters", s.node.name)
    });
    let host = &s.node.host;
    rule("node.host", host.is_empty() || is_host_name(host) || host.parse::<std::net::IpAddr>().is_ok(), &|| {
        format!("{host:?} is neither a host name nor an address")
    });
    let bad_tag = s.node.tags.iter().find(|tag| tag.is_empty() || tag.chars().any(|c| c.is_control() || c == ','));
    rule("node.tags", bad_tag.is_none(), &|| {
        format!("{:?} is not a tag: no comma, no control character, not empty", bad_tag.map_or("", String::as_str))
    });
    // IFNAMSIZ is 16 with the terminating NUL; the kernel refuses '/' and white space.
    let bad_interface = s.capture.interfaces.iter().find(|name| !is_interface_name(name));
    rule("capture.interfaces", bad_interface.is_none(), &|| {
        format!("{:?} is not an interface name: `ip -brief link` lists them", bad_interface.map_or("", String::as_str))
    });
    let twice =
        s.capture.interfaces.iter().enumerate().find(|(at, name)| s.capture.interfaces.iter().take(*at).any(|other| other == *name));
    rule("capture.interfaces", twice.is_none(), &|| {
        format!("{:?} is listed twice: its packets would count twice", twice.map_or("", |(_, name)| name))
    });
    range(&mut rule, "capture.snaplen", u64::from(s.capture.snaplen), 64, 262_144);
    range(&mut rule, "capture.ring_megabytes", u64::from(s.capture.ring_megabytes), 1, 4096);
    range(&mut rule, "capture.workers", u64::from(s.capture.workers), 0, 256);
    range(&mut rule, "pcap.rotate_megabytes", s.pcap.rotate_megabytes, 1, 1_048_576);
    range(&mut rule, "pcap.rotate_minutes", s.pcap.rotate_minutes, 0, 10_080);
    range(&mut rule, "logs.rotate_minutes", s.logs.rotate_minutes, 0, 10_080);
    range(&mut rule, "files.max_bytes", s.files.max_bytes, 1, 4_294_967_296);
    range(&mut rule, "scan.timeout_seconds", s.scan.timeout_seconds, 1, 3600);
    range(&mut rule, "scan.memory_megabytes", s.scan.memory_megabytes, 64, 65_536);
    range(&mut rule, "scan.queue", s.scan.queue as u64, 1, 65_536);
    range(&mut rule, "forward.compression", u64::from(s.forward.compression), 0, 9);
    range(&mut rule, "forward.window", s.forward.window as u64, 1, 2048);
    range(&mut rule, "opensearch.compression", u64::from(s.opensearch.compression), 0, 9);
    range(&mut rule, "opensearch.bulk_bytes", s.opensearch.bulk_bytes as u64, 10_000, 48_000_000);
    range(&mut rule, "metrics.seconds", s.metrics.seconds, 1, 86_400);
    range(&mut rule, "metrics.thermal_seconds", s.metrics.thermal_seconds, 1, 86_400);
    range(&mut rule, "metrics.stats_seconds", s.metrics.stats_seconds, 0, 86_400);
    range(&mut rule, "metrics.capture_loss_seconds", s.metrics.capture_loss_seconds, 0, 86_400);
    range(&mut rule, "spool.budget_megabytes", s.spool.budget_megabytes, 16, 16_777_216);

    let reads_other_columns = s.forward.enabled && s.node.malcolm != Malcolm::V2608 && s.analysis.zeek == ZeekFormat::Tsv;
    rule("analysis.zeek", !reads_other_columns, &|| {
        format!("Malcolm {} reads other columns than \"tsv\" has here: set analysis.zeek = \"json\"", s.node.malcolm)
    });
    rule("analysis.mode", s.analysis.mode == AnalysisMode::Live || s.pcap.enabled, &|| {
        "\"rotated\" analyses the capture files, and none are written: set pcap.enabled = true".to_owned()
    });
    rule("watch.folder", s.watch.folder.as_deref() != Some(s.pcap.folder.as_path()), &|| {
        "this is the folder of the sensor's own captures: choose another".to_owned()
    });
    for (key, patterns) in [("tail.zeek", &s.tail.zeek), ("tail.suricata", &s.tail.suricata)] {
        for pattern in patterns {
            rule(key, glob::Pattern::new(pattern).is_ok() && pattern.starts_with('/'), &|| {
                format!("{pattern:?} is no pattern of files: a whole path, with *, ?, [...] and **")
            });
        }
    }
    for pattern in &s.tail.exclude_lines {
        rule("tail.exclude_lines", regex::bytes::Regex::new(pattern).is_ok(), &|| format!("{pattern:?} is no regular expression"));
    }
    rule("tail.zeek", s.forward.enabled || (s.tail.zeek.is_empty() && s.tail.suricata.is_empty()), &|| {
        "log files are followed to be forwarded, and nothing is: set forward.enabled = true".to_owned()
    });
    let f = &s.forward;
    rule("forward.hosts", !f.enabled || !f.hosts.is_empty(), &|| {
        "forwarding is on and no collector is named: set forward.hosts, or forward.enabled = false".to_owned()
    });
    rule("forward.ca", !f.enabled || !f.tls || f.verify == Verify::None || f.ca.is_some(), &|| {
        format!("forward.verify = \"{}\" needs the certificate of the collector's CA: set forward.ca to its file", f.verify)
    });
    rule("forward.tls_versions", !f.tls || !f.tls_versions.is_empty(), &|| {
        "no version of TLS is named: \"1.2\", \"1.3\" or both".to_owned()
    });
    rule("forward.key", f.certificate.is_none() || f.key.is_some(), &|| "forward.certificate is set and its private key is not".to_owned());
    rule("forward.certificate", f.key.is_none() || f.certificate.is_some(), &|| "forward.key is set and its certificate is not".to_owned());

    let o = &s.opensearch;
    rule("opensearch.hosts", !o.enabled || !o.hosts.is_empty(), &|| {
        "delivery of sessions is on and no collector is named: set opensearch.hosts, or opensearch.enabled = false".to_owned()
    });
    let encrypted = o.hosts.iter().any(Url::is_encrypted);
    rule("opensearch.ca", !o.enabled || !encrypted || o.verify == Verify::None || o.ca.is_some(), &|| {
        format!("opensearch.verify = \"{}\" needs the certificate of the collector's CA: set opensearch.ca to its file", o.verify)
    });
    rule("opensearch.key", o.certificate.is_none() || o.key.is_some(), &|| {
        "opensearch.certificate is set and its private key is not".to_owned()
    });
    rule("opensearch.certificate", o.key.is_none() || o.certificate.is_some(), &|| {
        "opensearch.key is set and its certificate is not".to_owned()
    });
    // RFC 7617 §2: what follows the first colon is the password.
    rule("opensearch.user", !o.user.contains(':'), &|| format!("{:?} is not a user name: it has a colon", o.user));
    rule("opensearch.password_file", o.password.is_empty() || o.password_file.is_none(), &|| {
        "opensearch.password is set too: one of them is enough".to_owned()
    });
    rule("collector.opensearch_user", !s.collector.opensearch_user.contains(':'), &|| {
        format!("{:?} is not a user name: it has a colon", s.collector.opensearch_user)
    });

    for (key, folder) in [
        ("pcap.folder", &s.pcap.folder),
        ("logs.folder", &s.logs.folder),
        ("files.folder", &s.files.folder),
        ("spool.folder", &s.spool.folder),
        ("collector.folder", &s.collector.folder),
        ("control.socket", &s.control.socket),
        ("viewer.certificates", &s.viewer.certificates),
        ("viewer.socket", &s.viewer.socket),
    ] {
        rule(key, folder != Path::new(""), &|| "the path is empty".to_owned());
    }
    // sun_path holds 108 bytes with the terminating NUL (unix(7)).
    for (key, socket) in [("control.socket", &s.control.socket), ("viewer.socket", &s.viewer.socket)] {
        rule(key, socket.as_os_str().len() <= 107, &|| "a socket's path has at most 107 bytes".to_owned());
    }
    rule("viewer.secret_file", s.viewer.secret_file.is_none() || s.viewer.secret.is_empty(), &|| {
        "viewer.secret is set as well: keep one of the two".to_owned()
    });
    let w = &s.web;
    rule("web.key", w.certificate.is_none() || w.key.is_some(), &|| "web.certificate is set and its private key is not".to_owned());
    rule("web.certificate", w.key.is_none() || w.certificate.is_some(), &|| "web.key is set and its certificate is not".to_owned());
    rule("web.listen", w.listen.ip().is_loopback() || w.certificate.is_some(), &|| {
        format!(
            "{} is not this machine alone, and without a certificate all would be read on the way: set web.certificate and web.key",
            w.listen
        )
    });
    system(&mut rule, s);
    // Two owners of one folder would delete each other's files under budget.
    let owned = [
        ("pcap.folder", &s.pcap.folder),
        ("logs.folder", &s.logs.folder),
        ("files.folder", &s.files.folder),
        ("spool.folder", &s.spool.folder),
    ];
    for (at, (key, folder)) in owned.iter().enumerate() {
        if let Some((other, _)) = owned.iter().take(at).find(|(_, earlier)| earlier == folder) {
            rule(key, false, &|| format!("{} is already {other}: each needs a folder of its own", folder.display()));
        }
    }
    broken
}

fn system(rule: &mut impl FnMut(&'static str, bool, &dyn Fn() -> String), s: &Sections) {
    let y = &s.system;
    // RFC 1123 §2.1: a label is 63 characters at most and neither begins nor ends with a hyphen.
    let label = |name: &str| (1..=63).contains(&name.len()) && !name.starts_with('-') && !name.ends_with('-');
    let is_name = |name: &str| is_host_name(name) && name.split('.').all(label);
    rule("system.host_name", y.host_name.is_empty() || (is_name(&y.host_name) && y.host_name.len() <= 64), &|| {
        format!("{:?} is not a host name: letters, digits and '-' in parts divided by '.', at most 64", y.host_name)
    });
    let is_mac =
        |text: &str| text.split(':').count() == 6 && text.split(':').all(|byte| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok());
    rule("system.management", y.management.is_empty() || is_interface_name(&y.management) || is_mac(&y.management), &|| {
        format!("{:?} is neither an interface name nor a MAC address", y.management)
    });
    rule("system.management", !s.capture.interfaces.contains(&y.management), &|| {
        format!("{} is captured from (capture.interfaces): the web UI needs another", y.management)
    });
    if let InterfaceAddress::Fixed { address, .. } = y.address {
        rule("system.gateway", y.gateway.is_none_or(|gateway| gateway.is_ipv4() == address.is_ipv4() && gateway != address), &|| {
            "the gateway is another host with an address of the same kind as system.address".to_owned()
        });
    }
    let bad_server = y.time_servers.iter().find(|server| !is_host_name(server) && server.parse::<std::net::IpAddr>().is_err());
    rule("system.time_servers", bad_server.is_none(), &|| {
        format!("{:?} is neither a host name nor an address", bad_server.map_or("", String::as_str))
    });
    // A line of authorized_keys: options in front of the key are not taken.
    let is_key = |line: &&String| {
        let kind = line.split(' ').next().unwrap_or_default();
        let known = kind.starts_with("ssh-") || kind.starts_with("ecdsa-sha2-") || kind.starts_with("sk-");
        known && line.split(' ').nth(1).is_some_and(|key| key.len() >= 16) && !line.chars().any(char::is_control)
    };
    let bad_key = y.ssh_keys.iter().find(|line| !is_key(line));
    rule("system.ssh_keys", bad_key.is_none(), &|| {
        format!("{:?} is not a public key: the line of a .pub file of OpenSSH", bad_key.map_or("", String::as_str))
    });
    rule("system.ssh", !y.ssh || !y.ssh_keys.is_empty(), &|| "nobody could log in: set system.ssh_keys".to_owned());
    rule("system.update_url", y.update_url.as_ref().is_none_or(|url| url.starts_with("https://") && url.len() > 8), &|| {
        "updates come over https: write it like https://updates.example.org/tenrec/".to_owned()
    });
}

fn range(rule: &mut impl FnMut(&'static str, bool, &dyn Fn() -> String), key: &'static str, value: u64, low: u64, high: u64) {
    rule(key, (low..=high).contains(&value), &|| format!("{value} is out of range: {low} to {high}"));
}

fn is_host_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 253 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.bytes().any(|b| b == b'/' || b == b':' || b.is_ascii_whitespace() || b == 0)
}
