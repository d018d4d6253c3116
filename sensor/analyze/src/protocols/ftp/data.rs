//! The data connections of FTP: each is a file.

use std::net::IpAddr;

use ahash::AHashMap;

use crate::files::{FileHandle, FileStart, FileSummary};
use crate::{Analyzer, Direction, Endpoint, FlowId, Match, Output, Pair, Protocol, Step, Uid};

/// FTP's data, on flows that the control connection has announced.
pub static FTP_DATA: Protocol =
    Protocol { name: "ftp-data", label: "FTP_DATA", tcp: &[], udp: &[], recognises: |_| Match::No, analyzer: |_| Box::<Data>::default() };

/// Announced data connections of a worker, and transfers of control connections; above this they are forgotten.
const MAX_CHANNELS: usize = 65_536;

/// What data connections tell their control connections.
#[derive(Default)]
pub(super) struct Channels {
    /// The control connection of an announced data connection.
    expected: AHashMap<Endpoint, Uid>,
    /// What the last data connection of a control connection transferred.
    transfers: AHashMap<Uid, Transfer>,
}

/// A file that was transferred.
#[derive(Clone, Copy, Default)]
pub(super) struct Transfer {
    pub(super) fuid: Option<Uid>,
    pub(super) mime: Option<&'static str>,
}

impl Channels {
    pub(super) fn announce(&mut self, resp: Endpoint, control: Uid) {
        if self.expected.len() >= MAX_CHANNELS {
            self.expected.clear();
        }
        self.expected.insert(resp, control);
    }

    /// The last transfer of a control connection; it is told once.
    pub(super) fn transfer(&mut self, control: Uid) -> Transfer {
        self.transfers.remove(&control).unwrap_or_default()
    }

    /// A control connection has ended that announced these.
    pub(super) fn forget(&mut self, control: Uid, announced: &[Endpoint]) {
        self.transfers.remove(&control);
        for resp in announced {
            if self.expected.get(resp) == Some(&control) {
                self.expected.remove(resp);
            }
        }
    }

    fn transferred(&mut self, id: &FlowId) -> Option<&mut Transfer> {
        let control = *self.expected.get(&id.resp)?;
        if self.transfers.len() >= MAX_CHANNELS {
            self.transfers.clear();
        }
        Some(self.transfers.entry(control).or_default())
    }
}

#[derive(Default)]
struct Data {
    files: Pair<Option<FileHandle>>,
    told: bool,
}

impl Analyzer for Data {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        out.confirm();
        if bytes.is_empty() {
            return Step::NeedMore;
        }
        let file = self.files.of_mut(from);
        let handle = *file.get_or_insert_with(|| {
            let handle = out.file_open(from, FileStart { source: "FTP_DATA", ..FileStart::default() });
            let (id, fuid) = (out.id, out.file_summary(handle).map(|summary| summary.fuid));
            if let Some(transfer) = out.state::<Channels>().transferred(&id) {
                transfer.fuid = fuid;
            }
            handle
        });
        out.file_data(handle, bytes);
        if !self.told {
            let summary = out.file_summary(handle);
            self.transferred(summary, out);
        }
        Step::Consumed(bytes.len())
    }

    fn gap(&mut self, from: Direction, len: u64, out: &mut Output<'_>) -> Step {
        if let Some(file) = *self.files.of(from) {
            out.file_gap(file, len);
        }
        Step::Consumed(0)
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        out.confirm();
        // Zeek ends the file with the flow, not with the FIN: a short file's type is known late.
        for from in [Direction::Originator, Direction::Responder] {
            let summary = self.files.of_mut(from).take().and_then(|file| out.file_close(file));
            self.transferred(summary, out);
        }
        let resp = out.id.resp;
        out.state::<Channels>().expected.remove(&resp);
    }
}

impl Data {
    /// Tells the control connection what the file is, once it is known.
    fn transferred(&mut self, summary: Option<FileSummary>, out: &mut Output<'_>) {
        let Some(mime) = summary.and_then(|summary| summary.mime).filter(|_| !self.told) else { return };
        self.told = true;
        let id = out.id;
        if let Some(transfer) = out.state::<Channels>().transferred(&id) {
            transfer.mime = Some(mime);
        }
    }
}

/// Announces a data connection.
pub(super) fn announce(orig: IpAddr, resp: Endpoint, out: &mut Output<'_>) {
    let control = out.id.uid;
    out.state::<Channels>().announce(resp, control);
    out.expect(Some(orig), resp, &FTP_DATA, crate::Interval::from_secs(5 * 60));
}
