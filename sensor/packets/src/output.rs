//! Packets that were found, as a capture: PCAP or PCAPNG (IETF drafts draft-ietf-opsawg-pcap and -pcapng).
//!
//! What comes out is appended to a buffer, a packet at a time, for whoever sends or writes it.

use crate::{
    record::{FILE_HEADER, MAX_FRAME, file_header, record_header},
    search::Found,
};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const ETHERNET: u32 = 1;

/// Which kind of capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// PCAP with nanoseconds.
    Pcap,
    /// PCAP with microseconds, as Arkime's own files are: a viewer that asks several sensors joins what they send behind
    /// the first one's header.
    PcapMicroseconds,
    /// PCAPNG with nanoseconds and the names of the interfaces.
    Pcapng,
}

/// A capture in the making.
#[derive(Debug)]
pub struct Output {
    format: Format,
    /// Interfaces that were described, in the order of their numbers.
    interfaces: Vec<String>,
    begun: bool,
}

impl Output {
    /// Nothing yet.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self { format, interfaces: Vec::new(), begun: false }
    }

    /// The same without a header, to be joined to what has one.
    #[must_use]
    pub const fn headless(format: Format) -> Self {
        Self { format, interfaces: Vec::new(), begun: true }
    }

    /// Appends the header, if it was not. Also of a capture without packets it makes a whole one.
    pub fn header(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        match self.format {
            Format::Pcap => out.extend(file_header(0)),
            Format::PcapMicroseconds => {
                const MAGIC: u32 = 0xa1b2_c3d4;
                out.extend(MAGIC.to_le_bytes());
                out.extend(file_header(0).into_iter().take(FILE_HEADER).skip(4));
            }
            Format::Pcapng => block(SECTION_HEADER, out, |out| {
                const BYTE_ORDER: u32 = 0x1a2b_3c4d;
                const VERSION: u32 = 1;
                const UNKNOWN_LENGTH: u64 = u64::MAX;
                out.extend(BYTE_ORDER.to_le_bytes());
                out.extend(VERSION.to_le_bytes());
                out.extend(UNKNOWN_LENGTH.to_le_bytes());
                option(4, format!("tenrec {}", env!("CARGO_PKG_VERSION")).as_bytes(), out);
                option(0, b"", out);
            }),
        }
    }

    /// Appends a packet.
    pub fn packet(&mut self, found: &Found<'_>, out: &mut Vec<u8>) {
        self.header(out);
        let record = &found.record;
        let kept = record.data.len() as u32;
        match self.format {
            Format::Pcap => {
                out.extend(record_header(record.at, kept, record.wire));
                out.extend_from_slice(record.data);
            }
            Format::PcapMicroseconds => {
                let fraction = (record.at.0.rem_euclid(1_000_000_000) / 1000) as u32;
                for word in [record.at.secs() as u32, fraction, kept, record.wire] {
                    out.extend(word.to_le_bytes());
                }
                out.extend_from_slice(record.data);
            }
            Format::Pcapng => {
                let interface = self.interface(&found.capture.name.interface, out);
                block(ENHANCED_PACKET, out, |out| {
                    let time = record.at.0.cast_unsigned();
                    for word in [interface, (time >> 32) as u32, time as u32, kept, record.wire] {
                        out.extend(word.to_le_bytes());
                    }
                    padded(record.data, out);
                });
            }
        }
    }

    /// The number of an interface, which is described before its first packet.
    fn interface(&mut self, name: &str, out: &mut Vec<u8>) -> u32 {
        if let Some(place) = self.interfaces.iter().position(|known| known == name) {
            return place as u32;
        }
        block(INTERFACE, out, |out| {
            const NANOSECONDS: u8 = 9;
            out.extend(ETHERNET.to_le_bytes());
            out.extend((MAX_FRAME as u32).to_le_bytes());
            option(2, name.as_bytes(), out);
            option(9, &[NANOSECONDS], out);
            option(0, b"", out);
        });
        self.interfaces.push(name.to_owned());
        self.interfaces.len() as u32 - 1
    }
}

/// A block of PCAPNG around what `write` appends.
fn block(kind: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    write(out);
    let length = (out.len() - start + 4) as u32;
    out.extend(length.to_le_bytes());
    if let Some(place) = out.get_mut(start + 4..start + 8) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

fn option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend(code.to_le_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    padded(value, out);
}

fn padded(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4).max(out.len()), 0);
}
