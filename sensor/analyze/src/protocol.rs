//! What a protocol is to the engine: a row in a table, a way to recognise it, and an analyzer of its streams.
//!
//! Analyzers never buffer and never see sequence numbers: the stream keeps what was not consumed, up to
//! [`MAX_UNCONSUMED`], and offers it again together with what comes next.

use crate::{Direction, FlowId, Output, Transport};

/// Bytes of one direction that may wait unconsumed for one analyzer. Above this the analyzer is taken off the flow:
/// no protocol here needs a larger unit in one piece (TLS records end at 18 KiB, SMB2 messages at 8 MiB are
/// consumed in parts).
pub const MAX_UNCONSUMED: usize = 1 << 20;

/// Bytes of each direction that identification looks at, and keeps for analyzers that are attached late.
/// Zeek's `dpd_buffer_size`.
pub const IDENTIFY_BYTES: usize = 1024;

/// One application protocol.
#[derive(Debug)]
pub struct Protocol {
    /// Name in `conn.log`'s `service`.
    pub name: &'static str,
    /// Name of the analyzer in `analyzer.log`.
    pub label: &'static str,
    /// TCP ports on which it is tried whatever the bytes say (Zeek registers analyzers for these).
    pub tcp: &'static [u16],
    /// UDP ports, likewise.
    pub udp: &'static [u16],
    /// Looks at the first bytes of a flow on any port.
    pub recognises: fn(&Beginning<'_>) -> Match,
    /// Makes an analyzer for one flow.
    pub analyzer: fn(&FlowId) -> Box<dyn Analyzer>,
}

/// The first bytes of both directions (of UDP: the first datagrams).
#[derive(Clone, Copy, Debug)]
pub struct Beginning<'a> {
    /// Transport that carries it.
    pub transport: Transport,
    /// First bytes from the originator, up to [`IDENTIFY_BYTES`].
    pub orig: &'a [u8],
    /// First bytes from the responder, up to [`IDENTIFY_BYTES`].
    pub resp: &'a [u8],
}

/// What identification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is this protocol.
    Yes,
    /// More bytes, or the other side's, may decide.
    Maybe,
    /// It is not.
    No,
}

/// What an analyzer did with the bytes that it was shown.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// So many bytes are done with; the analyzer is called again if some are left.
    Consumed(usize),
    /// Nothing can be done before more bytes come.
    NeedMore,
    /// This analyzer has seen all it wants of this flow.
    Done,
    /// The bytes are not this protocol: the analyzer is taken off the flow. The text is Zeek's `failure_reason`.
    Violation(&'static str),
    /// After so many bytes another protocol goes on in both directions (STARTTLS, upgrade).
    Become(usize, &'static Protocol),
    /// After so many bytes something unknown goes on in both directions, to be identified anew (CONNECT, SOCKS).
    Identify(usize),
}

/// The state of one protocol on one flow.
pub trait Analyzer: Send {
    /// Shows in-order bytes of one direction: of TCP all that are unconsumed, of UDP one datagram (what is not
    /// consumed of a datagram is not shown again).
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step;

    /// `len` bytes of this direction are missing here. What had been unconsumed before them is gone.
    /// The default gives up, as most protocols cannot find their place again.
    fn gap(&mut self, from: Direction, len: u64, out: &mut Output<'_>) -> Step {
        let _ = (from, len, out);
        Step::Done
    }

    /// This direction has ended (FIN or RST); `unconsumed` is what was left over.
    fn end(&mut self, from: Direction, unconsumed: &[u8], out: &mut Output<'_>) {
        let _ = (from, unconsumed, out);
    }

    /// The flow is over, or the analyzer is taken off it: the last chance to write records.
    fn finish(&mut self, out: &mut Output<'_>) {
        let _ = out;
    }
}
