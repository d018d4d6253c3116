//! FTP lines: commands, replies, and the addresses in them (RFC 959, RFC 2428).

use std::net::{IpAddr, Ipv4Addr};

use crate::Endpoint;

/// Letters of a command (Zeek's `FTP::max_command_length`).
pub(super) const MAX_COMMAND: usize = 100;

/// Telnet's escape (RFC 854).
const IAC: u8 = 255;

/// A line without telnet's commands, which clients send before `ABOR`.
pub(super) fn without_telnet(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut bytes = line.iter();
    while let Some(&byte) = bytes.next() {
        if byte != IAC {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(&IAC) => out.push(IAC),
            // WILL, WONT, DO and DONT have an option.
            Some(251..=254) => drop(bytes.next()),
            _ => {}
        }
    }
    out
}

/// A line split into its first word and what follows the white space after it.
pub(super) fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let line = skip_space(line);
    let len = line.iter().take_while(|b| !is_space(**b)).count();
    let (word, rest) = line.split_at_checked(len).unwrap_or((line, &[]));
    (word, skip_space(rest))
}

/// Three printable letters or more.
pub(super) fn is_command(word: &[u8]) -> bool {
    word.len() >= 3 && word.iter().all(u8::is_ascii_graphic)
}

/// Bytes after the white space at the start.
pub(super) fn skip_space(bytes: &[u8]) -> &[u8] {
    bytes.get(bytes.iter().take_while(|b| is_space(**b)).count()..).unwrap_or_default()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}

/// The three digits that a reply starts with; 0 if there are none.
pub(super) fn code(line: &[u8]) -> u64 {
    match line {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
            let digit = |d: &u8| u64::from(d.wrapping_sub(b'0'));
            digit(a).saturating_mul(100).saturating_add(digit(b).saturating_mul(10)).saturating_add(digit(c))
        }
        _ => 0,
    }
}

/// `h1,h2,h3,h4,p1,p2` of a `PORT` command.
pub(super) fn port(text: &[u8]) -> Option<Endpoint> {
    let text = std::str::from_utf8(text).ok()?.trim_ascii();
    let mut numbers = [0u8; 6];
    let mut parts = text.split(',');
    for number in &mut numbers {
        let part = parts.next()?;
        let end = part.bytes().take_while(u8::is_ascii_digit).count();
        *number = part.get(..end)?.parse().ok()?;
    }
    let [a, b, c, d, high, low] = numbers;
    Some(Endpoint { addr: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port: u16::from_be_bytes([high, low]) })
}

/// The same in a reply to `PASV`: after a parenthesis or from the first digit on.
pub(super) fn passive(text: &[u8]) -> Option<Endpoint> {
    let start = match text.iter().position(|&b| b == b'(') {
        Some(at) => at.saturating_add(1),
        None => text.iter().position(u8::is_ascii_digit)?,
    };
    port(text.get(start..)?)
}

/// `|protocol|address|port|` of an `EPRT` command.
pub(super) fn extended_port(text: &[u8]) -> Option<(Option<IpAddr>, u16)> {
    let text = std::str::from_utf8(text).ok()?;
    let delimiter = text.chars().next()?;
    let mut parts = text.get(delimiter.len_utf8()..)?.split(delimiter);
    let (protocol, address, port) = (parts.next()?, parts.next()?, parts.next()?);
    let address = match (protocol, address) {
        (_, "") => None,
        ("1" | "2" | "", address) => Some(address.parse().ok()?),
        _ => return None,
    };
    Some((address, port.parse().ok()?))
}

/// The same in a reply to `EPSV`, in parentheses.
pub(super) fn extended_passive(text: &[u8]) -> Option<(Option<IpAddr>, u16)> {
    let start = text.iter().position(|&b| b == b'(')?.saturating_add(1);
    extended_port(text.get(start..)?)
}

/// The last number in a text.
pub(super) fn last_number(text: &[u8]) -> u64 {
    let digits = text.rsplit(|b| !b.is_ascii_digit()).find(|part| !part.is_empty()).unwrap_or_default();
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The absolute path in a reply to `PWD` (scripts/base/utils/paths.zeek).
pub(super) fn path_in(text: &[u8]) -> Vec<u8> {
    let start = (0..text.len()).find(|&at| text.get(at..).is_some_and(is_absolute));
    let rest = start.and_then(|at| text.get(at..)).unwrap_or_default();
    let mut end = 0usize;
    while let Some(&byte) = rest.get(end) {
        let escaped = byte == b'\\' && rest.get(end.saturating_add(1)) == Some(&b' ');
        if byte == b'"' || byte == b' ' {
            break;
        }
        end = end.saturating_add(if escaped { 2 } else { 1 });
    }
    rest.get(..end).unwrap_or_default().to_vec()
}

fn is_absolute(path: &[u8]) -> bool {
    matches!(path, [b'/', ..] | [b'A'..=b'Z' | b'a'..=b'z', b':', b'/' | b'\\', ..])
}

/// A file's path below a directory, without the parts that go up again.
pub(super) fn path(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let whole = if is_absolute(name) || directory.is_empty() {
        name.to_vec()
    } else if directory.ends_with(b"/") {
        [directory, name].concat()
    } else {
        [directory, b"/", name].concat()
    };
    let mut parts: Vec<&[u8]> = Vec::new();
    for (i, part) in whole.split(|&b| b == b'/').enumerate() {
        match part {
            b"" if i > 0 => {}
            b"." if i > 0 => {}
            b".." if parts.last().is_some_and(|last| !matches!(*last, b"" | b"..")) => drop(parts.pop()),
            b".." if parts.last() == Some(&&b""[..]) => {}
            part => parts.push(part),
        }
    }
    if parts.len() == 1 && parts.first().is_some_and(|part| part.is_empty()) {
        return b"/".to_vec();
    }
    parts.join(&b'/')
}

/// Whether a reply is one that a command can have (RFC 959 §5.4 and extensions; base/protocols/ftp/utils-commands.zeek).
pub(super) fn fits(command: &[u8], code: u64) -> bool {
    const SYNTAX: &[u64] = &[500, 501];
    let (own, syntax): (&[u64], &[u64]) = match command {
        b"<init>" => (&[120, 220, 421, 0], &[]),
        b"<missing>" => (&[0], &[]),
        b"USER" => (&[230, 331, 332, 421, 530], SYNTAX),
        b"PASS" => (&[230, 202, 332, 421, 530, 503], SYNTAX),
        b"ACCT" => (&[230, 202, 421, 530, 503], SYNTAX),
        b"CWD" | b"RMD" => (&[250, 421, 502, 530, 550], SYNTAX),
        b"CDUP" => (&[200, 250, 421, 502, 530, 550], SYNTAX),
        b"SMNT" => (&[202, 250, 421, 502, 530, 550], SYNTAX),
        b"REIN" => (&[120, 220, 421, 500, 502], &[]),
        b"QUIT" => (&[221, 500, 0], &[]),
        b"PORT" => (&[200, 421, 530], SYNTAX),
        b"PASV" => (&[227, 421, 502, 530], SYNTAX),
        b"MODE" => (&[200, 421, 502, 504, 530], SYNTAX),
        b"TYPE" | b"STRU" => (&[200, 421, 504, 530], SYNTAX),
        b"ALLO" => (&[200, 202, 421, 504, 530], SYNTAX),
        b"REST" => (&[200, 350, 421, 502, 530], SYNTAX),
        b"STOR" | b"STOU" => (&[110, 125, 150, 226, 250, 421, 425, 426, 451, 551, 552, 532, 450, 452, 553, 530, 550], SYNTAX),
        b"RETR" => (&[110, 125, 150, 226, 250, 421, 425, 426, 451, 450, 530, 550], SYNTAX),
        b"LIST" | b"NLST" => (&[125, 150, 226, 250, 421, 425, 426, 451, 450, 502, 530, 550], SYNTAX),
        b"APPE" => (&[125, 150, 226, 250, 421, 425, 426, 451, 551, 552, 532, 450, 550, 452, 553, 502, 530], SYNTAX),
        b"RNFR" => (&[350, 421, 450, 550, 502, 530], SYNTAX),
        b"RNTO" => (&[250, 421, 532, 553, 502, 503, 530], SYNTAX),
        b"DELE" => (&[250, 421, 450, 550, 502, 530], SYNTAX),
        b"MKD" => (&[257, 421, 502, 530, 550], SYNTAX),
        b"PWD" => (&[257, 421, 502, 550], SYNTAX),
        b"ABOR" => (&[225, 226, 421, 502], SYNTAX),
        b"SYST" => (&[215, 421, 502, 530], SYNTAX),
        b"STAT" => (&[211, 212, 213, 421, 450, 502, 530], SYNTAX),
        b"HELP" => (&[200, 211, 214, 421, 502], SYNTAX),
        b"SITE" => (&[200, 202, 214, 502, 530], SYNTAX),
        b"NOOP" => (&[200, 421, 500], &[]),
        b"LPRT" => (&[521], SYNTAX),
        b"FEAT" => (&[211, 500, 502], &[]),
        b"OPTS" => (&[200, 451, 501], &[]),
        b"EPSV" => (&[229], SYNTAX),
        b"EPRT" => (&[200, 522], SYNTAX),
        b"SIZE" | b"MDTM" => (&[213, 550], SYNTAX),
        b"MLST" | b"MLSD" => (&[150, 226, 250, 550], SYNTAX),
        b"CLNT" => (&[200, 500], &[]),
        b"MACB" => (&[200, 500, 550], &[]),
        _ => (&[], &[]),
    };
    own.contains(&code) || syntax.contains(&code)
}
