//! Captures from files: PCAP and PCAPNG, plain or compressed with gzip, LZ4 or zstd, told apart by content.
//!
//! A file that ends in the middle of a packet, or turns to garbage, gives all that was readable and then one error.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use analyze::{Frame, Link, Position, Time};
use pcap_parser::data::{PacketData, get_packetdata};
use pcap_parser::pcapng::Block;
use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{Linktype, PcapBlockOwned, PcapError, create_reader};

/// Bytes that the reader holds: it must take the largest block in one piece. Captures hold packets up to 256 KiB;
/// PCAPNG blocks with options are a little larger.
const BUFFER: usize = 4 << 20;
/// Bytes by which a format is recognised.
const MAGIC: usize = 4;

/// Why a capture could not be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be opened.
    #[error("{path}: cannot be opened; check that it exists and may be read", path = .0.display())]
    Open(PathBuf, #[source] io::Error),
    /// There is nothing in it.
    #[error("{path}: the file is empty", path = .0.display())]
    Empty(PathBuf),
    /// It is something else.
    #[error("{path}: not a capture; PCAP and PCAPNG are read, plain or as gzip, LZ4 or zstd", path = .0.display())]
    Format(PathBuf),
    /// It ends in the middle of a packet.
    #[error("{path}: ends in the middle of a packet, after {frames} whole ones; those were analysed", path = path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Packets before it.
        frames: u64,
    },
    /// It holds bytes that no writer of captures writes.
    #[error("{path}: damaged after {frames} packets ({what}); those were analysed", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Packets before it.
        frames: u64,
        /// What was found.
        what: String,
    },
}

/// One interface of a capture.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: Link,
    /// Units of a second, and seconds to add.
    resolution: u64,
    offset: i64,
}

/// A capture file that is being read.
pub struct Replay {
    path: PathBuf,
    reader: Box<dyn PcapReaderIterator>,
    interfaces: Vec<Interface>,
    frames: u64,
    read: Arc<AtomicU64>,
    is_nano: bool,
    /// Bytes of the file, uncompressed, before the block at hand.
    position: u64,
}

impl Replay {
    /// Opens a capture.
    ///
    /// # Errors
    /// If it cannot be opened, is empty, or is no capture.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        let file = File::open(path).map_err(|e| ReplayError::Open(path.to_owned(), e))?;
        let read = Arc::new(AtomicU64::new(0));
        let mut counted = Counted { file, read: Arc::clone(&read) };
        let mut magic = [0; MAGIC];
        let n = fill(&mut counted, &mut magic).map_err(|e| ReplayError::Open(path.to_owned(), e))?;
        if n == 0 {
            return Err(ReplayError::Empty(path.to_owned()));
        }
        let whole = io::Cursor::new(magic.get(..n).unwrap_or_default().to_vec()).chain(counted);
        let plain: Box<dyn Read + Send> = match magic {
            [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(whole)),
            [0x04, 0x22, 0x4d, 0x18] => Box::new(lz4_flex::frame::FrameDecoder::new(whole)),
            [0x28, 0xb5, 0x2f, 0xfd] => {
                Box::new(zstd::stream::read::Decoder::new(whole).map_err(|e| ReplayError::Open(path.to_owned(), e))?)
            }
            _ => Box::new(whole),
        };
        let reader = create_reader(BUFFER, Full(plain)).map_err(|_| ReplayError::Format(path.to_owned()))?;
        Ok(Self { path: path.to_owned(), reader, interfaces: Vec::new(), frames: 0, read, is_nano: false, position: 0 })
    }

    /// Bytes of the file read so far (of the compressed form, if it is), to be watched from elsewhere.
    pub fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }

    /// Hands each frame to `take`, in the order of the file.
    ///
    /// # Errors
    /// If the file ends early or is damaged; what came before has been handed over.
    pub fn run(&mut self, mut take: impl FnMut(&Frame<'_>)) -> Result<(), ReplayError> {
        let mut stalled = false;
        loop {
            match self.reader.next() {
                Ok((consumed, block)) => {
                    stalled = false;
                    let outcome = match block {
                        PcapBlockOwned::LegacyHeader(header) => {
                            self.is_nano = header.is_nanosecond_precision();
                            // The upper bits of the field tell about the frame check sequence.
                            let link = (header.network.0 & 0xffff) as u16;
                            self.interfaces = vec![Interface { link: Link(link), resolution: 1_000_000, offset: 0 }];
                            Ok(())
                        }
                        PcapBlockOwned::Legacy(packet) => {
                            let nanos =
                                if self.is_nano { i64::from(packet.ts_usec) } else { i64::from(packet.ts_usec).saturating_mul(1000) };
                            let link = self.interfaces.first().map_or(Link::ETHERNET, |i| i.link);
                            let frame = Frame {
                                at: Time(i64::from(packet.ts_sec).saturating_mul(1_000_000_000).saturating_add(nanos)),
                                wire_len: packet.origlen.max(u32::try_from(packet.data.len()).unwrap_or(u32::MAX)),
                                data: packet.data,
                                interface: 0,
                                link,
                                position: Some(Position { file: 0, offset: self.position }),
                            };
                            self.frames += 1;
                            take(&frame);
                            Ok(())
                        }
                        PcapBlockOwned::NG(block) => ng_block(&block, self.position, &mut self.interfaces, &mut self.frames, &mut take),
                    };
                    self.position = self.position.saturating_add(consumed as u64);
                    self.reader.consume(consumed);
                    if let Err(what) = outcome {
                        return Err(self.corrupt(what));
                    }
                }
                Err(PcapError::Eof) => return Ok(()),
                Err(PcapError::UnexpectedEof) => {
                    return Err(ReplayError::Truncated { path: self.path.clone(), frames: self.frames });
                }
                Err(PcapError::Incomplete(_)) => {
                    if stalled && self.reader.reader_exhausted() {
                        return Err(ReplayError::Truncated { path: self.path.clone(), frames: self.frames });
                    }
                    stalled = true;
                    if self.reader.refill().is_err() {
                        return Err(
                            self.corrupt("the compressed data is damaged, or a block is larger than any writer makes it".to_owned())
                        );
                    }
                }
                Err(PcapError::ReadError) => {
                    return Err(self.corrupt("the compressed data is damaged or ends early".to_owned()));
                }
                Err(e) => {
                    let what = kind_of(&e).to_owned();
                    return Err(self.corrupt(what));
                }
            }
        }
    }

    fn corrupt(&self, what: String) -> ReplayError {
        ReplayError::Corrupt { path: self.path.clone(), frames: self.frames, what }
    }
}

const fn kind_of<I: Sized>(error: &PcapError<I>) -> &'static str {
    match error {
        PcapError::HeaderNotRecognized => "a header that is not one",
        PcapError::BufferTooSmall => "a packet larger than any writer makes it",
        _ => "a packet header with impossible lengths",
    }
}

fn ng_block(
    block: &Block<'_>,
    position: u64,
    interfaces: &mut Vec<Interface>,
    frames: &mut u64,
    take: &mut impl FnMut(&Frame<'_>),
) -> Result<(), String> {
    match block {
        Block::SectionHeader(_) => interfaces.clear(),
        Block::InterfaceDescription(description) => interfaces.push(Interface {
            link: Link(u16::try_from(description.linktype.0).unwrap_or(u16::MAX)),
            resolution: description.ts_resolution().unwrap_or(1_000_000).max(1),
            offset: description.if_tsoffset,
        }),
        Block::EnhancedPacket(packet) => {
            let Some(interface) = interfaces.get(packet.if_id as usize) else {
                return Err(format!("a packet of interface {}, which is not described", packet.if_id));
            };
            let units = (u64::from(packet.ts_high) << 32) | u64::from(packet.ts_low);
            let seconds = units / interface.resolution;
            let rest = u128::from(units % interface.resolution) * 1_000_000_000 / u128::from(interface.resolution);
            let at = i64::try_from(seconds)
                .unwrap_or(i64::MAX)
                .saturating_add(interface.offset)
                .saturating_mul(1_000_000_000)
                .saturating_add(i64::try_from(rest).unwrap_or(0));
            let data = packet.data.get(..packet.caplen as usize).unwrap_or(packet.data);
            *frames += 1;
            take(&Frame {
                at: Time(at),
                wire_len: packet.origlen.max(u32::try_from(data.len()).unwrap_or(u32::MAX)),
                data,
                interface: u16::try_from(packet.if_id).unwrap_or(u16::MAX),
                link: interface.link,
                position: Some(Position { file: 0, offset: position }),
            });
        }
        Block::SimplePacket(packet) => {
            let link = interfaces.first().map_or(Link::ETHERNET, |i| i.link);
            let layer = Linktype(i32::from(link.0));
            if let Some(PacketData::L2(data)) = get_packetdata(packet.data, layer, packet.data.len()) {
                *frames += 1;
                take(&Frame {
                    at: Time::default(),
                    wire_len: packet.origlen,
                    data,
                    interface: 0,
                    link,
                    position: Some(Position { file: 0, offset: position }),
                });
            }
        }
        _ => {}
    }
    Ok(())
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while let Some(rest) = buffer.get_mut(n..)
        && !rest.is_empty()
    {
        match reader.read(rest)? {
            0 => break,
            read => n += read,
        }
    }
    Ok(n)
}

/// Fills what it is given, if the source has that much: the reader takes a short read for the end.
struct Full<R>(R);

impl<R: Read> Read for Full<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        fill(&mut self.0, buffer)
    }
}

struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
