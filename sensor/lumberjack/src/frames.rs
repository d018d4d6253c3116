//! Frames out of a byte stream that arrives in pieces. Keeps what is incomplete, never more than one frame's limit.

use std::io::Read as _;
use std::ops::Range;

use flate2::read::ZlibDecoder;

use crate::{Error, Limits};

/// A complete frame; ranges point into the buffer it was found in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Window(u32),
    Event { sequence: u32, payload: Range<usize> },
    Compressed(Range<usize>),
    Ack(u32),
}

/// Bytes with a read position.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.compact();
        self.bytes.extend_from_slice(bytes);
    }

    /// Replaces the content by what `packed` decompresses to.
    pub(crate) fn unpack(&mut self, packed: &[u8], limit: usize) -> Result<(), Error> {
        self.bytes.clear();
        self.start = 0;
        let mut zlib = ZlibDecoder::new(packed);
        let cap = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        zlib.by_ref().take(cap).read_to_end(&mut self.bytes).map_err(|_| Error::Compressed)?;
        if self.bytes.len() > limit {
            return Err(Error::CompressedTooLong { limit });
        }
        if zlib.total_in() != packed.len() as u64 {
            return Err(Error::Compressed);
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    pub(crate) fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// The next complete frame, or `None` until more bytes come. Limits are checked on the header, before the body is waited for.
    pub(crate) fn next(&mut self, limits: &Limits) -> Result<Option<Frame>, Error> {
        let rest = self.bytes.get(self.start..).unwrap_or_default();
        let Some((&version, rest)) = rest.split_first() else { return Ok(None) };
        if version != b'2' {
            return Err(Error::Version(version));
        }
        let Some((&kind, rest)) = rest.split_first() else { return Ok(None) };
        let header = self.start + 2;
        let (frame, end) = match kind {
            b'W' | b'A' => {
                let Some((number, _)) = number(rest) else { return Ok(None) };
                (if kind == b'W' { Frame::Window(number) } else { Frame::Ack(number) }, header + 4)
            }
            b'J' => {
                let Some((sequence, rest)) = number(rest) else { return Ok(None) };
                let Some((length, _)) = number(rest) else { return Ok(None) };
                let length = length as usize;
                if length > limits.event {
                    return Err(Error::EventTooLong { length, limit: limits.event });
                }
                let payload = header + 8..header + 8 + length;
                let end = payload.end;
                (Frame::Event { sequence, payload }, end)
            }
            b'C' => {
                let Some((length, _)) = number(rest) else { return Ok(None) };
                let length = length as usize;
                if length > limits.compressed {
                    return Err(Error::CompressedTooLong { limit: limits.compressed });
                }
                let packed = header + 4..header + 4 + length;
                let end = packed.end;
                (Frame::Compressed(packed), end)
            }
            found => return Err(Error::Type { found, expected: "a window, an event, a compressed frame or an ack" }),
        };
        if end > self.bytes.len() {
            return Ok(None);
        }
        self.start = end;
        Ok(Some(frame))
    }

    fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}
