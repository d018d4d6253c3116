//! IRC lines (RFC 2812 §2.3): `[@tags ][:prefix ]command or number[ parameters]`.

/// Bytes of a line (RFC 2812 §2.3).
pub(super) const MAX_LINE: usize = 512;

/// Letters of a command.
pub(super) const MAX_COMMAND: usize = 20;

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Reply(u16, &'a [u8]),
    Command(Vec<u8>, &'a [u8]),
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    TooShort,
    NoCommand,
    Number,
    /// Nothing stands after the prefix.
    Prefix,
}

impl<'a> Line<'a> {
    pub(super) fn read(line: &'a [u8]) -> Result<Self, Bad> {
        let mut line = skip(line);
        // Tags of IRCv3 stand before all else.
        if line.first() == Some(&b'@') {
            let end = line.iter().position(|&b| b == b' ').ok_or(Bad::Prefix)?;
            line = skip(line.get(end..).unwrap_or_default());
        }
        if line.len() < 3 {
            return Err(Bad::TooShort);
        }
        if line.first() == Some(&b':') {
            let end = line.iter().position(|&b| b == b' ').ok_or(Bad::Prefix)?;
            line = skip(line.get(end..).unwrap_or_default());
        }
        if line.len() < 3 {
            return Err(Bad::NoCommand);
        }
        match line {
            [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', params @ ..] => {
                let digit = |d: &u8| u16::from(d.wrapping_sub(b'0'));
                let code = digit(a).saturating_mul(100).saturating_add(digit(b).saturating_mul(10)).saturating_add(digit(c));
                Ok(Self::Reply(code, params))
            }
            [b'0'..=b'9', ..] => Err(Bad::Number),
            _ => {
                let end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
                let (command, params) = line.split_at_checked(end).unwrap_or((line, &[]));
                Ok(Self::Command(command.to_ascii_uppercase(), skip(params)))
            }
        }
    }
}

fn skip(bytes: &[u8]) -> &[u8] {
    bytes.get(bytes.iter().take_while(|b| **b == b' ').count()..).unwrap_or_default()
}

/// Words with single separators or more between them.
pub(super) fn words(text: &[u8], separator: u8) -> Vec<&[u8]> {
    text.split(|&b| b == separator).filter(|word| !word.is_empty()).collect()
}

/// Text without the colon that says that it goes to the end of the line.
pub(super) fn trailing(text: &[u8]) -> &[u8] {
    text.strip_prefix(b":").unwrap_or(text)
}

/// A file that is offered: name, address, port and size.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer<'a> {
    pub(super) name: &'a [u8],
    pub(super) addr: u32,
    pub(super) port: u16,
    pub(super) size: u64,
}

/// What a `PRIVMSG` says beyond text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Private<'a> {
    Text,
    BadFormat,
    BadDcc,
    /// DCC of another kind than `SEND`.
    Dcc,
    Send(Offer<'a>),
}

/// Reads the parameters of a `PRIVMSG`; DCC messages stand between bytes of value 1.
pub(super) fn private(params: &[u8]) -> Private<'_> {
    let Some(end) = params.iter().position(|&b| b == b' ') else { return Private::BadFormat };
    let message = trailing(skip(params.get(end..).unwrap_or_default()));
    let message = message.strip_prefix(b"\x01").unwrap_or(message);
    if message.len() <= 3 || !message.starts_with(b"DCC") {
        return Private::Text;
    }
    let parts = words(message.strip_suffix(b"\x01").unwrap_or(message), b' ');
    let (Some(kind), Some(name), Some(addr), Some(port)) = (parts.get(1), parts.get(2), parts.get(3), parts.get(4)) else {
        return Private::BadDcc;
    };
    if parts.len() > 6 && !(parts.len() == 7 && parts.get(6) == Some(&&b"T"[..])) {
        return Private::BadDcc;
    }
    if *kind != b"SEND" {
        return Private::Dcc;
    }
    let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Private::Send(Offer {
        name,
        addr: u32::try_from(number(addr)).unwrap_or(0),
        port: u16::try_from(number(port)).unwrap_or(0),
        size: parts.get(5).map_or(0, |size| number(size)),
    })
}
