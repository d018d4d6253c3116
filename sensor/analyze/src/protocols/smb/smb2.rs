//! SMB2 and SMB3 (MS-SMB2 §2.2).

use super::wire::Times;
use crate::Reader;
use crate::protocols::ntlm::utf16;

/// Bytes of the header.
pub(super) const HEADER: usize = 64;

/// Statuses that are no errors: success, more to come, more than fits.
pub(super) const PENDING: u32 = 0x103;
const MORE_PROCESSING: u32 = 0xc000_0016;
const BUFFER_OVERFLOW: u32 = 0x8000_0005;

/// The control code that writes to a pipe and reads its answer (MS-FSCC §2.3).
const PIPE_TRANSCEIVE: u32 = 0x0011_c017;

/// A header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) status: u32,
    pub(super) command: u16,
    pub(super) is_response: bool,
    /// Where the next message of the frame starts; 0 if there is none.
    pub(super) next: usize,
    pub(super) message: u64,
    pub(super) tree: u32,
}

/// A file: both parts of its id added, as Zeek does.
pub(super) type FileId = u64;

/// What a message asks.
pub(super) enum Request<'a> {
    /// Tokens of authentication.
    Session(&'a [u8]),
    Tree(Vec<u8>),
    TreeDisconnect,
    Create(Vec<u8>),
    Close(FileId),
    Read(FileId, u64),
    Write(FileId, u64, Data),
    Transceive(FileId, &'a [u8]),
    Rename(FileId, Vec<u8>),
    Delete(FileId, bool),
    Other,
}

/// What a message answers.
pub(super) enum Response<'a> {
    Session(&'a [u8]),
    /// Kind of share.
    Tree(u8),
    Create(FileId, u64, Times),
    Read(Data),
    Transceive(&'a [u8]),
    Other,
}

/// Where data of a file stand in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Header {
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(message);
        // Protocol, size and credits.
        reader.skip(4 + 2 + 2)?;
        let status = reader.u32_le()?;
        let command = reader.u16_le()?;
        reader.skip(2)?;
        let flags = reader.u32_le()?;
        let next = reader.u32_le()? as usize;
        let id = reader.u64_le()?;
        reader.skip(4)?;
        // An asynchronous message has a longer id there.
        let tree = if flags & 2 == 0 { reader.u32_le()? } else { 0 };
        (message.len() >= HEADER).then_some(Self { status, command, is_response: flags & 1 != 0, next, message: id, tree })
    }

    /// Whether the body is what the command answers, and no description of an error.
    pub(super) fn has_body(&self) -> bool {
        self.status == 0
            || (self.command == 1 && self.status == MORE_PROCESSING)
            || (matches!(self.command, 8 | 11) && self.status == BUFFER_OVERFLOW)
    }
}

fn at(message: &[u8], place: usize) -> Option<Reader<'_>> {
    message.get(HEADER.checked_add(place)?..).map(Reader::new)
}

fn file(message: &[u8], place: usize) -> Option<FileId> {
    let mut reader = at(message, place)?;
    Some(reader.u64_le()?.wrapping_add(reader.u64_le()?))
}

/// Bytes of a buffer that an offset and a length describe.
fn buffer(message: &[u8], place: usize) -> Option<&[u8]> {
    let mut reader = at(message, place)?;
    let start = usize::from(reader.u16_le()?);
    let len = usize::from(reader.u16_le()?);
    message.get(start..start.saturating_add(len))
}

fn buffer32(message: &[u8], place: usize) -> Option<&[u8]> {
    let mut reader = at(message, place)?;
    let start = reader.u32_le()? as usize;
    let len = reader.u32_le()? as usize;
    message.get(start..start.saturating_add(len))
}

/// Reads a request; of a cut one what stands before its data.
pub(super) fn request<'a>(header: &Header, message: &'a [u8]) -> Option<Request<'a>> {
    Some(match header.command {
        1 => Request::Session(buffer(message, 12)?),
        3 => Request::Tree(utf16(buffer(message, 4)?)),
        4 => Request::TreeDisconnect,
        5 => Request::Create(utf16(buffer(message, 44)?)),
        6 => Request::Close(file(message, 8)?),
        8 => Request::Read(file(message, 16)?, at(message, 8)?.u64_le()?),
        9 => {
            let mut reader = at(message, 2)?;
            let start = usize::from(reader.u16_le()?);
            let len = reader.u32_le()? as usize;
            Request::Write(file(message, 16)?, reader.u64_le()?, Data { start, len })
        }
        11 if at(message, 4)?.u32_le()? == PIPE_TRANSCEIVE => Request::Transceive(file(message, 8)?, buffer32(message, 24)?),
        17 => {
            let mut reader = at(message, 2)?;
            let (class, level) = (reader.u8()?, reader.u8()?);
            let len = reader.u32_le()? as usize;
            let start = usize::from(reader.u16_le()?);
            let info = message.get(start..start.saturating_add(len))?;
            let id = file(message, 16)?;
            match (class, level) {
                (1, 10) => {
                    let mut reader = Reader::new(info.get(16..)?);
                    let len = reader.u32_le()? as usize;
                    Request::Rename(id, utf16(reader.take(len)?))
                }
                (1, 13) => Request::Delete(id, info.first().is_some_and(|&delete| delete != 0)),
                _ => Request::Other,
            }
        }
        _ => Request::Other,
    })
}

/// Reads a response.
pub(super) fn response<'a>(header: &Header, message: &'a [u8]) -> Option<Response<'a>> {
    Some(match header.command {
        1 => Response::Session(buffer(message, 4)?),
        3 => Response::Tree(at(message, 2)?.u8()?),
        5 => {
            let mut reader = at(message, 8)?;
            let times = [reader.u64_le()?, reader.u64_le()?, reader.u64_le()?, reader.u64_le()?];
            reader.skip(8)?;
            let size = reader.u64_le()?;
            Response::Create(file(message, 64)?, size, times)
        }
        8 => {
            let mut reader = at(message, 2)?;
            let start = usize::from(reader.u8()?);
            reader.skip(1)?;
            Response::Read(Data { start, len: reader.u32_le()? as usize })
        }
        11 if at(message, 4)?.u32_le()? == PIPE_TRANSCEIVE => Response::Transceive(buffer32(message, 32)?),
        _ => Response::Other,
    })
}
