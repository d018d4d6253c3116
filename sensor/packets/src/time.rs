//! Times as people write them.

use std::str::FromStr;

use analyze::Time;
use thiserror::Error;

/// The text is no time.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no time: write 2026-11-24T14:02:00Z, seconds since 1970, now, or how long ago as in -10m (s, m, h, d)")]
pub struct Invalid(String);

/// A time: RFC 3339, seconds since 1970, `now`, or how long ago (`-90s`, `-10m`, `-2h`, `-1d`). Without an offset it is UTC.
///
/// # Errors
/// [`Invalid`] for other texts.
pub fn parse(text: &str, now: Time) -> Result<Time, Invalid> {
    let text = text.trim();
    let invalid = || Invalid(text.to_owned());
    if text.eq_ignore_ascii_case("now") {
        return Ok(now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        let (number, unit) = ago.split_at(ago.len() - ago.chars().next_back().map_or(0, char::len_utf8));
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(invalid()),
        };
        let nanoseconds =
            i64::from_str(number).ok().filter(|number| *number >= 0).and_then(|number| number.checked_mul(unit * 1_000_000_000));
        return Ok(Time(now.0.saturating_sub(nanoseconds.ok_or_else(invalid)?)));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return seconds(text).ok_or_else(invalid);
    }
    let timestamp = jiff::Timestamp::from_str(text).ok();
    let civil = || jiff::civil::DateTime::from_str(text).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let nanoseconds = timestamp.or_else(civil).ok_or_else(invalid)?.as_nanosecond();
    i64::try_from(nanoseconds).map(Time).map_err(|_| invalid())
}

fn seconds(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.get(..fraction.len().min(9))?;
    let fraction: i64 = format!("{digits:0<9}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction).map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_700_000_000);

    #[test]
    fn times_are_read_in_all_forms() {
        for (text, wanted) in [
            ("2023-11-14T22:13:20Z", 0),
            ("2023-11-14 22:13:20", 0),
            ("2023-11-14T23:13:20.5+01:00", 500_000_000),
            ("1700000000", 0),
            ("1700000000.25", 250_000_000),
            ("now", 0),
            ("-10m", -600_000_000_000),
            ("-1d", -86_400_000_000_000),
            ("2023-11-14", -80_000_000_000_000),
        ] {
            assert_eq!(parse(text, NOW), Ok(Time(NOW.0 + wanted)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_what_to_write() {
        for text in ["", "-", "-10", "-m", "--1s", "yesterday", "10:00", "99999999999999999999", "-99999999999d", "1.2.3"] {
            let message = parse(text, NOW).unwrap_err().to_string();
            assert!(message.contains("-10m"), "{text}: {message}");
        }
    }
}
