//! Numbers and times as people read them.

use jiff::Timestamp;

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Large counts in short: `12.3 k`, `4.56 M`. Below ten thousand as they are.
pub(crate) fn short(number: f64) -> String {
    if number < 10_000.0 {
        return count(number.round() as u64);
    }
    scaled(number, 1000.0, &["", " k", " M", " G", " T", " P"])
}

/// Bytes with binary prefixes: `1.50 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    if number < 1024 { format!("{number} B") } else { scaled(number as f64, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB"]) }
}

/// Bytes per second as bits per second, as links are measured.
pub(crate) fn bits(bytes_per_second: f64) -> String {
    let bits = bytes_per_second * 8.0;
    if bits < 1000.0 { format!("{bits:.0} bit/s") } else { scaled(bits, 1000.0, &[" bit/s", " kbit/s", " Mbit/s", " Gbit/s", " Tbit/s"]) }
}

fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let mut value = number;
    let mut names = units.iter();
    let mut unit = names.next().copied().unwrap_or_default();
    // Rounded up, 999.95 would read 1000 of the unit below.
    while value >= step - 0.05
        && let Some(next) = names.next()
    {
        value /= step;
        unit = next;
    }
    let decimals = if value < 10.0 { 2 } else { 1 };
    format!("{value:.decimals$}{unit}")
}

/// A duration in seconds: `3 d 4 h`, `5 min 6 s`, `7.3 s`, `0.120 s`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0 => format!("{:.3} s", seconds.max(0.0)),
        1..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// A time in seconds since 1970 as `2026-11-24 10:47:21` (UTC).
pub(crate) fn time(seconds: f64) -> String {
    Timestamp::from_second(seconds as i64).map_or_else(|_| "—".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Only the time of the day.
pub(crate) fn clock(seconds: f64) -> String {
    Timestamp::from_second(seconds as i64).map_or_else(|_| "—".to_owned(), |time| time.strftime("%H:%M:%S").to_string())
}

/// The points of an SVG polyline through `values`, in a box of `width` by `height`, largest value at the top.
pub(crate) fn curve(values: impl ExactSizeIterator<Item = f64> + Clone, width: f64, height: f64) -> String {
    let most = values.clone().fold(1.0_f64, f64::max);
    let last = values.len().saturating_sub(1).max(1) as f64;
    let points = values.enumerate().map(|(at, value)| format!("{:.1},{:.1}", at as f64 / last * width, height - value / most * height));
    points.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (count(0).as_str(), count(999).as_str(), count(1000).as_str(), count(1_234_567).as_str()),
            ("0", "999", "1,000", "1,234,567")
        );
        assert_eq!((short(9999.0).as_str(), short(12_340.0).as_str(), short(4_560_000.0).as_str()), ("9,999", "12.3 k", "4.56 M"));
        assert_eq!(
            (bytes(0).as_str(), bytes(1023).as_str(), bytes(1024).as_str(), bytes(1_572_864).as_str()),
            ("0 B", "1023 B", "1.00 KiB", "1.50 MiB")
        );
        assert_eq!((bits(0.0).as_str(), bits(125_000_000.0).as_str()), ("0 bit/s", "1.00 Gbit/s"));
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
    }

    #[test]
    fn times_read_well() {
        assert_eq!((duration(0.12).as_str(), duration(7.34).as_str(), duration(306.0).as_str()), ("0.120 s", "7.3 s", "5 min 6 s"));
        assert_eq!((duration(14_400.0).as_str(), duration(273_600.0).as_str()), ("4 h 0 min", "3 d 4 h"));
        assert_eq!((time(1_700_000_000.9).as_str(), clock(1_700_000_000.0).as_str()), ("2023-11-14 22:13:20", "22:13:20"));
        assert_eq!(time(f64::MAX), "—");
    }

    #[test]
    fn a_curve_fits_its_box() {
        assert_eq!(curve([0.0, 5.0, 10.0].into_iter(), 100.0, 20.0), "0.0,20.0 50.0,10.0 100.0,0.0");
        assert_eq!(curve([].into_iter(), 100.0, 20.0), "");
        assert_eq!(curve([0.0].into_iter(), 100.0, 20.0), "0.0,20.0");
    }
}
