//! Environment variables that override the file: the names that a Malcolm sensor already uses.

use crate::{AnalysisMode, Sections};

/// One variable and the key it overrides.
pub struct Override {
    /// Name of the variable.
    pub variable: &'static str,
    /// The key, `section.key`.
    pub key: &'static str,
    apply: fn(&mut Sections, &str) -> Result<(), String>,
}

/// Every variable that is looked at. An empty variable counts as unset: Malcolm's files list many without a value.
pub static OVERRIDES: &[Override] = &[
    Override { variable: "PCAP_IFACE", key: "capture.interfaces", apply: |s, text| list(text, &mut s.capture.interfaces) },
    Override { variable: "ZEEK_ROTATED_PCAP", key: "analysis.mode", apply: |s, text| mode(text, AnalysisMode::Rotated, s) },
    Override { variable: "SURICATA_ROTATED_PCAP", key: "analysis.mode", apply: |s, text| mode(text, AnalysisMode::Rotated, s) },
    // After the others: who wants either live gets both live.
    Override { variable: "ZEEK_LIVE_CAPTURE", key: "analysis.mode", apply: |s, text| mode(text, AnalysisMode::Live, s) },
    Override { variable: "SURICATA_LIVE_CAPTURE", key: "analysis.mode", apply: |s, text| mode(text, AnalysisMode::Live, s) },
    Override { variable: "PCAP_FILTER", key: "capture.filter", apply: |s, text| word(text, &mut s.capture.filter) },
    Override {
        variable: "PCAP_ROTATE_MEGABYTES",
        key: "pcap.rotate_megabytes",
        apply: |s, text| number(text, &mut s.pcap.rotate_megabytes),
    },
    Override { variable: "PCAP_ROTATE_MINUTES", key: "pcap.rotate_minutes", apply: |s, text| number(text, &mut s.pcap.rotate_minutes) },
    Override { variable: "PCAP_NODE_NAME", key: "node.name", apply: |s, text| word(text, &mut s.node.name) },
    Override { variable: "EXTRA_TAGS", key: "node.tags", apply: |s, text| list(text, &mut s.node.tags) },
    Override { variable: "EXTRACTED_FILE_MAX_BYTES", key: "files.max_bytes", apply: |s, text| number(text, &mut s.files.max_bytes) },
    Override { variable: "ZEEK_EXTRACTOR_MODE", key: "files.carving", apply: |s, text| parsed(text, &mut s.files.carving) },
    Override { variable: "OPENSEARCH_URL", key: "opensearch.hosts", apply: |s, text| parsed_list(text, &mut s.opensearch.hosts) },
    Override {
        variable: "OPENSEARCH_CREDS_CONFIG_FILE",
        key: "opensearch.password_file",
        apply: |s, text| {
            s.opensearch.password_file = Some(text.into());
            Ok(())
        },
    },
    Override {
        variable: "ARKIME_PASSWORD_SECRET",
        key: "viewer.secret",
        apply: |s, text| {
            s.viewer.secret = text.to_owned().into();
            s.viewer.secret_file = None;
            Ok(())
        },
    },
    Override { variable: "FILESCAN_PRESERVATION", key: "files.preservation", apply: |s, text| parsed(text, &mut s.files.preservation) },
];

impl Override {
    /// Puts the variable's text in place of the file's value, or says what is wrong with it.
    pub(crate) fn apply(&self, sections: &mut Sections, text: &str) -> Result<(), String> {
        (self.apply)(sections, text.trim())
    }
}

/// Malcolm's switches: on, they set a mode; off, they leave it to the others.
fn mode(text: &str, wanted: AnalysisMode, sections: &mut Sections) -> Result<(), String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => sections.analysis.mode = wanted,
        "false" | "0" | "no" => {}
        _ => return Err(format!("{text:?} is neither true nor false")),
    }
    Ok(())
}

fn word(text: &str, place: &mut String) -> Result<(), String> {
    text.clone_into(place);
    Ok(())
}

fn list(text: &str, place: &mut Vec<String>) -> Result<(), String> {
    *place = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
    Ok(())
}

fn parsed_list<T: std::str::FromStr<Err = String>>(text: &str, place: &mut Vec<T>) -> Result<(), String> {
    *place = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
    Ok(())
}

fn number(text: &str, place: &mut u64) -> Result<(), String> {
    *place = text.parse().map_err(|_| format!("{text:?} is not a whole number"))?;
    Ok(())
}

fn parsed<T: std::str::FromStr<Err = String>>(text: &str, place: &mut T) -> Result<(), String> {
    *place = text.parse()?;
    Ok(())
}
