//! DNS messages (RFC 1035 §4): header, names with compression, questions and the heads of resource records.
//!
//! Reads as Zeek does where the wire is wrong: what is missing counts as zero, a name ends where it cannot go on, and
//! each oddity has a name.
//!
//! ```text
//! 0  id    2  QR opcode AA TC RD RA Z rcode    4  questions  6  answers  8  authorities  10  additionals
//! ```

use super::consts::opcode;

/// Bytes of the header.
pub(super) const HEADER: usize = 12;

/// Longest name that is kept, dots included; longer ones end at the label that does not fit.
/// RFC 1035 §2.3.4 allows 255, NetBIOS scopes may be longer.
const MAX_NAME: usize = 512;

/// RFC 1035 §2.3.4: labels have at most 63 bytes.
const MAX_LABEL: usize = 63;

/// Oddities of one message that are kept; a message repeats the same few.
const MAX_ODDITIES: usize = 8;

/// The header of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) id: u16,
    pub(super) is_reply: bool,
    pub(super) opcode: u8,
    pub(super) authoritative: bool,
    pub(super) truncated: bool,
    pub(super) recursion_desired: bool,
    pub(super) recursion_available: bool,
    pub(super) zero: u8,
    pub(super) rcode: u8,
    pub(super) questions: u16,
    pub(super) answers: u16,
    pub(super) authorities: u16,
    pub(super) additionals: u16,
}

impl Header {
    /// Reads the header; `None` if the message is shorter.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let mut reader = crate::Reader::new(message);
        let (id, flags) = (reader.u16()?, reader.u16()?);
        let bit = |n: u16| flags & (1 << n) != 0;
        Some(Self {
            id,
            is_reply: bit(15),
            opcode: (flags >> 11) as u8 & 15,
            authoritative: bit(10),
            truncated: bit(9),
            recursion_desired: bit(8),
            recursion_available: bit(7),
            zero: (flags >> 4) as u8 & 7,
            rcode: flags as u8 & 15,
            questions: reader.u16()?,
            answers: reader.u16()?,
            authorities: reader.u16()?,
            additionals: reader.u16()?,
        })
    }

    /// Whether messages of this opcode are followed: queries, dynamic updates and notifications.
    pub(super) const fn is_followed(&self) -> bool {
        matches!(self.opcode, opcode::QUERY | opcode::UPDATE | opcode::NOTIFY)
    }
}

/// Something on the wire that is not as it should be: Zeek's name, and the number that explains it.
pub(super) type Oddity = (&'static str, Option<u32>);

/// Reads the sections of one message.
pub(super) struct Sections<'a> {
    message: &'a [u8],
    at: usize,
    netbios: bool,
    odd: Vec<Oddity>,
}

/// The head of a resource record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) kind: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) len: usize,
}

impl<'a> Sections<'a> {
    /// Starts after the header.
    pub(super) const fn new(message: &'a [u8], netbios: bool) -> Self {
        Self { message, at: HEADER, netbios, odd: Vec::new() }
    }

    /// Where the next read starts.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// Whether the message uses the NetBIOS name service's port.
    pub(super) const fn is_netbios(&self) -> bool {
        self.netbios
    }

    /// Bytes left.
    pub(super) const fn remaining(&self) -> usize {
        self.message.len().saturating_sub(self.at)
    }

    /// Oddities since the last call.
    pub(super) fn oddities(&mut self) -> Vec<Oddity> {
        std::mem::take(&mut self.odd)
    }

    /// Names an oddity.
    pub(super) fn odd(&mut self, name: &'static str, detail: Option<u32>) {
        if self.odd.len() < MAX_ODDITIES && !self.odd.iter().any(|&(n, _)| n == name) {
            self.odd.push((name, detail));
        }
    }

    /// A question: its name in `name`, then type and class.
    pub(super) fn question(&mut self, name: &mut Vec<u8>) -> Option<(u16, u16)> {
        self.name(name);
        if self.remaining() < 4 {
            self.odd("DNS_truncated_quest_too_short", None);
            return None;
        }
        Some((self.u16(), self.u16()))
    }

    /// The head of a resource record: its name in `name`; the data comes next.
    pub(super) fn head(&mut self, name: &mut Vec<u8>) -> Option<Head> {
        self.name(name);
        name.make_ascii_lowercase();
        if self.remaining() < 4 {
            self.odd("DNS_truncated_ans_too_short", None);
            return None;
        }
        let head = Head { kind: self.u16(), class: self.u16(), ttl: self.u32(), len: usize::from(self.u16()) };
        if head.len > self.remaining() {
            self.odd("DNS_truncated_RR_rdlength_lt_len", None);
            return None;
        }
        Some(head)
    }

    /// One byte, or zero at the end.
    pub(super) fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// Two bytes, or zero if there are fewer.
    pub(super) fn u16(&mut self) -> u16 {
        let Some(&[a, b]) = self.message.get(self.at..self.at.saturating_add(2)) else { return 0 };
        self.at = self.at.saturating_add(2);
        u16::from_be_bytes([a, b])
    }

    /// Four bytes, or zero if there are fewer.
    pub(super) fn u32(&mut self) -> u32 {
        let Some(&[a, b, c, d]) = self.message.get(self.at..self.at.saturating_add(4)) else { return 0 };
        self.at = self.at.saturating_add(4);
        u32::from_be_bytes([a, b, c, d])
    }

    /// The next `n` bytes, or what is left of them.
    pub(super) fn bytes(&mut self, n: usize) -> &'a [u8] {
        let rest = self.message.get(self.at..).unwrap_or_default();
        let taken = rest.get(..n).unwrap_or(rest);
        self.at = self.at.saturating_add(taken.len());
        taken
    }

    /// Moves to `position`, but not past the end.
    pub(super) fn seek(&mut self, position: usize) {
        self.at = position.min(self.message.len());
    }

    /// A name in dotted form, without the last dot, as the wire spells it. The root is empty.
    ///
    /// RFC 1035 §4.1.4: a pointer refers to a prior occurrence. Each one followed here lies before the one that led
    /// to it, so that this ends.
    pub(super) fn name(&mut self, name: &mut Vec<u8>) {
        name.clear();
        let (mut at, mut end) = (self.at, self.message.len());
        let mut resume = None;
        while at < end {
            let start = at;
            let len = usize::from(self.message.get(at).copied().unwrap_or(0));
            at = at.saturating_add(1);
            if len == 0 || at >= end {
                break;
            }
            if len & 0xc0 == 0xc0 {
                let low = usize::from(self.message.get(at).copied().unwrap_or(0));
                let target = (len & 0x3f) << 8 | low;
                at = at.saturating_add(1);
                resume.get_or_insert(at);
                if target >= start {
                    self.odd("DNS_label_forward_compress_offset", None);
                    break;
                }
                (at, end) = (target, start);
                continue;
            }
            let Some(label) = self.message.get(at..at.saturating_add(len)).filter(|_| at.saturating_add(len) <= end) else {
                self.odd("DNS_label_len_gt_pkt", None);
                at = end;
                break;
            };
            if len > MAX_LABEL && !self.netbios {
                self.odd("DNS_label_too_long", None);
                break;
            }
            if name.len().saturating_add(len) >= MAX_NAME {
                self.odd("DNS_label_len_gt_name_len", None);
                break;
            }
            name.extend_from_slice(label);
            name.push(b'.');
            at = at.saturating_add(len);
        }
        self.at = resume.unwrap_or(at);
        if name.len() >= 255 {
            self.odd("DNS_NAME_too_long", None);
        }
        if name.len() >= 2 && name.last() == Some(&b'.') {
            name.pop();
        }
    }
}

/// The name that a NetBIOS name stands for (RFC 1001 §14.1: each byte as two letters from `A`), without its type and
/// padding; `None` if it is not one.
pub(super) fn netbios_name(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(15);
    for pair in encoded.get(..32)?.chunks_exact(2).take(15) {
        let [high, low] = *pair else { return None };
        let nibble = |letter: u8| letter.to_ascii_uppercase().checked_sub(b'A').filter(|&n| n < 16);
        let byte = nibble(high)? << 4 | nibble(low)?;
        // Windows writes \x01\x02__MSBROWSE__\x02 for browsers' names, and * with zeros for "any".
        if !byte.is_ascii_graphic() && byte >= 3 {
            break;
        }
        name.push(byte);
    }
    Some(name)
}
