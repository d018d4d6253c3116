//! Frames that carry no IP: their names and the few fields that Arkime reads of them.

use std::net::IpAddr;

use super::Fields;
use crate::Reader;
use crate::packet::Below;

/// What a frame is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stray {
    pub(super) name: &'static str,
    /// Tells sessions apart: all frames of one routing protocol are one session, others go by their type.
    pub(super) kind: u16,
}

const ARP: u16 = 0x0806;
const LLDP: u16 = 0x88cc;
/// ISO 10589 §8.4.2: service access points of the OSI network layer, and the protocol's identifier.
const ISIS: &[u8] = &[0xfe, 0xfe, 0x03, 0x83];
/// IEEE 802.2 §5.4: an exchange of identification, whose poll bit may be set.
const XID: u8 = 0xaf;

impl Stray {
    /// By Ethernet type, and by LLC where a length stands in its place.
    pub(super) fn of(below: &Below, payload: &[u8]) -> Option<Self> {
        let kind = below.ethertype?;
        Some(match kind {
            ARP => Self { name: "arp", kind },
            LLDP => Self { name: "lldp", kind },
            ..=1500 if payload.starts_with(ISIS) => Self { name: "isis", kind: 0xfefe },
            ..=1500 if payload.get(2).is_some_and(|control| control | 0x10 == XID | 0x10) => Self { name: "xid", kind: u16::from(XID) },
            ..=1500 => Self { name: "corrupt-ether", kind },
            _ => Self { name: "unknown-ether", kind },
        })
    }

    /// Reads what Arkime shows.
    pub(super) fn read(self, payload: &[u8], fields: &mut Fields) {
        match self.name {
            "arp" => drop(arp(payload, fields)),
            "isis" => {
                // ISO 10589 §9.5: the type stands in the fifth byte, after the identifier, in its lower five bits.
                if let Some(name) = payload.get(7).and_then(|byte| isis(byte & 0x1f)) {
                    fields.bare("isis.msgType", name.as_bytes());
                }
            }
            _ => {}
        }
    }
}

/// RFC 826, of IPv4 over Ethernet: the operation, and who answers.
fn arp(payload: &[u8], fields: &mut Fields) -> Option<()> {
    const REPLY: u16 = 2;
    let mut r = Reader::new(payload);
    r.skip(6)?;
    let operation = r.u16()?;
    fields.number("arp.opcode", i64::from(operation));
    if operation == REPLY {
        let (mac, addr) = (r.array::<6>()?, r.array::<4>()?);
        fields.ip("arp.ip", IpAddr::from(addr));
        fields.text("arp.mac", mac.map(|byte| format!("{byte:02x}")).join(":").as_bytes());
    }
    Some(())
}

const fn isis(kind: u8) -> Option<&'static str> {
    Some(match kind {
        15 => "lan-l1-hello",
        16 => "lan-l2-hello",
        17 => "p2p-hello",
        18 => "l1-lsp",
        20 => "l2-lsp",
        24 => "l1-csnp",
        25 => "l2-csnp",
        26 => "l1-psnp",
        27 => "l2-psnp",
        _ => return None,
    })
}
