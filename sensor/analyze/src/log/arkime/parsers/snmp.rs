//! SNMP: versions, communities, and what is asked for.

use super::{Parser, ber, pieces};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;
use crate::protocols::der::dotted;

const TYPES: [&str; 8] =
    ["GetRequest", "GetNextRequest", "GetResponse", "SetRequest", "Trap", "GetBulkRequest", "InformRequest", "SNMPv2-Trap"];
/// RFC 3416 §3.
const ERRORS: [&str; 19] = [
    "noError",
    "tooBig",
    "noSuchName",
    "badValue",
    "readOnly",
    "genErr",
    "noAccess",
    "wrongType",
    "wrongLength",
    "wrongEncoding",
    "wrongValue",
    "noCreation",
    "inconsistentValue",
    "resourceUnavailable",
    "commitFailed",
    "undoFailed",
    "authorizationError",
    "notWritable",
    "inconsistentName",
];
const OCTET_STRING: u8 = 4;
const OID: u8 = 6;
const SEQUENCE: u8 = 16;
const TRAP: u8 = 4;
const BULK: u8 = 5;
const TRAP_2: u8 = 7;
/// snmpTrapOID.0 (RFC 3418 §2).
const TRAP_OID: &str = "1.3.6.1.6.3.1.1.4.1.0";

/// Whether a datagram begins like a message.
pub(in super::super) fn is_snmp(data: &[u8]) -> bool {
    version(data).is_some()
}

fn version(data: &[u8]) -> Option<(u8, Reader<'_>)> {
    let outer = ber::next(&mut Reader::new(data))?;
    let mut r = outer.inside();
    let version = ber::next(&mut r)?;
    match *version.body {
        [value @ 0..=3] if outer.number == SEQUENCE && outer.body.len() >= 16 && version.number == 2 => Some((value, r)),
        _ => None,
    }
}

pub(in super::super) fn snmp(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        let Some((version, r)) = version(data) else { return false };
        fields.number("snmp.version", if version == 3 { 3 } else { i64::from(version) + 1 });
        if version == 3 {
            let _ = user(r, fields);
            return true;
        }
        message(r, fields)
    })
}

/// RFC 3414 §2.4: the user's name comes after engine, boots and time.
fn user(mut r: Reader<'_>, fields: &mut Fields) -> Option<()> {
    ber::next(&mut r)?;
    let security = ber::next(&mut r).filter(|element| element.number == OCTET_STRING)?;
    let mut r = ber::next(&mut security.inside())?.inside();
    let name = (0..4).map_while(|_| ber::next(&mut r)).nth(3).filter(|element| element.number == OCTET_STRING)?;
    if !name.body.is_empty() {
        fields.text("user", name.body);
    }
    Some(())
}

fn message(mut r: Reader<'_>, fields: &mut Fields) -> bool {
    let Some(community) =
        ber::next(&mut r).filter(|element| element.number == OCTET_STRING && !element.is_constructed && !element.body.is_empty())
    else {
        return false;
    };
    fields.text("snmp.community", community.body);
    let Some(pdu) = ber::next(&mut r) else { return false };
    let Some(name) = TYPES.get(usize::from(pdu.number)) else { return false };
    fields.text("snmp.type", name.as_bytes());
    if pdu.is_constructed {
        let _ = body(pdu.number, pdu.inside(), fields);
    }
    true
}

fn body(kind: u8, mut r: Reader<'_>, fields: &mut Fields) -> Option<()> {
    let first = ber::next(&mut r)?;
    if kind == TRAP {
        if first.number == OID && !first.body.is_empty() {
            fields.text("snmp.trapOid", dotted(first.body).as_bytes());
        }
        return Some(());
    }
    let status = ber::next(&mut r)?;
    if kind != BULK
        && let Some(&code @ 1..) = status.body.first()
        && let Some(name) = ERRORS.get(usize::from(code))
    {
        fields.text("snmp.error", name.as_bytes());
    }
    ber::next(&mut r)?;
    let mut variables = ber::next(&mut r).filter(|element| element.is_constructed)?.inside();
    while !variables.is_empty() {
        let mut pair = ber::next(&mut variables).filter(|element| element.is_constructed)?.inside();
        let name = ber::next(&mut pair).filter(|element| element.number == OID && !element.is_constructed)?;
        let name = dotted(name.body);
        fields.text("snmp.variable", name.as_bytes());
        if kind == TRAP_2
            && name == TRAP_OID
            && let Some(value) = ber::next(&mut pair)
            && value.number == OID
        {
            fields.text("snmp.trapOid", dotted(value.body).as_bytes());
        }
    }
    Some(())
}
