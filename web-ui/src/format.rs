//! Numbers as people read them.

/// `1 234 567`, with thin spaces that do not break.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// `1.5 GB`, in powers of 1000.
pub(crate) fn bytes(value: u64) -> String {
    scaled(value as f64, "B")
}

/// `1.5 Gbit/s`.
pub(crate) fn bit_rate(value: f64) -> String {
    scaled(value, "bit/s")
}

fn scaled(value: f64, unit: &str) -> String {
    let mut value = value;
    for prefix in ["", "k", "M", "G", "T"] {
        if value < 1000.0 {
            return if prefix.is_empty() || value >= 100.0 {
                format!("{value:.0} {prefix}{unit}")
            } else {
                format!("{value:.1} {prefix}{unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} P{unit}")
}

/// `3 d 4 h`, `5 h 12 min`, `7 min 3 s`.
pub(crate) fn span(seconds: f64) -> String {
    let total = seconds.max(0.0) as u64;
    let (days, hours, minutes, seconds) = (total / 86_400, total / 3600 % 24, total / 60 % 60, total % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Time of day in UTC with the date, to the second.
pub(crate) fn time(seconds: f64) -> String {
    jiff::Timestamp::from_second(seconds as i64).map_or_else(|_| "–".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Percent-encoded (RFC 3986 §2.3: what is unreserved stays).
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Text of a doc comment as HTML: escaped, with what stands between backticks as code.
pub(crate) fn marked(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    for (part, piece) in text.split('`').enumerate() {
        let is_code = part % 2 == 1;
        out.push_str(if is_code { "<code>" } else { "" });
        for c in piece.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                other => out.push(other),
            }
        }
        out.push_str(if is_code { "</code>" } else { "" });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_scaled() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((bytes(999), bytes(1500), bytes(2_000_000_000)), ("999 B".into(), "1.5 kB".into(), "2.0 GB".into()));
        assert_eq!((span(7.0), span(3700.0), span(200_000.0)), ("7 s".into(), "1 h 1 min".into(), "2 d 7 h".into()));
        assert_eq!(time(0.0), "1970-01-01 00:00:00");
    }

    #[test]
    fn code_is_marked_and_everything_is_escaped() {
        assert_eq!(marked("a `b<c>` & `d`"), "a <code>b&lt;c&gt;</code> &amp; <code>d</code>");
        assert_eq!(marked("`open <b>"), "<code>open &lt;b&gt;</code>");
    }
}
