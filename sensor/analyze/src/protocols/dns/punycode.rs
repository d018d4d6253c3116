//! Internationalised names (RFC 3490) as people read them: labels that begin with `xn--` decoded (RFC 3492).

/// Characters of one label; RFC 1035 §2.3.4 allows 63 bytes, of which each adds one character at most.
const MAX_LABEL: usize = 63;

/// A dotted name with its labels decoded and in lower case; `None` if a label cannot be decoded.
pub(super) fn to_unicode(name: &str) -> Option<String> {
    let name = name.to_lowercase();
    let labels: Option<Vec<_>> =
        name.split('.').map(|label| label.strip_prefix("xn--").map_or_else(|| Some(label.to_owned()), decode)).collect();
    labels.map(|labels| labels.join("."))
}

/// RFC 3492 §6.2.
fn decode(label: &str) -> Option<String> {
    const BASE: u32 = 36;
    let (basic, deltas) = label.rsplit_once('-').unwrap_or(("", label));
    let mut text: Vec<char> = basic.chars().collect();
    let (mut code, mut at, mut bias) = (128u32, 0u32, 72u32);
    let mut digits = deltas.bytes();
    while digits.len() > 0 {
        let before = at;
        let mut weight = 1u32;
        for step in 1u32.. {
            let digit = match digits.next()? {
                byte @ b'a'..=b'z' => u32::from(byte - b'a'),
                byte @ b'0'..=b'9' => u32::from(byte - b'0') + 26,
                _ => return None,
            };
            at = at.checked_add(digit.checked_mul(weight)?)?;
            let threshold = (step * BASE).saturating_sub(bias).clamp(1, 26);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
        }
        let len = u32::try_from(text.len()).ok()? + 1;
        bias = adapt(at - before, len, before == 0);
        code = code.checked_add(at / len)?;
        at %= len;
        if text.len() >= MAX_LABEL {
            return None;
        }
        text.insert(usize::try_from(at).ok()?, char::from_u32(code)?);
        at += 1;
    }
    Some(text.into_iter().collect())
}

/// RFC 3492 §6.1.
const fn adapt(delta: u32, len: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / 700 } else { delta / 2 };
    delta += delta / len;
    let mut bias = 0;
    while delta > 455 {
        delta /= 35;
        bias += 36;
    }
    bias + 36 * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_decoded_and_the_rest_is_kept() {
        for (name, expected) in [
            ("WWW.Example.com", Some("www.example.com")),
            ("xn--80a0adav.xn--80ao21a", Some("уаноо.қаз")),
            ("xn--bcher-kva.example", Some("bücher.example")),
            ("xn--\u{7f}", None),
            ("xn--99999999999", None),
        ] {
            assert_eq!(to_unicode(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn no_label_panics() {
        for first in b'0'..=b'z' {
            for len in 0..70 {
                let label: String = std::iter::repeat_n(char::from(first), len).collect();
                to_unicode(&format!("xn--{label}"));
            }
        }
    }
}
