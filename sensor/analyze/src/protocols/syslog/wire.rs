//! Syslog messages: `<priority>text` (RFC 3164 §4.1.1, RFC 5424 §6.2.1).

use std::borrow::Cow;

use crate::Reader;

/// Digits of a message's length in a stream.
const MAX_LENGTH_DIGITS: usize = 6;

/// Facility and severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Priority(u16);

impl Priority {
    /// Reads the priority, if there is one, and says what follows it.
    pub(super) fn read(bytes: &[u8]) -> (Option<Self>, &[u8]) {
        let mut reader = Reader::new(bytes);
        let found = reader.u8().filter(|&b| b == b'<').and_then(|_| reader.until(b'>')).and_then(|digits| {
            let digits = digits.strip_suffix(b">").unwrap_or(digits);
            (digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit)).then_some(digits)
        });
        match found.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()) {
            Some(value) => (Some(Self(value)), reader.rest()),
            None => (None, bytes),
        }
    }
}

/// Name of the facility (scripts/base/protocols/syslog/consts.zeek).
pub(super) fn facility(priority: Option<Priority>) -> Cow<'static, str> {
    const NAMES: [&str; 24] = [
        "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP", "NTP", "AUDIT", "ALERT",
        "CLOCK", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7",
    ];
    let Some(Priority(value)) = priority else { return Cow::Borrowed("UNSPECIFIED") };
    let code = value >> 3 & 0x7f;
    NAMES.get(usize::from(code)).map_or_else(|| Cow::Owned(format!("?-{code}")), |name| Cow::Borrowed(*name))
}

/// Name of the severity.
pub(super) fn severity(priority: Option<Priority>) -> Cow<'static, str> {
    const NAMES: [&str; 8] = ["EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG"];
    let Some(Priority(value)) = priority else { return Cow::Borrowed("UNSPECIFIED") };
    Cow::Borrowed(NAMES.get(usize::from(value & 7)).copied().unwrap_or("UNSPECIFIED"))
}

/// A message in a stream: with its length before it, or ended by a line feed (RFC 6587 §3.4).
pub(super) enum Framed<'a> {
    NeedMore,
    /// The message, and how many bytes it took.
    Message(&'a [u8], usize),
    Bad,
}

impl<'a> Framed<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        if bytes.first() == Some(&b'<') {
            return match bytes.iter().position(|&b| b == b'\n') {
                Some(end) => Self::Message(bytes.get(..end).unwrap_or_default(), end.saturating_add(1)),
                None => Self::NeedMore,
            };
        }
        let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == bytes.len() && digits <= MAX_LENGTH_DIGITS {
            return Self::NeedMore;
        }
        let len = bytes.get(..digits).and_then(|d| std::str::from_utf8(d).ok()?.parse::<usize>().ok());
        match (len, bytes.get(digits)) {
            (Some(len), Some(b' ')) if digits <= MAX_LENGTH_DIGITS => {
                let start = digits.saturating_add(1);
                let end = start.saturating_add(len);
                bytes.get(start..end).map_or(Self::NeedMore, |text| Self::Message(text, end))
            }
            _ => Self::Bad,
        }
    }
}
