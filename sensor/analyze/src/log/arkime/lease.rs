//! DHCP (RFC 2131, RFC 8415): all that one client says and is told is one session, whoever answers.

use std::net::{IpAddr, Ipv6Addr};

use super::Fields;
use crate::flow::key::Key;
use crate::protocols::dhcp::TYPES;
use crate::{Endpoint, Reader, Transport};

/// Bytes before the options of version 4, cookie included, and the cookie (RFC 2131 §3).
const COOKIE_AT: usize = 236;
const COOKIE: &[u8] = &[99, 130, 83, 99];
/// A message of version 4 has no fewer.
const SHORTEST: usize = 256;
/// Hardware types (IANA).
const ETHERNET: u8 = 1;

/// Message types of version 6 (RFC 8415 §7.3, RFC 5007, RFC 5460), from 1.
const TYPES_6: [&str; 21] = [
    "SOLICIT",
    "ADVERTISE",
    "REQUEST",
    "CONFIRM",
    "RENEW",
    "REBIND",
    "REPLY",
    "RELEASE",
    "DECLINE",
    "RECONFIGURE",
    "INFORMATION_REQUEST",
    "RELAY_FORW",
    "RELAY_REPL",
    "LEASEQUERY",
    "LEASEQUERY_REPLY",
    "LEASEQUERY_DONE",
    "LEASEQUERY_DATA",
    "LEASEQUERY_NO_DATA",
    "LEASEQUERY_STATUS",
    "LEASEQUERY_RECONF",
    "LEASEQUERY_RECONF_REPLY",
];
/// Between agents, messages have neither number nor client.
const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;

/// Which version a session is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lease {
    V4,
    V6,
}

impl Lease {
    /// The version of a datagram, if it is a message, and what its session goes by: the client's hardware address, or
    /// the number of the exchange.
    pub(super) fn of(ports: (u16, u16), data: &[u8]) -> Option<(Self, Key)> {
        let on = |a, b| [ports.0, ports.1].iter().any(|port| *port == a || *port == b);
        if on(67, 68) {
            let is_message = data.len() >= SHORTEST
                && matches!(*data, [1 | 2, ETHERNET, 6, ..])
                && data.get(COOKIE_AT..).is_some_and(|options| options.starts_with(COOKIE));
            return is_message.then(|| data.get(28..34)).flatten().map(|client| (Self::V4, key(4, client)));
        }
        let &[kind, ref number @ ..] = data.first_chunk::<4>()?;
        (on(546, 547) && kind_6(kind).is_some()).then(|| (Self::V6, key(6, number)))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "dhcp",
            Self::V6 => "dhcpv6",
        }
    }

    /// Reads what Arkime shows.
    pub(super) fn read(self, data: &[u8], fields: &mut Fields) {
        let _ = match self {
            Self::V4 => message(data, fields),
            Self::V6 => message_6(data, fields),
        };
    }
}

/// No flow has such a key: UDP's number is not among those of other transports.
fn key(version: u8, by: &[u8]) -> Key {
    let mut octets = [0; 16];
    octets.iter_mut().skip(1).zip(by).for_each(|(slot, byte)| *slot = *byte);
    octets[0] = version;
    let end = Endpoint { addr: IpAddr::V6(Ipv6Addr::from(octets)), port: 0 };
    Key::new(end, end, Transport::Other(17), false)
}

fn message(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    r.skip(4)?;
    fields.text("dhcp.id", format!("{:x}", r.u32()?).as_bytes());
    r.seek(28)?;
    mac(r.array()?, fields);
    r.seek(COOKIE_AT + COOKIE.len())?;
    loop {
        let kind = r.u8()?;
        match kind {
            0 => continue,
            255 => return Some(()),
            _ => {}
        }
        let len = usize::from(r.u8()?);
        let value = r.take(len).filter(|value| !value.is_empty())?;
        match (kind, value) {
            (12, name) => fields.lower("dhcp.host", name),
            (53, &[kind]) => fields.some("dhcp.type", name(&TYPES, kind).map(str::as_bytes)),
            (60, class) => fields.text("dhcp.classId", class),
            (50, &[a, b, c, d]) => fields.ip("dhcp.requestIp", IpAddr::from([a, b, c, d])),
            (61, &[ETHERNET, ref address @ ..]) => {
                if let Ok(address) = address.try_into() {
                    mac(address, fields);
                }
            }
            (81, &[0, _, _, ref name @ ..]) => fields.lower("dhcp.host", name),
            _ => {}
        }
    }
}

fn message_6(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    let kind = r.u8()?;
    fields.text("dhcp.type", kind_6(kind)?.as_bytes());
    if matches!(kind, RELAY_FORWARD | RELAY_REPLY) {
        r.skip(33)?;
    } else {
        fields.text("dhcp.id", format!("{:x}", r.u24()?).as_bytes());
    }
    while r.remaining() >= 4 {
        let (kind, len) = (r.u16()?, r.u16()?);
        let value = r.take(usize::from(len))?;
        if kind == 16 && !value.is_empty() {
            fields.text("dhcp.classId", value);
        }
    }
    Some(())
}

fn kind_6(kind: u8) -> Option<&'static str> {
    name(&TYPES_6, kind)
}

fn name<const N: usize>(names: &[&'static str; N], kind: u8) -> Option<&'static str> {
    names.get(usize::from(kind).checked_sub(1)?).copied()
}

fn mac(address: [u8; 6], fields: &mut Fields) {
    fields.text("dhcp.mac", address.map(|byte| format!("{byte:02x}")).join(":").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(options: &[u8]) -> Vec<u8> {
        let mut data = vec![0; COOKIE_AT];
        data[..8].copy_from_slice(&[1, 1, 6, 0, 0, 0, 0x3d, 0x1d]);
        data[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        data.extend_from_slice(COOKIE);
        data.extend_from_slice(options);
        data.resize(300, 0);
        data
    }

    #[test]
    fn a_clients_messages_share_a_key_whoever_they_are_from() {
        let data = discover(&[53, 1, 1, 12, 2, b'P', b'C', 255]);
        let (lease, key) = Lease::of((68, 67), &data).unwrap();
        let mut answer = data.clone();
        answer[0] = 2;
        assert_eq!(Lease::of((67, 68), &answer), Some((Lease::V4, key)));
        let mut fields = Fields::default();
        lease.read(&data, &mut fields);
        assert_eq!(fields.texts("dhcp.type"), ["DISCOVER"]);
        assert_eq!(fields.texts("dhcp.host"), ["pc"]);
        assert_eq!(fields.texts("dhcp.id"), ["3d1d"]);
        assert_eq!(fields.texts("dhcp.mac"), ["02:00:00:00:00:01"]);
    }

    #[test]
    fn what_is_no_message_is_an_ordinary_datagram() {
        assert_eq!(Lease::of((68, 67), &discover(&[])[..200]), None);
        assert_eq!(Lease::of((5000, 5001), &discover(&[])), None);
        assert_eq!(Lease::of((546, 547), &[0, 1, 2, 3]), None);
        for len in 0..300 {
            Lease::V4.read(&discover(&[53, 1, 1, 61, 7, 1])[..len], &mut Fields::default());
            Lease::V6.read(&discover(&[])[..len], &mut Fields::default());
        }
    }
}
