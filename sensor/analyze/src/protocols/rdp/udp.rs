//! RDP over UDP (MS-RDPEUDP): followed so far that its name is known. It has no log.

use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Reader, Step, Transport};

/// RDP over UDP.
pub static RDPEUDP: Protocol =
    Protocol { name: "rdpeudp", label: "RDPEUDP", tcp: &[], udp: &[3389], recognises, analyzer: |_| Box::<Opening>::default() };

/// Bytes of the packets that open a connection (MS-RDPEUDP §3.1.5.1.1).
const OPENING: usize = 1232;

const SYN: u16 = 1;
const ACK: u16 = 4;

/// A packet that opens a connection (scripts/base/protocols/rdp/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    let is_udp = beginning.transport == Transport::Udp;
    // No more of a datagram is shown than its beginning.
    if is_udp && beginning.orig.starts_with(&[0xff; 4]) && flags(beginning.orig).is_some_and(|flags| flags & (SYN | ACK) == SYN) {
        Match::Yes
    } else {
        Match::No
    }
}

fn flags(bytes: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(bytes);
    // What was received last, and the window.
    reader.skip(4 + 2)?;
    reader.u16()
}

#[derive(Default)]
struct Opening {
    asked: bool,
}

impl Analyzer for Opening {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let flags = flags(bytes).unwrap_or(0);
        match (from.is_orig(), flags & (SYN | ACK)) {
            (true, SYN) if bytes.len() == OPENING => self.asked = true,
            (false, flags) if self.asked && flags == SYN | ACK => {
                out.confirm();
                return Step::Done;
            }
            _ => {}
        }
        Step::Consumed(bytes.len())
    }
}
