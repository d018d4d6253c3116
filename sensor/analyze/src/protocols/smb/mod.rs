//! SMB 1 to 3: shares in `smb_mapping.log`, files in `smb_files.log` and `files.log`, calls over pipes in `dce_rpc.log`.
//!
//! Large reads and writes are taken as they come, not kept whole. Non-goals: `smb_cmd.log`, what is encrypted, mailslots.

mod files;
mod record;
mod smb1;
mod smb2;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use crate::{Analyzer, Beginning, Direction, Match, Output, Pair, Protocol, Step, Transport};
use files::{File, Files, Tree, keep};
use wire::{Frame, Times, Version};

pub use record::{FILES_LOG, MAPPING_LOG, SmbFile, SmbMapping};

/// SMB, directly over TCP and over NetBIOS.
pub static SMB: Protocol =
    Protocol { name: "smb", label: "SMB", tcp: &[139, 445], udp: &[], recognises, analyzer: |_| Box::<Session>::default() };

/// Ids of SMB1's files, told apart from those of SMB2.
const FIRST_VERSION: u64 = 1 << 63;

/// A frame with SMB's name in it (scripts/base/protocols/smb/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    match (wire::frame(beginning.orig), wire::frame(beginning.resp)) {
        (Frame::Message(..), Frame::Message(..)) => Match::Yes,
        (Frame::Bad, _) | (_, Frame::Bad) => Match::No,
        _ => Match::Maybe,
    }
}

/// A frame that is not kept whole.
#[derive(Clone, Copy, Default)]
struct Bulk {
    /// Bytes before the data, of the data, and behind them.
    before: usize,
    data: usize,
    after: usize,
    /// Where the data belong.
    file: Option<u64>,
    offset: u64,
}

#[derive(Default)]
struct Session {
    bulk: Pair<Bulk>,
    files: Files,
    trees: BTreeMap<u32, Tree>,
    connecting: BTreeMap<u64, Tree>,
    creating: BTreeMap<u64, File>,
    /// File and offset of reads; for pipes the file alone counts.
    reading: BTreeMap<u64, (u64, u64)>,
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let bulk = *self.bulk.of(from);
        if bulk.before > 0 || bulk.data > 0 || bulk.after > 0 {
            return self.bulk(from, bulk, bytes, out);
        }
        match wire::frame(bytes) {
            Frame::NeedMore => Step::NeedMore,
            Frame::Bad => Step::Violation("not an SMB message"),
            Frame::Session(len) if bytes.len() < len => Step::NeedMore,
            Frame::Session(len) => Step::Consumed(len),
            Frame::Message(version, len) => {
                let rest = bytes.get(4..).unwrap_or_default();
                match rest.get(..len) {
                    Some(message) => {
                        self.message(from, version, message, out);
                        Step::Consumed(len.saturating_add(4))
                    }
                    None if len <= wire::MAX_WHOLE || rest.len() < wire::MIN_HEAD => Step::NeedMore,
                    None => {
                        *self.bulk.of_mut(from) = self.large(version, rest, len);
                        Step::Consumed(4)
                    }
                }
            }
        }
    }

    fn gap(&mut self, from: Direction, len: u64, out: &mut Output<'_>) -> Step {
        // Within a large frame the place is still known.
        let bulk = self.bulk.of_mut(from);
        let mut missing = usize::try_from(len).unwrap_or(usize::MAX);
        let mut skip = |part: &mut usize| {
            let now = missing.min(*part);
            *part = part.saturating_sub(now);
            missing = missing.saturating_sub(now);
            now
        };
        skip(&mut bulk.before);
        let data = skip(&mut bulk.data);
        bulk.offset = bulk.offset.saturating_add(data as u64);
        skip(&mut bulk.after);
        let _ = out;
        if missing > 0 { Step::Done } else { Step::Consumed(0) }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        self.files.finish(out);
    }
}

impl Session {
    /// Takes what has come of a large frame.
    fn bulk(&mut self, from: Direction, mut bulk: Bulk, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let before = bulk.before.min(bytes.len());
        bulk.before = bulk.before.saturating_sub(before);
        let rest = bytes.get(before..).unwrap_or_default();
        let data = rest.get(..bulk.data.min(rest.len())).unwrap_or_default();
        if let Some(file) = bulk.file {
            self.files.data(from, file, bulk.offset, data, out);
        }
        bulk.data = bulk.data.saturating_sub(data.len());
        bulk.offset = bulk.offset.saturating_add(data.len() as u64);
        let after = bulk.after.min(rest.len().saturating_sub(data.len()));
        bulk.after = bulk.after.saturating_sub(after);
        *self.bulk.of_mut(from) = bulk;
        match before.saturating_add(data.len()).saturating_add(after) {
            0 => Step::NeedMore,
            done => Step::Consumed(done),
        }
    }

    /// Where the data of a large frame are, of which the beginning has come.
    fn large(&mut self, version: Version, start: &[u8], len: usize) -> Bulk {
        let skip = Bulk { after: len, ..Bulk::default() };
        let Some(header) = smb2::Header::read(start).filter(|header| version == Version::Two && header.next == 0) else { return skip };
        let found = if header.is_response {
            match smb2::response(&header, start) {
                Some(smb2::Response::Read(data)) if header.has_body() => {
                    self.reading.remove(&header.message).map(|(id, offset)| (id, offset, data))
                }
                _ => None,
            }
        } else {
            match smb2::request(&header, start) {
                Some(smb2::Request::Write(id, offset, data)) => Some((id, offset, data)),
                _ => None,
            }
        };
        match found {
            Some((id, offset, data)) if data.start.saturating_add(data.len) <= len => Bulk {
                before: data.start,
                data: data.len,
                after: len.saturating_sub(data.start).saturating_sub(data.len),
                file: Some(id),
                offset,
            },
            _ => skip,
        }
    }

    fn message(&mut self, from: Direction, version: Version, message: &[u8], out: &mut Output<'_>) {
        if !from.is_orig() {
            out.confirm();
        }
        match version {
            Version::One => self.first(from, message, out),
            Version::Two => {
                let mut rest = message;
                while let Some(header) = smb2::Header::read(rest) {
                    let this = if header.next > 0 { rest.get(..header.next).unwrap_or(rest) } else { rest };
                    self.second(from, &header, this, out);
                    if header.next < smb2::HEADER {
                        break;
                    }
                    rest = rest.get(header.next..).unwrap_or_default();
                }
            }
            Version::Sealed => {}
        }
    }

    fn second(&mut self, from: Direction, header: &smb2::Header, message: &[u8], out: &mut Output<'_>) {
        if !header.is_response {
            if let Some(request) = smb2::request(header, message) {
                self.asked(from, header, request, message, out);
            }
            return;
        }
        if header.status == smb2::PENDING {
            return;
        }
        let response = Some(header).filter(|header| header.has_body()).and_then(|header| smb2::response(header, message));
        let id = header.message;
        let (tree, file, read) = (self.connecting.remove(&id), self.creating.remove(&id), self.reading.remove(&id));
        match response {
            Some(smb2::Response::Session(token)) => self.files.tokens.token(token, out),
            Some(smb2::Response::Tree(kind)) => {
                let mut tree = tree.unwrap_or_else(|| Tree::new(out.at));
                tree.kind = match kind {
                    2 => "PIPE",
                    3 => "PRINT",
                    _ => "DISK",
                };
                tree.log(out);
                keep(&mut self.trees, header.tree, tree);
            }
            Some(smb2::Response::Create(id, size, times)) => {
                let file = file.unwrap_or_else(|| File::new(out.at));
                let path = self.trees.get(&header.tree).and_then(|tree| tree.path.clone());
                self.created(id, File { path, ..file }, size, times, out);
            }
            Some(smb2::Response::Read(data)) => {
                if let (Some((id, offset)), Some(bytes)) = (read, message.get(data.start..data.start.saturating_add(data.len))) {
                    self.files.data(from, id, offset, bytes, out);
                }
            }
            Some(smb2::Response::Transceive(bytes)) => {
                if let Some((id, _)) = read {
                    self.files.pipe(from, id, bytes, out);
                }
            }
            Some(smb2::Response::Other) | None => {}
        }
    }

    fn asked(&mut self, from: Direction, header: &smb2::Header, request: smb2::Request<'_>, message: &[u8], out: &mut Output<'_>) {
        let kind = self.trees.get(&header.tree).map_or("DISK", |tree| tree.kind);
        match request {
            smb2::Request::Session(token) => self.files.tokens.token(token, out),
            smb2::Request::Tree(path) => keep(&mut self.connecting, header.message, Tree { path: Some(path), ..Tree::new(out.at) }),
            smb2::Request::TreeDisconnect => drop(self.trees.remove(&header.tree)),
            smb2::Request::Create(name) => {
                let name = Some(name).filter(|name| !name.is_empty()).unwrap_or_else(|| b"<share_root>".to_vec());
                let action = match kind {
                    "PIPE" => "SMB::PIPE_OPEN",
                    "PRINT" => "SMB::PRINT_OPEN",
                    _ => "SMB::FILE_OPEN",
                };
                keep(&mut self.creating, header.message, File { name: Some(name), action, is_pipe: kind == "PIPE", ..File::new(out.at) });
            }
            smb2::Request::Close(id) => self.closed(id, kind, out),
            smb2::Request::Read(id, offset) => keep(&mut self.reading, header.message, (id, offset)),
            smb2::Request::Write(id, offset, data) => {
                let bytes = message.get(data.start..data.start.saturating_add(data.len)).unwrap_or_default();
                self.files.data(from, id, offset, bytes, out);
            }
            smb2::Request::Transceive(id, bytes) => {
                self.files.pipe(from, id, bytes, out);
                keep(&mut self.reading, header.message, (id, 0));
            }
            smb2::Request::Rename(id, name) => {
                let Some(file) = self.files.open.get_mut(&id) else { return };
                file.old_name = file.name.replace(name);
                file.action = "SMB::FILE_RENAME";
                let file = file.clone();
                self.files.log(&file, out);
            }
            smb2::Request::Delete(id, true) => {
                let Some(file) = self.files.open.get_mut(&id) else { return };
                file.action = "SMB::FILE_DELETE";
                let file = file.clone();
                self.files.log(&file, out);
            }
            smb2::Request::Delete(..) | smb2::Request::Other => {}
        }
    }

    fn created(&mut self, id: u64, file: File, size: u64, times: Times, out: &mut Output<'_>) {
        let [_, _, modified, _] = times;
        // Pipes have no times.
        let times = Some(times).filter(|_| wire::time(modified).micros() > 0);
        let file = File { size, times, ..file };
        self.files.log(&file, out);
        keep(&mut self.files.open, id, file);
    }

    fn closed(&mut self, id: u64, kind: &str, out: &mut Output<'_>) {
        if let Some(mut file) = self.files.close(id, out) {
            file.action = if kind == "PRINT" { "SMB::PRINT_CLOSE" } else { "SMB::FILE_CLOSE" };
            self.files.log(&file, out);
        }
    }

    fn first(&mut self, from: Direction, message: &[u8], out: &mut Output<'_>) {
        let Some((header, code)) = smb1::Header::read(message) else { return };
        let (commands, oddity) = smb1::commands(message, code);
        match oddity {
            Some(smb1::Oddity::Depth) => out.weird_detail("smb_andx_depth_exceeded", None, Some("SMB")),
            Some(smb1::Oddity::NotAdvancing) => out.weird_detail("smb_andx_offset_not_advancing", None, Some("SMB")),
            None => {}
        }
        for command in &commands {
            if header.is_response {
                let response = smb1::response(&header, command, message);
                self.first_answered(from, &header, response, out);
            } else if let Some(request) = smb1::request(&header, command, message) {
                self.first_asked(from, &header, request, out);
            }
        }
    }

    fn first_asked(&mut self, from: Direction, header: &smb1::Header, request: smb1::Request<'_>, out: &mut Output<'_>) {
        let message = FIRST_VERSION | u64::from(header.message);
        let id = |file: u16| FIRST_VERSION | u64::from(file);
        let tree = u32::from(header.tree);
        match request {
            smb1::Request::Session(token) => self.files.tokens.token(token, out),
            smb1::Request::Tree(path, service) => {
                keep(&mut self.connecting, message, Tree { path: Some(path), service: Some(service), ..Tree::new(out.at) });
            }
            smb1::Request::Create(name) => {
                let is_pipe = self.trees.get(&tree).is_some_and(|tree| tree.kind == "PIPE");
                keep(&mut self.creating, message, File { name: Some(name), is_pipe, ..File::new(out.at) });
            }
            smb1::Request::Close(file) => self.closed(id(file), "DISK", out),
            smb1::Request::Read(file, offset) => {
                self.share(id(file), tree);
                keep(&mut self.reading, message, (id(file), offset));
            }
            smb1::Request::Write(file, offset, bytes) => {
                self.share(id(file), tree);
                self.files.data(from, id(file), offset, bytes, out);
            }
            smb1::Request::Pipe(file, bytes) => {
                let id = id(file.unwrap_or(0));
                self.files.pipe(from, id, bytes, out);
                keep(&mut self.reading, message, (id, 0));
            }
            smb1::Request::Other => {}
        }
    }

    /// A file gets the path of the share that it is used on.
    fn share(&mut self, id: u64, tree: u32) {
        if let (Some(file), Some(tree)) = (self.files.open.get_mut(&id), self.trees.get(&tree)) {
            file.path = file.path.take().or_else(|| tree.path.clone());
        }
    }

    fn first_answered(&mut self, from: Direction, header: &smb1::Header, response: Option<smb1::Response<'_>>, out: &mut Output<'_>) {
        let message = FIRST_VERSION | u64::from(header.message);
        match response {
            Some(smb1::Response::Session(token)) => self.files.tokens.token(token, out),
            Some(smb1::Response::Tree(service, system)) if header.status == 0 => {
                let mut tree = self.connecting.remove(&message).unwrap_or_else(|| Tree::new(out.at));
                if service == b"IPC" {
                    tree.kind = "PIPE";
                }
                tree.service = Some(service);
                tree.system = Some(system).filter(|system| !system.is_empty());
                tree.log(out);
                keep(&mut self.trees, u32::from(header.tree), tree);
            }
            Some(smb1::Response::Create(file, size, times)) if header.status == 0 => {
                let open = self.creating.remove(&message).unwrap_or_else(|| File::new(out.at));
                self.created(FIRST_VERSION | u64::from(file), open, size, times, out);
            }
            Some(smb1::Response::Read(bytes)) => {
                if let Some((id, offset)) = self.reading.remove(&message) {
                    self.files.data(from, id, offset, bytes, out);
                }
            }
            Some(smb1::Response::Transaction(bytes)) => {
                if let Some((id, _)) = self.reading.remove(&message) {
                    self.files.pipe(from, id, bytes, out);
                }
            }
            _ => {}
        }
    }
}
