//! DHCP messages (RFC 2131 §2, options: RFC 2132).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::Reader;

/// What stands before the options.
const COOKIE: u32 = 0x6382_5363;

/// Options of one message.
const MAX_OPTIONS: usize = 512;

/// A message: what is logged of it.
#[derive(Default)]
pub(super) struct Message<'a> {
    pub(super) xid: u32,
    pub(super) kind: u8,
    pub(super) your_addr: Option<Ipv4Addr>,
    pub(super) hardware: &'a [u8],
    pub(super) host_name: Option<&'a [u8]>,
    pub(super) domain: Option<&'a [u8]>,
    pub(super) requested: Option<Ipv4Addr>,
    pub(super) lease: Option<u32>,
    pub(super) text: Option<&'a [u8]>,
    /// Type and address of the client identifier.
    pub(super) client_id: Option<(u8, &'a [u8])>,
    pub(super) fqdn: Option<&'a [u8]>,
    pub(super) vendor_class: Option<&'a [u8]>,
}

/// Why a message is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    Cut,
    Cookie,
    NoType,
}

impl<'a> Message<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Bad> {
        let mut reader = Reader::new(bytes);
        let mut message = Self::header(&mut reader).ok_or(Bad::Cut)?;
        if reader.u32().ok_or(Bad::Cut)? != COOKIE {
            return Err(Bad::Cookie);
        }
        for _ in 0..MAX_OPTIONS {
            match reader.u8().ok_or(Bad::Cut)? {
                0 => {}
                255 => break,
                code => {
                    let len = reader.u8().ok_or(Bad::Cut)?;
                    message.option(code, reader.take(usize::from(len)).ok_or(Bad::Cut)?);
                }
            }
        }
        if message.kind == 0 { Err(Bad::NoType) } else { Ok(message) }
    }

    fn header(reader: &mut Reader<'a>) -> Option<Self> {
        reader.skip(4)?;
        let xid = reader.u32()?;
        // Seconds, flags and the client's own address.
        reader.skip(8)?;
        let your_addr = Ipv4Addr::from(reader.u32()?);
        // Addresses of the next server and of a relay.
        reader.skip(8)?;
        let hardware = reader.take(16)?;
        // Names of server and file.
        reader.skip(64 + 128)?;
        Some(Self { xid, hardware, your_addr: (!your_addr.is_unspecified()).then_some(your_addr), ..Self::default() })
    }

    fn option(&mut self, code: u8, value: &'a [u8]) {
        let mut reader = Reader::new(value);
        match code {
            12 => self.host_name = Some(text(value)),
            15 => self.domain = Some(text(value)),
            50 => self.requested = reader.u32().map(Ipv4Addr::from),
            51 => self.lease = reader.u32(),
            53 if self.kind == 0 => self.kind = reader.u8().unwrap_or(0),
            56 => self.text = Some(text(value)),
            60 => self.vendor_class = Some(value),
            61 => self.client_id = reader.u8().map(|kind| (kind, reader.rest())),
            // Flags and two codes stand before the name (RFC 4702).
            81 => self.fqdn = value.get(3..),
            _ => {}
        }
    }
}

/// Text without the zeros at its end.
fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |at| at.saturating_add(1));
    bytes.get(..end).unwrap_or_default()
}

/// A hardware address as Zeek prints it: six bytes, or eight if the last two of them are set.
pub(super) fn hardware(bytes: &[u8]) -> Vec<u8> {
    let len = if bytes.get(6..8).is_some_and(|rest| rest != [0, 0]) { 8 } else { 6 };
    let mut all = String::with_capacity(24);
    for (i, byte) in bytes.iter().take(len).enumerate() {
        let _ = write!(all, "{}{byte:02x}", if i > 0 { ":" } else { "" });
    }
    all.into_bytes()
}

/// Message types (RFC 2132 §9.6, RFC 3203, RFC 4388, RFC 6926, RFC 7724), from 1.
pub(crate) const TYPES: [&str; 18] = [
    "DISCOVER",
    "OFFER",
    "REQUEST",
    "DECLINE",
    "ACK",
    "NAK",
    "RELEASE",
    "INFORM",
    "FORCERENEW",
    "LEASEQUERY",
    "LEASEUNASSIGNED",
    "LEASEUNKNOWN",
    "LEASEACTIVE",
    "BULKLEASEQUERY",
    "LEASEQUERYDONE",
    "ACTIVELEASEQUERY",
    "LEASEQUERYSTATUS",
    "TLS",
];

/// Name of a message type (scripts/base/protocols/dhcp/consts.zeek).
pub(super) fn kind_name(kind: u8) -> Cow<'static, str> {
    let name = usize::from(kind).checked_sub(1).and_then(|i| TYPES.get(i));
    name.map_or_else(|| Cow::Owned(format!("unknown-message-type-{kind}")), |name| Cow::Borrowed(*name))
}
