//! SMB1, which is CIFS (MS-CIFS §2.2, MS-SMB §2.2): header, words with their count, bytes with their count.

use super::wire::{Times, string};
use crate::Reader;

/// Bytes of the header.
const HEADER: usize = 32;

/// Commands that follow each other in one message (Zeek's `SMB::max_andx_depth`).
const MAX_DEPTH: usize = 10;

/// A header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) status: u32,
    pub(super) is_response: bool,
    pub(super) unicode: bool,
    pub(super) tree: u16,
    pub(super) message: u16,
}

/// A command within a message.
pub(super) struct Command<'a> {
    pub(super) code: u8,
    pub(super) words: &'a [u8],
    /// Where its bytes start in the message, and how many there are.
    pub(super) bytes_at: usize,
    pub(super) bytes: &'a [u8],
}

/// What is odd about a chain of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    Depth,
    NotAdvancing,
}

impl Header {
    /// The header, and the code of the first command.
    pub(super) fn read(message: &[u8]) -> Option<(Self, u8)> {
        let mut reader = Reader::new(message);
        reader.skip(4)?;
        let code = reader.u8()?;
        let status = reader.u32_le()?;
        let flags = reader.u8()?;
        let flags2 = reader.u16_le()?;
        // High part of the process, signature, reserved.
        reader.skip(2 + 8 + 2)?;
        let tree = reader.u16_le()?;
        // Process and user.
        reader.skip(4)?;
        let id = reader.u16_le()?;
        Some((Self { status, is_response: flags & 0x80 != 0, unicode: flags2 & 0x8000 != 0, tree, message: id }, code))
    }
}

/// The commands of a message, and what is odd about them.
pub(super) fn commands(message: &[u8], first: u8) -> (Vec<Command<'_>>, Option<Oddity>) {
    let mut all = Vec::new();
    let (mut code, mut at) = (first, HEADER);
    while let Some(command) = command(message, code, at) {
        let next = matches!(code, 0x24 | 0x2d..=0x2f | 0x73..=0x75 | 0xa2).then(|| command.words.first_chunk::<4>().copied()).flatten();
        let depth = all.len();
        all.push(command);
        let Some([next_code, _, low, high]) = next.filter(|next| next.first() != Some(&0xff)) else { break };
        let offset = usize::from(u16::from_le_bytes([low, high]));
        if offset <= at {
            return (all, Some(Oddity::NotAdvancing));
        }
        if depth >= MAX_DEPTH {
            return (all, Some(Oddity::Depth));
        }
        (code, at) = (next_code, offset);
    }
    (all, None)
}

fn command(message: &[u8], code: u8, at: usize) -> Option<Command<'_>> {
    let mut reader = Reader::new(message.get(at..)?);
    let count = reader.u8()?;
    let words = reader.take(usize::from(count).saturating_mul(2))?;
    let len = reader.u16_le()?;
    let bytes_at = at.saturating_add(reader.position());
    // Large reads and writes have more than the count says.
    let bytes = reader.take_up_to(usize::from(len));
    Some(Command { code, words, bytes_at, bytes })
}

/// A number among the words.
fn short(words: &[u8], at: usize) -> Option<u16> {
    Reader::new(words.get(at..)?).u16_le()
}

fn long(words: &[u8], at: usize) -> Option<u32> {
    Reader::new(words.get(at..)?).u32_le()
}

/// What a command asks.
pub(super) enum Request<'a> {
    Session(&'a [u8]),
    /// Path and service.
    Tree(Vec<u8>, Vec<u8>),
    Create(Vec<u8>),
    Close(u16),
    Read(u16, u64),
    Write(u16, u64, &'a [u8]),
    /// File, if there is one, and data of a transaction with a pipe.
    Pipe(Option<u16>, &'a [u8]),
    Other,
}

/// What a command answers.
pub(super) enum Response<'a> {
    Session(&'a [u8]),
    /// Service and file system.
    Tree(Vec<u8>, Vec<u8>),
    Create(u16, u64, Times),
    Read(&'a [u8]),
    Transaction(&'a [u8]),
    Other,
}

/// Reads a request.
pub(super) fn request<'a>(header: &Header, command: &Command<'a>, message: &'a [u8]) -> Option<Request<'a>> {
    let words = command.words;
    Some(match command.code {
        0x73 if words.len() == 24 => Request::Session(command.bytes.get(..usize::from(short(words, 14)?))?),
        0x75 => {
            let password = usize::from(short(words, 6)?);
            let (path, end) = string(message, command.bytes_at.saturating_add(password), header.unicode)?;
            let (service, _) = string(message, end, false)?;
            Request::Tree(path, service)
        }
        0xa2 => Request::Create(string(message, command.bytes_at, header.unicode)?.0),
        0x04 => Request::Close(short(words, 0)?),
        0x2e => {
            let high = if words.len() >= 24 { long(words, 20)? } else { 0 };
            Request::Read(short(words, 4)?, u64::from(high) << 32 | u64::from(long(words, 6)?))
        }
        0x2f => {
            let high = if words.len() >= 28 { long(words, 24)? } else { 0 };
            let len = usize::from(short(words, 18)?) << 16 | usize::from(short(words, 20)?);
            let start = usize::from(short(words, 22)?);
            let data = message.get(start..start.saturating_add(len))?;
            Request::Write(short(words, 4)?, u64::from(high) << 32 | u64::from(long(words, 6)?), data)
        }
        0x25 => {
            let (name, _) = string(message, command.bytes_at, header.unicode)?;
            if !name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"\\PIPE\\")) {
                return Some(Request::Other);
            }
            let (len, start) = (usize::from(short(words, 22)?), usize::from(short(words, 24)?));
            let data = message.get(start..start.saturating_add(len))?;
            let file = words.get(26).filter(|&&count| count >= 2).and_then(|_| short(words, 30));
            Request::Pipe(file, data)
        }
        _ => Request::Other,
    })
}

/// Reads a response.
pub(super) fn response<'a>(header: &Header, command: &Command<'a>, message: &'a [u8]) -> Option<Response<'a>> {
    let words = command.words;
    Some(match command.code {
        0x73 if words.len() == 8 => Response::Session(command.bytes.get(..usize::from(short(words, 6)?))?),
        0x75 => {
            let (service, end) = string(message, command.bytes_at, false)?;
            let system = string(message, end, header.unicode).map_or_else(Vec::new, |(system, _)| system);
            Response::Tree(service, system)
        }
        0xa2 => {
            let mut reader = Reader::new(words.get(11..)?);
            let times = [reader.u64_le()?, reader.u64_le()?, reader.u64_le()?, reader.u64_le()?];
            // Attributes and allocation.
            reader.skip(12)?;
            Response::Create(short(words, 5)?, reader.u64_le()?, times)
        }
        0x2e => {
            let high = if words.len() >= 18 { usize::from(short(words, 14)?) } else { 0 };
            let (len, start) = (high << 16 | usize::from(short(words, 10)?), usize::from(short(words, 12)?));
            Response::Read(message.get(start..start.saturating_add(len))?)
        }
        0x25 => {
            let (len, start) = (usize::from(short(words, 12)?), usize::from(short(words, 14)?));
            Response::Transaction(message.get(start..start.saturating_add(len))?)
        }
        _ => Response::Other,
    })
}
