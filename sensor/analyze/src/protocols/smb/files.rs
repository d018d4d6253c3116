//! Shares and files of one connection, and what is logged of them (scripts/base/protocols/smb/main.zeek).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};

use super::record::{SmbFile, SmbMapping};
use super::wire::{self, Times};
use crate::files::{FileHandle, FileStart};
use crate::protocols::dce_rpc::Association;
use crate::protocols::ntlm::Tokens;
use crate::{Direction, Output, Time};

/// Shares, files and requests of one connection; above this the oldest is forgotten.
pub(super) const MAX_STATE: usize = 10_000;

/// Pipes of one connection (Zeek's `SMB::max_dce_rpc_analyzers`).
const MAX_PIPES: usize = 1000;

/// Files that are remembered so that they are not logged again and again.
const MAX_RECENT: usize = 10_000;

/// A share.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) at: Time,
    pub(super) path: Option<Vec<u8>>,
    pub(super) service: Option<Vec<u8>>,
    pub(super) system: Option<Vec<u8>>,
    pub(super) kind: &'static str,
}

impl Tree {
    pub(super) const fn new(at: Time) -> Self {
        Self { at, path: None, service: None, system: None, kind: "DISK" }
    }

    pub(super) fn log(&self, out: &mut Output<'_>) {
        out.record(SmbMapping {
            at: self.at,
            id: out.id,
            path: self.path.clone(),
            service: self.service.clone(),
            native_file_system: self.system.clone(),
            share_type: self.kind,
        });
    }
}

/// A file or a pipe.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) at: Time,
    pub(super) name: Option<Vec<u8>>,
    pub(super) path: Option<Vec<u8>>,
    pub(super) action: &'static str,
    pub(super) size: u64,
    pub(super) times: Option<Times>,
    pub(super) old_name: Option<Vec<u8>>,
    pub(super) is_pipe: bool,
    /// The transfer, and its uid.
    pub(super) handle: Option<(FileHandle, Option<crate::Uid>)>,
}

impl File {
    pub(super) const fn new(at: Time) -> Self {
        Self { at, name: None, path: None, action: "SMB::FILE_OPEN", size: 0, times: None, old_name: None, is_pipe: false, handle: None }
    }
}

/// What is known of a connection.
#[derive(Default)]
pub(super) struct Files {
    pub(super) open: BTreeMap<u64, File>,
    recent: BTreeSet<u64>,
    pipes: BTreeMap<u64, Association>,
    pub(super) tokens: Tokens,
}

/// Puts into a table that must not grow without bounds.
pub(super) fn keep<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, value: V) {
    if table.len() >= MAX_STATE {
        table.pop_first();
    }
    table.insert(key, value);
}

impl Files {
    /// Writes what was done to a file, if it is of interest and was not written just now.
    pub(super) fn log(&mut self, file: &File, out: &mut Output<'_>) {
        let is_logged =
            matches!(file.action, "SMB::FILE_OPEN" | "SMB::FILE_RENAME" | "SMB::FILE_DELETE" | "SMB::PRINT_OPEN" | "SMB::PRINT_CLOSE");
        if !is_logged || file.name.is_none() {
            return;
        }
        let fuid = file.handle.and_then(|(_, fuid)| fuid);
        if let Some([created, _, modified, changed]) = file.times {
            let mut hasher = ahash::AHasher::default();
            (file.action, fuid, &file.name, &file.path, file.size, created, modified, changed).hash(&mut hasher);
            if self.recent.len() >= MAX_RECENT {
                self.recent.clear();
            }
            if !self.recent.insert(hasher.finish()) {
                return;
            }
        }
        let time = |at: usize| file.times.and_then(|times| times.get(at).copied()).map(wire::time);
        out.record(SmbFile {
            at: file.at,
            id: out.id,
            fuid,
            action: file.action,
            path: file.path.clone(),
            name: file.name.clone(),
            size: file.size,
            prev_name: file.old_name.clone(),
            times_modified: time(2),
            times_accessed: time(1),
            times_created: time(0),
            times_changed: time(3),
            data_offset_req: None,
            data_len_req: None,
            data_len_rsp: None,
        });
    }

    /// Bytes of a file or of a pipe.
    pub(super) fn data(&mut self, from: Direction, id: u64, offset: u64, bytes: &[u8], out: &mut Output<'_>) {
        let Some(file) = self.open.get_mut(&id) else { return };
        if file.is_pipe {
            return self.pipe(from, id, bytes, out);
        }
        // Files of which not even the name is known are none.
        if file.name.is_none() || bytes.is_empty() {
            return;
        }
        let (handle, _) = *file.handle.get_or_insert_with(|| {
            let total = Some(file.size).filter(|&size| size > 0);
            let handle = out.file_open(from, FileStart { source: "SMB", filename: file.name.clone(), total, ..FileStart::default() });
            (handle, out.file_summary(handle).map(|summary| summary.fuid))
        });
        out.file_data_at(handle, offset, bytes);
    }

    /// Bytes of a pipe.
    pub(super) fn pipe(&mut self, from: Direction, id: u64, bytes: &[u8], out: &mut Output<'_>) {
        if self.pipes.len() >= MAX_PIPES && !self.pipes.contains_key(&id) {
            self.pipes.clear();
            out.weird_detail("SMB_discarded_dce_rpc_analyzers", None, Some("SMB"));
        }
        self.pipes.entry(id).or_default().pipe(from, bytes, &mut self.tokens, out);
    }

    /// A file is closed: its transfer is over.
    pub(super) fn close(&mut self, id: u64, out: &mut Output<'_>) -> Option<File> {
        self.pipes.remove(&id);
        let file = self.open.remove(&id)?;
        if let Some((handle, _)) = file.handle {
            out.file_close(handle);
        }
        Some(file)
    }

    pub(super) fn finish(&mut self, out: &mut Output<'_>) {
        for file in std::mem::take(&mut self.open).into_values() {
            if let Some((handle, _)) = file.handle {
                out.file_close(handle);
            }
        }
        let pipes = std::mem::take(&mut self.pipes);
        if pipes.values().any(Association::is_open) {
            pipes.values().for_each(|pipe| pipe.log(out));
        }
        self.tokens.finish(out);
    }
}
