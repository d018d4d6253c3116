//! Names of capture files.
//!
//! ```text
//! tenrec-INTERFACE-YYYYMMDDThhmmss.uuuuuuZ-NUMBER.pcap[.lz4]     time of the first frame, UTC; NUMBER of eight digits or more
//! ```
//!
//! The number is the file's own on this sensor for ever: Arkime's sessions point at it (`packetPos`, `fileId`). Files of
//! earlier versions end in the worker's number, which has fewer digits: they are read, and no session points at them.

use std::path::Path;

use analyze::Time;

/// What every capture file's name begins with.
pub const PREFIX: &str = "tenrec-";
/// Digits of a number at least.
const DIGITS: usize = 8;
/// How the time is written.
const TIME: &str = "%Y%m%dT%H%M%S.%6fZ";

/// What the name of a capture file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The interface.
    pub interface: String,
    /// When its first frame came, to the microsecond.
    pub first: Time,
    /// The file's number; 0 if it is of an earlier version.
    pub number: u32,
    /// Whether it is compressed with LZ4.
    pub lz4: bool,
}

impl Name {
    /// The name in a folder.
    #[must_use]
    pub fn file_name(&self) -> String {
        let time = jiff::Timestamp::from_nanosecond(self.first.0.into()).unwrap_or_default().strftime(TIME);
        let ending = if self.lz4 { "pcap.lz4" } else { "pcap" };
        format!("{PREFIX}{}-{time}-{:0DIGITS$}.{ending}", self.interface, self.number)
    }

    /// What a path's last part tells; nothing if it is not of a capture file of ours.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
        let (name, lz4) = match name.strip_suffix(".lz4") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let name = name.strip_suffix(".pcap")?;
        let mut parts = name.rsplitn(3, '-');
        let (mut number, mut time, mut interface) = (parts.next()?, parts.next()?, parts.next()?);
        // An earlier version wrote a second number where two files began in one microsecond.
        if !time.ends_with('Z') {
            (interface, time) = interface.rsplit_once('-')?;
            number = "";
        }
        let first = jiff::civil::DateTime::strptime(TIME, time).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        let number = if number.len() >= DIGITS { number.parse().ok()? } else { 0 };
        Some(Self { interface: interface.to_owned(), first: Time(i64::try_from(first.as_nanosecond()).ok()?), number, lz4 })
    }
}

/// Whether a name is that of a capture file of ours.
#[must_use]
pub fn is_capture(name: &str) -> bool {
    name.starts_with(PREFIX) && (name.ends_with(".pcap") || name.ends_with(".pcap.lz4"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written() {
        for (interface, number, lz4) in [("eth1", 17, false), ("en-p0-s3", u32::MAX, true), ("a", 0, false)] {
            let name = Name { interface: interface.to_owned(), first: Time(1_700_000_000_123_456_000), number, lz4 };
            assert_eq!(Name::of(Path::new(&name.file_name())), Some(name.clone()));
            assert!(is_capture(&name.file_name()));
        }
    }

    #[test]
    fn an_earlier_versions_files_have_no_number() {
        for text in ["tenrec-eth1-20231114T221320.000001Z-3.pcap", "tenrec-eth1-20231114T221320.000001Z-3-2.pcap.lz4"] {
            let name = Name::of(Path::new(text)).unwrap();
            assert_eq!((name.interface.as_str(), name.number, name.first.micros()), ("eth1", 0, 1_700_000_000_000_001));
        }
    }

    #[test]
    fn other_files_are_not_ours() {
        for text in ["evidence.pcap", "tenrec-eth1.pcap", "tenrec-eth1-20231114T221320.000001Z-00000003.pcap.idx", "tenrec--x-y.pcap", ""] {
            assert_eq!(Name::of(Path::new(text)), None, "{text}");
        }
    }
}
