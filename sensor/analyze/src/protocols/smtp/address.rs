//! Addresses in commands and headers: mail addresses (scripts/base/utils/email.zeek) and IP addresses
//! (scripts/base/utils/addrs.zeek).

use std::net::IpAddr;

/// Mail addresses in a text: something without blanks on both sides of an at sign.
pub(super) fn mail_addresses(text: &[u8]) -> Vec<Vec<u8>> {
    let separates = |c: u8| matches!(c, b'<' | b',' | b':' | b' ' | b'\t');
    let ends = |c: u8| matches!(c, b'>' | b',' | b';' | b' ' | b'\t');
    let mut found = Vec::new();
    let mut at = 0usize;
    while let Some(sign) = memchr::memchr(b'@', text.get(at..).unwrap_or_default()).map(|n| at.saturating_add(n)) {
        let before = text.get(at..sign).unwrap_or_default();
        let local = before.iter().rposition(|&c| separates(c)).map_or(before, |p| before.get(p.saturating_add(1)..).unwrap_or_default());
        // What precedes must be the beginning or a separator, not what is left of the address before.
        let anchored = local.len() < before.len() || at == 0;
        let rest = text.get(sign.saturating_add(1)..).unwrap_or_default();
        let domain = rest.iter().position(|&c| ends(c)).map_or(rest, |p| rest.get(..p).unwrap_or_default());
        at = sign.saturating_add(1);
        if local.is_empty() || domain.is_empty() || !anchored {
            continue;
        }
        at = at.saturating_add(domain.len());
        let address = [local, b"@", domain].concat();
        found.push(address.into_iter().filter(|c| !matches!(c, b'<' | b'>' | b',' | b':' | b';' | b' ' | b'\t')).collect());
    }
    found
}

/// Splits a header with several addresses, display names included. A comma inside of quotes does not split if the
/// quotes come first.
pub(super) fn split(header: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some(&first) = rest.first() {
        if first == b',' {
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let plain = memchr::memchr(b',', rest).unwrap_or(rest.len());
        let quoted = (first == b'"').then(|| {
            let close = memchr::memchr(b'"', rest.get(1..)?)?.saturating_add(2);
            let after = rest.get(close..)?;
            let tail = memchr::memchr(b',', after).unwrap_or(after.len());
            (tail > 0).then(|| close.saturating_add(tail))
        });
        let len = quoted.flatten().unwrap_or(plain).max(plain);
        let (part, tail) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        found.push(part.trim_ascii().to_vec());
        rest = tail;
    }
    found
}

/// IP addresses in a text; of a `Received` header only those that are wrapped in blanks or brackets.
pub(super) fn ip_addresses(text: &[u8], wrapped: bool) -> Vec<IpAddr> {
    let belongs = |c: u8| c.is_ascii_hexdigit() || matches!(c, b'.' | b':');
    let mut found = Vec::new();
    let mut at = 0usize;
    while at < text.len() {
        let run = text.get(at..).unwrap_or_default().iter().take_while(|&&c| belongs(c)).count();
        if run == 0 {
            at = at.saturating_add(1);
            continue;
        }
        let end = at.saturating_add(run);
        let word = text.get(at..end).and_then(|w| std::str::from_utf8(w).ok()).unwrap_or_default();
        let before = at.checked_sub(1).and_then(|i| text.get(i)).copied();
        let after = text.get(end).copied();
        let is_wrapped = matches!(
            (before, after),
            (Some(b'['), Some(b']')) | (Some(b'('), Some(b')')) | (Some(b'{'), Some(b'}')) | (Some(b' ') | None, Some(b' ') | None)
        );
        if let Ok(ip) = word.parse()
            && (is_wrapped || !wrapped)
        {
            found.push(ip);
        }
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found() {
        let text = |all: Vec<Vec<u8>>| all.into_iter().map(|a| String::from_utf8(a).unwrap()).collect::<Vec<_>>();
        assert_eq!(text(mail_addresses(b"FROM:<a@b.c> SIZE=12")), ["a@b.c"]);
        assert_eq!(text(mail_addresses(b"to: x@y, <z@w>; @q")), ["x@y", "z@w"]);
        assert_eq!(text(split(b"\"A, B\" <a@b>, c@d")), ["\"A, B\" <a@b>", "c@d"]);
        let received = b"from a (a [192.0.2.1]) by b with SMTP id 1.2.3; [IPv6:2001:db8::1]";
        assert_eq!(ip_addresses(received, true), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    }
}
