//! Parsers of protocols of which Arkime wants a few fields and nobody else anything, or of which an analyzer of
//! Zeek's tells less than Arkime asks for.
//!
//! They keep to what Arkime reads, in its order and within its limits, and stop where it stops: most are a function of
//! one message, which [`Frames`] cuts out of a stream.

mod bacnet;
mod ber;
mod brief;
mod diameter;
mod dnp3;
mod enip;
mod gquic;
mod isakmp;
mod ldap;
mod modbus;
mod mqtt;
mod nbns;
mod opcua;
mod openvpn;
mod radius;
mod rdp;
mod s7comm;
mod sip;
mod smb;
mod snmp;
mod stun;

pub(super) use bacnet::bacnet;
pub(super) use brief::{bgp, irc, oracle, ptp, tds, tftp};
pub(super) use diameter::diameter;
pub(super) use dnp3::{dnp3_datagram, dnp3_stream};
pub(super) use enip::{enip_datagram, enip_stream, is_enip};
pub(super) use gquic::{gquic, gquic_version};
pub(super) use isakmp::isakmp;
pub(super) use ldap::{is_ldap, ldap};
pub(super) use modbus::modbus;
pub(super) use mqtt::mqtt;
pub(super) use nbns::nbns;
pub(super) use opcua::opcua;
pub(super) use openvpn::{control_key, openvpn_datagrams, openvpn_stream};
pub(super) use radius::radius;
pub(super) use rdp::{is_rdp, rdp};
pub(super) use s7comm::{is_s7comm, s7comm};
pub(super) use sip::{sip_datagram, sip_stream};
pub(super) use smb::smb;
pub(super) use snmp::{is_snmp, snmp};
pub(super) use stun::{COOKIE as STUN_COOKIE, stun_datagram, stun_stream};

use super::Fields;
use super::classify::Beginning;
use crate::{Direction, Pair};

/// Bytes of one message that a parser keeps of a stream, unless its protocol needs more.
const KEPT: usize = 8192;

/// Reads what a session says.
pub(super) trait Parser: Send {
    /// The next bytes of one side, or a datagram; whether it wants more.
    fn read(&mut self, from: Direction, data: &[u8], fields: &mut Fields) -> bool;

    /// The session ends, or is written in part: what was kept is all there is.
    fn end(&mut self, _fields: &mut Fields) {}
}

/// Makes a parser for a session that began like this.
pub(super) type Make = fn(&Beginning<'_>) -> Box<dyn Parser>;

/// Reads one message of one side; whether more are wanted.
type Read = fn(Direction, &[u8], &mut Fields) -> bool;

/// Where the first message in some bytes ends.
enum Frame {
    /// It cannot be told yet.
    Open,
    Whole(usize),
    /// These are no messages of this protocol.
    Broken,
}

/// Reads each datagram, or each piece of a stream as it comes.
struct Pieces(Read);

impl Parser for Pieces {
    fn read(&mut self, from: Direction, data: &[u8], fields: &mut Fields) -> bool {
        (self.0)(from, data, fields)
    }
}

fn pieces(read: Read) -> Box<dyn Parser> {
    Box::new(Pieces(read))
}

/// Reads each whole message of a stream.
struct Frames {
    length: fn(&[u8]) -> Frame,
    read: Read,
    kept: Pair<Vec<u8>>,
    limit: usize,
}

/// The length of a packet of RFC 1006 (§6), which has at least so many bytes.
fn tpkt<const LEAST: usize>(data: &[u8]) -> Frame {
    match *data {
        [3, _, high, low, ..] => match usize::from(u16::from_be_bytes([high, low])) {
            len if len >= LEAST => Frame::Whole(len),
            _ => Frame::Broken,
        },
        [3, ..] | [] => Frame::Open,
        _ => Frame::Broken,
    }
}

fn frames(length: fn(&[u8]) -> Frame, read: Read) -> Box<dyn Parser> {
    frames_within(KEPT, length, read)
}

fn frames_within(limit: usize, length: fn(&[u8]) -> Frame, read: Read) -> Box<dyn Parser> {
    Box::new(Frames { length, read, kept: Pair::default(), limit })
}

impl Parser for Frames {
    fn read(&mut self, from: Direction, data: &[u8], fields: &mut Fields) -> bool {
        let kept = self.kept.of_mut(from);
        kept.extend_from_slice(data);
        loop {
            match (self.length)(kept) {
                Frame::Open => return kept.len() <= self.limit,
                Frame::Whole(len) if len > self.limit => return false,
                Frame::Whole(len) => {
                    let Some(message) = kept.get(..len).filter(|_| len > 0) else { return true };
                    if !(self.read)(from, message, fields) {
                        return false;
                    }
                    kept.drain(..len);
                }
                Frame::Broken => return false,
            }
        }
    }
}
