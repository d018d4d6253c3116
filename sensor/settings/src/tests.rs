use std::path::{Path, PathBuf};

use super::*;

fn parse(text: &str) -> Result<Settings, Error> {
    Settings::parse(text, Path::new("tenrec.toml"), |_| None)
}

fn complaint(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn with(variable: &str, value: &str) -> Result<Settings, Error> {
    Settings::parse("", Path::new("tenrec.toml"), |asked| (asked == variable).then(|| value.to_owned()))
}

#[test]
fn an_empty_file_gives_the_defaults_and_the_hosts_name() {
    let settings = parse("").unwrap();
    assert_eq!(settings, Settings::default());
    assert!(!settings.node.name.is_empty());
    assert_eq!((settings.pcap.rotate_megabytes, settings.pcap.rotate_minutes), (4096, 10));
    assert!(settings.analysis.local_networks.is_empty());
}

#[test]
fn the_default_file_is_valid_and_means_the_defaults() {
    assert_eq!(parse(&default_toml()).unwrap(), Settings::default());
}

#[test]
fn every_key_of_the_default_file_is_valid_once_its_comment_sign_is_removed() {
    let uncommented: String = default_toml()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let settings = parse(&uncommented).unwrap();
    let defaults = Settings::default();
    assert_eq!(settings.analysis.seed, Some(42));
    assert_eq!(settings.forward.ca, Some(PathBuf::from("/etc/tenrec/certs/ca.crt")));
    assert_eq!(settings.capture, defaults.capture);
    assert_eq!(settings.collector.opensearch_listen, Some("0.0.0.0:9200".parse().unwrap()));
    assert_eq!(settings.collector.listen, defaults.collector.listen);
    assert_eq!(settings.files, defaults.files);
}

#[test]
fn every_key_is_documented_and_every_unset_key_has_an_example() {
    let defaults = toml::Table::try_from(Sections::default()).unwrap();
    for section in SECTIONS {
        assert!(!section.doc.is_empty(), "{}", section.name);
        for key in section.keys {
            assert!(!key.doc.is_empty(), "{}.{}", section.name, key.name);
            assert!(defaults[section.name].get(key.name).is_some() || !key.example.is_empty(), "{}.{}", section.name, key.name);
        }
    }
}

#[test]
fn a_typo_is_answered_with_line_and_nearest_key() {
    assert_eq!(
        complaint("[capture]\n\nintefaces = [\"eth1\"]\n"),
        "tenrec.toml:3: capture.intefaces: there is no such key; did you mean interfaces?"
    );
    assert_eq!(complaint("[capturing]\n"), "tenrec.toml:1: there is no section [capturing]; did you mean [capture]?");
    assert_eq!(
        complaint("[node]\nsnaplen = 1\n"),
        "tenrec.toml:2: node.snaplen: there is no such key in [node]; it belongs into [capture]"
    );
    assert!(complaint("node = 3\n").contains("is a section"));
}

#[test]
fn all_problems_are_reported_at_once() {
    let complaint = complaint("[pcap]\nrotate_megabytes = 0\nrotate_minutes = 99999\n[forward]\nenabled = true\n");
    assert_eq!(
        complaint.lines().collect::<Vec<_>>(),
        [
            "tenrec.toml:2: pcap.rotate_megabytes: 0 is out of range: 1 to 1048576",
            "tenrec.toml:3: pcap.rotate_minutes: 99999 is out of range: 0 to 10080",
            "tenrec.toml: forward.hosts: forwarding is on and no collector is named: set forward.hosts, or forward.enabled = false",
            "tenrec.toml: forward.ca: forward.verify = \"chain\" needs the certificate of the collector's CA: set forward.ca to its file",
        ]
    );
}

#[test]
fn a_value_of_the_wrong_kind_names_its_key() {
    let said = complaint("[pcap]\nrotate_megabytes = \"big\"\n");
    assert!(said.starts_with("tenrec.toml:2: pcap.rotate_megabytes: invalid type"), "{said}");
    let said = complaint("[capture]\nmode = \"dpdk\"\n");
    assert!(said.contains("capture.mode") && said.contains("af_packet"), "{said}");
    let said = complaint("[forward]\nhosts = [\"a:1\", \"b:0\"]\n");
    assert!(said.contains("forward.hosts") && said.contains("\"b:0\" is not a host"), "{said}");
}

#[test]
fn delivery_of_sessions_needs_a_host_a_ca_and_one_password() {
    let said = complaint("[opensearch]\nenabled = true\nuser = \"a:b\"\n");
    assert!(said.contains("opensearch.hosts: delivery of sessions is on") && said.contains("opensearch.user"), "{said}");
    let said = complaint("[opensearch]\nenabled = true\nhosts = [\"malcolm:9200\"]\npassword = \"hunter2\"\npassword_file = \"/x\"\n");
    assert!(said.contains("opensearch.ca: opensearch.verify") && said.contains("opensearch.password_file"), "{said}");
    assert!(!said.contains("hunter2"));
    assert!(!complaint("[opensearch]\npassword = 31337\n").contains("31337"));
    assert!(parse("[opensearch]\nenabled = true\nhosts = [\"http://127.0.0.1:9200\"]\n").is_ok(), "in the clear there is nothing to check");
}

#[test]
fn broken_toml_names_its_line() {
    let complaint = complaint("[pcap]\nenabled = \n");
    assert!(complaint.starts_with("tenrec.toml:2: this is not TOML"), "{complaint}");
}

#[test]
fn the_environment_goes_over_the_file() {
    let settings = Settings::parse("[pcap]\nrotate_minutes = 3\n", Path::new("t"), |variable| {
        Some(
            match variable {
                "PCAP_IFACE" => "eth1, eth2",
                "PCAP_FILTER" => "not port 22",
                "PCAP_ROTATE_MEGABYTES" => "100",
                "PCAP_ROTATE_MINUTES" => "5",
                "PCAP_NODE_NAME" => "sensor-7",
                "EXTRA_TAGS" => "plant,line 3",
                "EXTRACTED_FILE_MAX_BYTES" => "1000",
                "ZEEK_EXTRACTOR_MODE" => "all",
                "FILESCAN_PRESERVATION" => "none",
                "OPENSEARCH_URL" => "https://malcolm:9200",
                "OPENSEARCH_CREDS_CONFIG_FILE" => "/run/curlrc",
                _ => return None,
            }
            .to_owned(),
        )
    })
    .unwrap();
    assert_eq!(settings.capture.interfaces, ["eth1", "eth2"]);
    assert_eq!(settings.capture.filter, "not port 22");
    assert_eq!((settings.pcap.rotate_megabytes, settings.pcap.rotate_minutes), (100, 5));
    assert_eq!(settings.node.name, "sensor-7");
    assert_eq!(settings.node.tags, ["plant", "line 3"]);
    assert_eq!(settings.files.max_bytes, 1000);
    assert_eq!(settings.opensearch.hosts, ["https://malcolm:9200".parse().unwrap()]);
    assert_eq!(settings.opensearch.password_file, Some(PathBuf::from("/run/curlrc")));
    assert_eq!((settings.files.carving, settings.files.preservation), (CarvingMode::All, Preservation::None));
}

#[test]
fn a_wrong_variable_is_named_as_the_place() {
    assert_eq!(
        with("PCAP_ROTATE_MEGABYTES", "many").unwrap_err().to_string(),
        "environment variable PCAP_ROTATE_MEGABYTES: pcap.rotate_megabytes: \"many\" is not a whole number"
    );
    assert!(with("PCAP_ROTATE_MEGABYTES", "0").unwrap_err().to_string().starts_with("environment variable PCAP_ROTATE_MEGABYTES"));
    assert!(with("PCAP_NODE_NAME", "no spaces").unwrap_err().to_string().contains("PCAP_NODE_NAME"));
    assert!(with("PCAP_IFACE", "eth/1").unwrap_err().to_string().contains("ip -brief link"));
    assert!(with("PCAP_IFACE", "eth1,eth1").unwrap_err().to_string().contains("twice"));
    assert!(with("ZEEK_EXTRACTOR_MODE", "some").unwrap_err().to_string().contains("notcommtxt"));
}

#[test]
fn one_folder_cannot_have_two_owners() {
    let complaint = complaint("[logs]\nfolder = \"/data\"\n[files]\nfolder = \"/data\"\n");
    assert_eq!(complaint, "tenrec.toml:4: files.folder: /data is already logs.folder: each needs a folder of its own");
}

#[test]
fn capture_needs_an_interface() {
    assert!(parse("").unwrap().check_for_capture(Path::new("t")).unwrap_err().to_string().contains("PCAP_IFACE"));
    assert!(parse("[capture]\ninterfaces=[\"lo\"]").unwrap().check_for_capture(Path::new("t")).is_ok());
}

#[test]
fn a_missing_file_is_named_with_its_cause() {
    let error = Settings::load(Path::new("/nonexistent/tenrec.toml")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/tenrec.toml"));
    assert!(std::error::Error::source(&error).is_some());
}
