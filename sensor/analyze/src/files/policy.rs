//! Which files are carved, and under which name. Malcolm's modes and tables
//! (zeek/config/extractor_params.zeek and extractor_override.interesting.zeek of 26.08).

use crate::{Carve, FlowId, Time, Uid};

/// MIME type and extension, one a line, sorted by type.
static MAPPED: &str = include_str!("mapped.tsv");
/// Likewise, of the types that carry exploits.
static INTERESTING: &str = include_str!("interesting.tsv");

/// Types that mode `notcommtxt` leaves out.
const PLAIN_TEXT: &[&str] = &[
    "application/html",
    "application/json",
    "application/ocsp-response",
    "application/soap+xml",
    "application/x-pem-file",
    "application/x-x509-ca-cert",
    "application/x-x509-user-cert",
    "application/xhtml+xml",
    "application/xml",
    "application/xml-sitemap",
    "text/css",
    "text/html",
    "text/ini",
    "text/json",
    "text/plain",
    "text/x-file",
    "text/xml",
];

/// Whether a file of this type is carved in `mode`.
pub(super) fn is_carved(mode: Carve, mime: Option<&str>) -> bool {
    match mode {
        Carve::None => false,
        Carve::All => true,
        Carve::Known => mime.is_some(),
        Carve::Mapped => mime.is_some_and(|mime| extension_in(MAPPED, mime).is_some()),
        Carve::Interesting => mime.is_some_and(|mime| extension_in(INTERESTING, mime).is_some()),
        Carve::NotCommonText => !mime.is_some_and(|mime| PLAIN_TEXT.contains(&mime)),
    }
}

/// `<SOURCE>-<FUID>-<UID>-<YYYYmmddHHMMSS>.<ext>`, as Malcolm's links and its file server expect it.
pub(super) fn name(source: &str, fuid: Uid, id: &FlowId, at: Time, mime: Option<&str>) -> String {
    let extension = mime.and_then(|mime| extension_in(MAPPED, mime)).unwrap_or("dat");
    // The first part ends at the first hyphen: a source with one would break the pattern.
    let source = source.replace('-', "_");
    format!("{source}-{fuid}-{}-{}.{extension}", id.uid, stamp(at))
}

fn extension_in(table: &'static str, mime: &str) -> Option<&'static str> {
    table.lines().filter_map(|line| line.split_once('\t')).find(|(kind, _)| *kind == mime).map(|(_, extension)| extension)
}

/// `YYYYmmddHHMMSS` in UTC.
fn stamp(at: Time) -> String {
    let (year, month, day) = crate::time::civil(at.secs());
    let rest = at.secs().rem_euclid(86_400);
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_choose_as_malcolm_does() {
        assert!(is_carved(Carve::Interesting, Some("application/x-dosexec")));
        assert!(!is_carved(Carve::Interesting, Some("text/plain")));
        assert!(!is_carved(Carve::Interesting, None));
        assert!(is_carved(Carve::All, None) && !is_carved(Carve::Known, None));
        assert!(!is_carved(Carve::NotCommonText, Some("text/html")) && is_carved(Carve::NotCommonText, None));
    }

    #[test]
    fn the_time_in_a_name_is_utc() {
        assert_eq!(stamp(Time::from_secs(1_254_722_768)), "20091005060608");
        assert_eq!(stamp(Time::from_secs(951_782_400)), "20000229000000");
    }
}
