//! SOCKS 4, 4A and 5 (RFC 1928, RFC 1929).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Reader;

/// Bytes of a name or user in version 4.
const MAX_NAME: usize = 255;

/// An address, a name or both, and a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: Option<IpAddr>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) port: u16,
}

/// Why nothing could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    NeedMore,
    Bad(&'static str),
}

/// What was read, and the bytes that it took.
pub(super) type Read<T> = Result<(T, usize), Stop>;

/// A request of version 4: command and target.
pub(super) fn request_4(bytes: &[u8]) -> Read<Target> {
    let mut reader = Reader::new(bytes);
    let mut head = || Some((reader.skip(2)?, reader.u16()?, reader.u32()?));
    let Some(((), port, addr)) = head() else { return Err(Stop::NeedMore) };
    if !ends_with_zero(&mut reader)? {
        return Err(Stop::NeedMore);
    }
    let before = reader.position();
    let mut target = Target { host: Some(IpAddr::V4(Ipv4Addr::from(addr))), name: None, port };
    // An address that is none says that a name follows (4A).
    if addr <= 0xff {
        if !ends_with_zero(&mut reader)? {
            return Err(Stop::NeedMore);
        }
        let name = bytes.get(before..reader.position().saturating_sub(1)).unwrap_or_default();
        target.name = Some(name.to_vec());
    }
    Ok((target, reader.position()))
}

fn ends_with_zero(reader: &mut Reader<'_>) -> Result<bool, Stop> {
    match reader.rest().iter().position(|&b| b == 0) {
        Some(len) if len <= MAX_NAME => Ok(reader.skip(len.saturating_add(1)).is_some()),
        None if reader.rest().len() <= MAX_NAME => Ok(false),
        _ => Err(Stop::Bad("SOCKS name too long")),
    }
}

/// A reply of version 4: status and where the server is bound.
pub(super) fn reply_4(bytes: &[u8]) -> Read<(u8, Target)> {
    let mut reader = Reader::new(bytes);
    let mut read = || Some((reader.skip(1)?, reader.u8()?, reader.u16()?, reader.u32()?));
    let Some(((), status, port, addr)) = read() else { return Err(Stop::NeedMore) };
    Ok(((status, Target { host: Some(IpAddr::V4(Ipv4Addr::from(addr))), name: None, port }), reader.position()))
}

/// Methods that a client of version 5 offers.
pub(super) fn greeting(bytes: &[u8]) -> Read<()> {
    let mut reader = Reader::new(bytes);
    let mut read = || {
        reader.skip(1)?;
        let count = reader.u8()?;
        reader.skip(usize::from(count))
    };
    read().ok_or(Stop::NeedMore)?;
    Ok(((), reader.position()))
}

/// The method that the server has chosen.
pub(super) fn method(bytes: &[u8]) -> Read<u8> {
    bytes.get(1).map(|&method| (method, 2)).ok_or(Stop::NeedMore)
}

/// User and password (RFC 1929 §2).
pub(super) fn login(bytes: &[u8]) -> Read<Vec<u8>> {
    let mut reader = Reader::new(bytes);
    let mut read = || {
        reader.skip(1)?;
        let len = reader.u8()?;
        let user = reader.take(usize::from(len))?;
        let len = reader.u8()?;
        reader.skip(usize::from(len))?;
        Some(user.to_vec())
    };
    let user = read().ok_or(Stop::NeedMore)?;
    Ok((user, reader.position()))
}

/// A request or a reply of version 5: command or status, and an address.
pub(super) fn message_5(bytes: &[u8], is_request: bool) -> Read<(u8, Target)> {
    let mut reader = Reader::new(bytes);
    let mut head = || Some((reader.skip(1)?, reader.u8()?, reader.u8()?, reader.u8()?));
    let Some(((), code, reserved, kind)) = head() else { return Err(Stop::NeedMore) };
    if is_request && reserved != 0 {
        return Err(Stop::Bad("invalid value in reserved field"));
    }
    if is_request && !(1..=3).contains(&code) {
        return Err(Stop::Bad("undefined value in command field"));
    }
    let mut target = Target::default();
    let mut address = || {
        match kind {
            1 => target.host = Some(IpAddr::V4(Ipv4Addr::from(reader.u32()?))),
            3 => {
                let len = reader.u8()?;
                target.name = Some(reader.take(usize::from(len))?.to_vec());
            }
            4 => target.host = Some(IpAddr::V6(Ipv6Addr::from(reader.array::<16>()?))),
            _ => return Some(false),
        }
        target.port = reader.u16()?;
        Some(true)
    };
    match address() {
        None => Err(Stop::NeedMore),
        Some(false) => Err(Stop::Bad("invalid SOCKSv5 addr type")),
        Some(true) => Ok(((code, target), reader.position())),
    }
}

/// Name of a status (scripts/base/protocols/socks/consts.zeek).
pub(super) fn status(version: u8, code: u8) -> Cow<'static, str> {
    Cow::Borrowed(match (version, code) {
        (4, 0x5a) | (5, 0) => "succeeded",
        (4, 0x5b) | (5, 1) => "general SOCKS server failure",
        (4, 0x5c) => "request failed because client is not running identd",
        (4, 0x5d) => "request failed because client's identd could not confirm the user ID string in the request",
        (5, 2) => "connection not allowed by ruleset",
        (5, 3) => "Network unreachable",
        (5, 4) => "Host unreachable",
        (5, 5) => "Connection refused",
        (5, 6) => "TTL expired",
        (5, 7) => "Command not supported",
        (5, 8) => "Address type not supported",
        _ => return Cow::Owned(format!("unknown-{code}")),
    })
}
