//! Files that IRC clients send each other (DCC), on flows that a message has announced.

use ahash::AHashMap;

use super::record::Irc;
use crate::files::{FileHandle, FileStart};
use crate::{Analyzer, Direction, Endpoint, Interval, Match, Output, Pair, Protocol, Step};

/// Data of DCC transfers.
pub static IRC_DATA: Protocol = Protocol {
    name: "irc-dcc-data",
    label: "IRC_DATA",
    tcp: &[],
    udp: &[],
    recognises: |_| Match::No,
    analyzer: |_| Box::<Transfer>::default(),
};

/// How long an offer stands.
const PATIENCE: Interval = Interval::from_secs(5 * 60);

/// Offers of a worker; above this they are forgotten.
const MAX_OFFERS: usize = 65_536;

/// Rows that are written once their transfer is under way.
#[derive(Default)]
struct Offers(AHashMap<Endpoint, Irc>);

/// Announces a transfer.
pub(super) fn offer(to: Endpoint, row: Irc, out: &mut Output<'_>) {
    let offers = &mut out.state::<Offers>().0;
    if offers.len() >= MAX_OFFERS {
        offers.clear();
    }
    offers.insert(to, row);
    out.expect(None, to, &IRC_DATA, PATIENCE);
}

#[derive(Default)]
struct Transfer {
    files: Pair<Option<FileHandle>>,
    logged: bool,
}

impl Analyzer for Transfer {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        out.confirm();
        if bytes.is_empty() {
            return Step::NeedMore;
        }
        let resp = out.id.resp;
        let handle = match *self.files.of(from) {
            Some(handle) => handle,
            None => {
                let filename = out.state::<Offers>().0.get(&resp).and_then(|row| row.dcc_file_name.clone());
                let handle = out.file_open(from, FileStart { source: "IRC_DATA", filename, ..FileStart::default() });
                *self.files.of_mut(from) = Some(handle);
                handle
            }
        };
        out.file_data(handle, bytes);
        if !self.logged
            && let Some(summary) = out.file_summary(handle).filter(|summary| summary.mime.is_some())
        {
            self.log(Some(summary.fuid), summary.mime, out);
        }
        Step::Consumed(bytes.len())
    }

    fn gap(&mut self, from: Direction, len: u64, out: &mut Output<'_>) -> Step {
        if let Some(file) = *self.files.of(from) {
            out.file_gap(file, len);
        }
        Step::Consumed(0)
    }

    fn end(&mut self, from: Direction, _: &[u8], out: &mut Output<'_>) {
        if let Some(summary) = self.files.of_mut(from).take().and_then(|file| out.file_close(file)) {
            self.log(Some(summary.fuid), summary.mime, out);
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        out.confirm();
        self.end(Direction::Responder, &[], out);
        self.end(Direction::Originator, &[], out);
        let resp = out.id.resp;
        out.state::<Offers>().0.remove(&resp);
    }
}

impl Transfer {
    /// The first file whose type is known makes the row.
    fn log(&mut self, fuid: Option<crate::Uid>, mime: Option<&'static str>, out: &mut Output<'_>) {
        self.logged = true;
        let resp = out.id.resp;
        if let Some(row) = out.state::<Offers>().0.remove(&resp) {
            out.record(Irc { command: "DCC", dcc_mime_type: mime, fuid, ..row });
        }
    }
}
