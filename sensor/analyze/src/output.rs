//! Where analyzers put what they find.

use std::any::{Any, TypeId};

use ahash::AHashMap;

use crate::detect::Detect;
use crate::expected::Expected;
use crate::files::{FileHandle, FileStart, FileSummary, Files};
use crate::log::{Fields, Record, Sessions};
use crate::protocol::Protocol;
use crate::weird::{Place, Weirds};
use crate::{Direction, Endpoint, FlowId, Interval, Options, Time, UidSource};

/// Everything a worker collects until the next [`crate::Sensor::take`]; shared by all of its flows.
pub(crate) struct Sink {
    pub(crate) options: Options,
    pub(crate) records: Vec<Box<dyn Record>>,
    pub(crate) weirds: Weirds,
    pub(crate) uids: UidSource,
    pub(crate) files: Files,
    pub(crate) detect: Option<Box<dyn Detect>>,
    /// Arkime's sessions, if they are asked for.
    pub(crate) sessions: Option<Box<Sessions>>,
    /// Whether packets are counted into the sessions here.
    pub(crate) counts: bool,
    expected: Expected,
    state: AHashMap<TypeId, Box<dyn Any + Send>>,
}

impl Sink {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            uids: UidSource::new(options.seed),
            files: Files::new(&options),
            records: Vec::new(),
            weirds: Weirds::default(),
            expected: Expected::default(),
            detect: None,
            sessions: options.sessions.then(|| Box::new(Sessions::new(options.seed, options.profile))),
            counts: true,
            state: AHashMap::new(),
            options,
        }
    }

    pub(crate) fn weird(&mut self, at: Time, id: Option<&FlowId>, name: &'static str, addl: Option<&[u8]>, source: Option<&'static str>) {
        self.weird_at(at, id.map_or(Place::Nowhere, |id| Place::Flow(*id)), name, addl, source);
    }

    pub(crate) fn weird_at(&mut self, at: Time, place: Place, name: &'static str, addl: Option<&[u8]>, source: Option<&'static str>) {
        if let Some(record) = self.weirds.seen(at, place, name, addl, source) {
            self.records.push(Box::new(record));
        }
    }

    /// The protocol that another flow has announced for this one.
    pub(crate) fn expected(&mut self, at: Time, id: &FlowId) -> Option<&'static Protocol> {
        self.expected.take(at, id)
    }

    /// The worker ends: what is still being transferred is closed.
    /// Ends files that wait in vain.
    pub(crate) fn expire(&mut self, at: Time) {
        let ended = self.files.expire(at);
        self.records.extend(ended.into_iter().map(|record| Box::new(record) as Box<dyn Record>));
    }

    pub(crate) fn finish(&mut self) {
        let ended = self.files.finish();
        self.records.extend(ended.into_iter().map(|record| Box::new(record) as Box<dyn Record>));
    }

    /// State that a protocol keeps for all flows of this worker, made when first asked for.
    pub(crate) fn state<T: Any + Send + Default>(&mut self) -> &mut T {
        let slot = self.state.entry(TypeId::of::<T>()).or_insert_with(|| Box::<T>::default());
        slot.downcast_mut().expect("the key is the type of the value")
    }
}

/// What the engine keeps of a flow for `conn.log` and lets analyzers change.
#[derive(Debug, Default)]
pub struct FlowNotes {
    /// Protocols confirmed on this flow, in order.
    pub services: Vec<&'static str>,
    /// Protocols confirmed and then violated.
    pub failed: Vec<&'static str>,
    /// The beginning of the TCP connection was not seen, or only one side of it.
    pub is_partial: bool,
    /// Payload bytes of both directions so far.
    pub bytes: u64,
    /// An analyzer has met one of its limits: the history says that the analysis is not complete.
    pub is_limited: bool,
    /// The originator turned out to be the responder: the engine swaps the flow's ends after this call.
    pub flip: bool,
}

/// Handed to an analyzer with each call.
pub struct Output<'a> {
    /// Time of the packet that is being analysed.
    pub at: Time,
    /// The flow.
    pub id: FlowId,
    pub(crate) name: &'static str,
    pub(crate) notes: &'a mut FlowNotes,
    pub(crate) sink: &'a mut Sink,
}

impl Output<'_> {
    /// Writes a record.
    pub fn record(&mut self, record: impl Record + 'static) {
        self.sink.records.push(Box::new(record));
    }

    /// The fields of the session of Arkime's that the flow belongs to, if sessions are made and this one is still
    /// followed: Arkime stops where bytes are missing.
    pub fn session(&mut self) -> Option<&mut Fields> {
        self.sink.sessions.as_mut()?.of(&self.id, self.at)
    }

    /// Names an oddity on the wire (Zeek's `weird.log`); `name` is Zeek's.
    pub fn weird(&mut self, name: &'static str) {
        self.sink.weird(self.at, Some(&self.id), name, None, None);
    }

    /// As [`Output::weird`], with details and the analyzer that saw it.
    pub fn weird_detail(&mut self, name: &'static str, addl: Option<&[u8]>, source: Option<&'static str>) {
        self.sink.weird(self.at, Some(&self.id), name, addl, source);
    }

    /// The analyzer is sure of its protocol: its name becomes a service of the flow. May be called often.
    pub fn confirm(&mut self) {
        self.service(self.name);
    }

    /// Adds a service by name.
    pub fn service(&mut self, name: &'static str) {
        if !self.notes.services.contains(&name) && !self.notes.failed.contains(&name) {
            self.notes.services.push(name);
        }
    }

    /// Who was taken for the originator is the responder (the first DNS message seen is a reply): swaps the ends of
    /// the flow, from now on.
    pub fn flip_roles(&mut self) {
        std::mem::swap(&mut self.id.orig, &mut self.id.resp);
        self.notes.flip = !self.notes.flip;
    }

    /// Whether the analyzer's protocol was confirmed.
    pub fn is_confirmed(&self) -> bool {
        self.notes.services.contains(&self.name)
    }

    /// Whether the beginning of the TCP connection was missed: most analyzers then stay silent, as Zeek's do.
    pub fn is_partial(&self) -> bool {
        // Arkime does not mind.
        self.notes.is_partial && !self.sink.sessions.as_ref().is_some_and(|sessions| sessions.is_lent)
    }

    /// A limit was exceeded: what follows is not analysed in full, and `history` says so with an `X`.
    pub fn limit_exceeded(&mut self) {
        self.notes.is_limited = true;
    }

    /// How this sensor is set.
    pub fn options(&self) -> &Options {
        &self.sink.options
    }

    /// State that a protocol keeps for all flows of this worker. Bound it: it lives as long as the worker.
    pub fn state<T: Any + Send + Default>(&mut self) -> &mut T {
        self.sink.state()
    }

    /// Announces a flow to `resp` (from `orig`, if it is known who) that will speak `protocol` within `within`.
    pub fn expect(&mut self, orig: Option<std::net::IpAddr>, resp: Endpoint, protocol: &'static Protocol, within: Interval) {
        let until = self.at + within;
        self.sink.expected.add(self.at, until, orig, resp, protocol);
    }

    /// A new file is transferred on this flow.
    pub fn file_open(&mut self, from: Direction, start: FileStart) -> FileHandle {
        let uid = self.sink.uids.file();
        self.sink.files.open(uid, self.at, &self.id, from, start)
    }

    /// The next bytes of a file.
    pub fn file_data(&mut self, file: FileHandle, bytes: &[u8]) {
        self.sink.files.data(file, self.at, bytes);
    }

    /// Bytes of a file at an offset (ranges, SMB).
    pub fn file_data_at(&mut self, file: FileHandle, offset: u64, bytes: &[u8]) {
        self.sink.files.data_at(file, self.at, offset, bytes);
    }

    /// So many bytes of a file were not seen.
    pub fn file_gap(&mut self, file: FileHandle, len: u64) {
        self.sink.files.gap(file, self.at, len);
    }

    /// The size of a file became known.
    pub fn file_total(&mut self, file: FileHandle, total: u64) {
        self.sink.files.total(file, total);
    }

    /// What is known of a file so far.
    pub fn file_summary(&self, file: FileHandle) -> Option<FileSummary> {
        self.sink.files.summary(file)
    }

    /// The transfer has ended: writes the file's record and says what was found.
    pub fn file_close(&mut self, file: FileHandle) -> Option<FileSummary> {
        let content = self.sink.files.content(file);
        let (summary, record) = self.sink.files.close(file)?;
        match content {
            Some(content) if content.is_executable => crate::protocols::pe::log(&content, self),
            Some(content) => crate::protocols::ocsp::log(content.at, content.fuid, &content.bytes, self),
            None => {}
        }
        self.sink.records.push(Box::new(record));
        Some(summary)
    }
}
