//! Tags from the names of captures, as Malcolm derives them (shared/bin/pcap_utils.py; its upload form writes such names).

use std::path::Path;

use tail::Marks;

/// Parts of a name that say nothing: what it is, and who made it.
const IGNORED: [&str; 12] =
    ["pcap", "cap", "dmp", "log", "bro", "zeek", "suricata", "tcpdump", "mtcpdump", "netsniff", "mnetsniff", "pcapng"];
/// Words by which Malcolm's upload form says what is to be done; here everything is done.
const CONTROL: [&str; 4] = ["AUTOARKIME", "AUTOZEEK", "AUTOSURICATA", "USERTAG"];
/// Endings of compressed captures.
const COMPRESSED: [&str; 4] = ["gz", "lz4", "zst", "xz"];
/// Tags of one file at most.
const MOST: usize = 32;

/// What a capture's name says: tags, and the NetBox site (`NBSITEID7`).
pub fn marks(path: &Path) -> Marks {
    let mut marks = Marks::default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for part in name.split([',', '-', '/', '_', '.']).map(str::trim).filter(|part| !part.is_empty()) {
        let is_word = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(part));
        if let Some(site) = part.strip_prefix("NBSITEID").filter(|site| !site.is_empty() && site.bytes().all(|b| b.is_ascii_digit())) {
            marks.site = Some(site.to_owned());
        } else if part.bytes().all(|byte| byte.is_ascii_digit()) || is_word(&IGNORED) || CONTROL.contains(&part) || is_word(&COMPRESSED) {
            continue;
        } else if marks.tags.len() < MOST && !marks.tags.iter().any(|tag| tag == part) {
            marks.tags.push(part.to_owned());
        }
    }
    marks
}

/// As [`marks`], for a file among the results of a capture, whose folder is called after it.
pub fn marks_of_result(path: &Path) -> Marks {
    let folder = path.parent().unwrap_or(path);
    // The name, and what tells it from another file of that name.
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    marks(Path::new(name.rsplit_once('~').map_or(&*name, |(name, _)| name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, tags: &[&str], site: Option<&str>) {
        let marks = marks(Path::new(name));
        assert_eq!((marks.tags.iter().map(String::as_str).collect::<Vec<_>>(), marks.site.as_deref()), (tags.to_vec(), site), "{name}");
    }

    #[test]
    fn names_are_split_as_malcolm_splits_them() {
        check("/w/plant,line-2,NBSITEID7.pcap", &["plant", "line"], Some("7"));
        check("mnetsniff-eth1_20260101.pcap", &["eth1"], None);
        check("AUTOZEEK,AUTOARKIME,USERTAG,Floor 3,x.PCAP.gz", &["Floor 3", "x"], None);
        check("2026.pcapng", &[], None);
        check("a,a,b.pcap", &["a", "b"], None);
    }

    #[test]
    fn results_bear_the_name_of_their_capture() {
        assert_eq!(marks_of_result(Path::new("/l/watched/plant,x.pcap~1f-2a/conn.log")).tags, ["plant", "x"]);
    }
}
