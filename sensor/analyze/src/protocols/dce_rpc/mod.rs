//! DCE-RPC: the calls between Windows hosts in `dce_rpc.log`, over TCP and, shown by SMB, over named pipes.
//!
//! Non-goals: arguments and results of calls, and DCE-RPC in datagrams.

mod names;
mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use super::ntlm::Tokens;
use crate::{Analyzer, Beginning, Direction, Match, Output, Pair, Protocol, Step, Time, Transport};
use wire::{Read, Unit, Uuid, kind};

pub use record::{DceRpc, LOG};

/// DCE-RPC over TCP (C706, MS-RPCE).
pub static DCE_RPC: Protocol =
    Protocol { name: "dce_rpc", label: "DCE_RPC", tcp: &[135], udp: &[], recognises, analyzer: |_| Box::<Connection>::default() };

/// Calls of one direction of which the last fragment is missing (Zeek's `DCE_RPC::max_cmd_reassembly`).
const MAX_FRAGMENTED: usize = 20;

/// Contexts of one association, and calls under way.
const MAX_CONTEXTS: usize = 1000;

/// Bytes of a pipe that wait to become a unit.
const MAX_WAITING: usize = 1 << 17;

/// A bind and its acknowledgement (scripts/base/protocols/dce-rpc/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    match (beginning.orig, beginning.resp) {
        ([5, 0 | 1, kind::BIND, ..], [5, 0 | 1, kind::BIND_ACK | 13 | kind::ALTER_RESPONSE, ..]) => Match::Yes,
        ([] | [5] | [5, 0 | 1] | [5, 0 | 1, kind::BIND, ..], [] | [5] | [5, 0 | 1]) => Match::Maybe,
        _ => Match::No,
    }
}

/// One association.
#[derive(Default)]
pub(crate) struct Association {
    contexts: BTreeMap<u16, Uuid>,
    /// The interface that was bound last.
    interface: Option<Uuid>,
    named_pipe: Option<Vec<u8>>,
    operations: BTreeMap<u16, u16>,
    row: Option<Box<DceRpc>>,
    started: Time,
    fragmented: Pair<BTreeSet<u32>>,
    waiting: Pair<Vec<u8>>,
    /// Nothing more is read.
    dead: bool,
    /// Something was said since the last response.
    is_open: bool,
}

#[derive(Default)]
struct Connection {
    association: Association,
    tokens: Tokens,
}

impl Analyzer for Connection {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        match self.association.units(from, bytes, &mut self.tokens, out) {
            _ if self.association.dead => Step::Done,
            Some(0) => Step::NeedMore,
            Some(len) => Step::Consumed(len),
            None => Step::Violation("malformed DCE-RPC unit"),
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if self.association.is_open {
            self.association.log(out);
        }
        self.tokens.finish(out);
    }
}

impl Association {
    /// Bytes of a named pipe.
    pub(crate) fn pipe(&mut self, from: Direction, bytes: &[u8], tokens: &mut Tokens, out: &mut Output<'_>) {
        if self.dead {
            return;
        }
        let mut waiting = std::mem::take(self.waiting.of_mut(from));
        waiting.extend_from_slice(bytes);
        match self.units(from, &waiting, tokens, out) {
            Some(len) if waiting.len().saturating_sub(len) <= MAX_WAITING => drop(waiting.drain(..len.min(waiting.len()))),
            _ => {
                self.dead = true;
                return;
            }
        }
        *self.waiting.of_mut(from) = waiting;
    }

    /// Whether the last that was said is no response.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Reads whole units and says how many bytes they took; `None` if it is no DCE-RPC.
    fn units(&mut self, from: Direction, bytes: &[u8], tokens: &mut Tokens, out: &mut Output<'_>) -> Option<usize> {
        let mut done = 0usize;
        while !self.dead {
            match Unit::read(bytes.get(done..).unwrap_or_default()) {
                Read::NeedMore => break,
                Read::Bad => return None,
                Read::Unit(unit) => {
                    out.service(DCE_RPC.name);
                    done = done.saturating_add(unit.len);
                    self.unit(from, unit, tokens, out);
                }
            }
        }
        Some(done)
    }

    fn unit(&mut self, from: Direction, mut unit: Unit<'_>, tokens: &mut Tokens, out: &mut Output<'_>) {
        if let Some(token) = unit.token {
            tokens.token(token, out);
        }
        let fragmented = self.fragmented.of_mut(from);
        if !unit.is_last {
            fragmented.insert(unit.call);
            if fragmented.len() > MAX_FRAGMENTED {
                out.weird_detail("too_many_dce_rpc_msgs_in_reassembly", None, Some("DCE_RPC"));
                self.dead = true;
            }
            return;
        }
        fragmented.remove(&unit.call);
        match unit.kind {
            kind::BIND | kind::ALTER => {
                self.row(out);
                for (id, uuid) in unit.body.contexts() {
                    if self.contexts.len() < MAX_CONTEXTS {
                        self.contexts.insert(id, uuid);
                    }
                    self.interface = Some(uuid);
                    self.row(out).endpoint = Some(names::endpoint(&uuid));
                }
            }
            kind::BIND_ACK => {
                self.row(out);
                if let Some(name) = unit.body.address() {
                    self.row(out).named_pipe = Some(name.clone());
                    self.named_pipe = Some(name);
                }
            }
            kind::ALTER_RESPONSE => drop(self.row(out).endpoint.is_some()),
            kind::REQUEST => {
                let Some((context, operation)) = unit.body.request() else { return };
                if self.operations.len() < MAX_CONTEXTS {
                    self.operations.insert(context, operation);
                }
                let at = out.at;
                self.row(out).at = at;
                self.started = at;
            }
            kind::RESPONSE => {
                let Some(context) = unit.body.response() else { return };
                self.response(context, out);
            }
            _ => {}
        }
    }

    fn row(&mut self, out: &Output<'_>) -> &mut DceRpc {
        self.is_open = true;
        let endpoint = self.interface.map(|uuid| names::endpoint(&uuid));
        let row = self.row.get_or_insert_with(|| {
            Box::new(DceRpc { at: out.at, id: out.id, rtt: None, named_pipe: None, endpoint: None, operation: None })
        });
        if endpoint.is_some() {
            row.endpoint = endpoint;
        }
        row
    }

    fn response(&mut self, context: u16, out: &mut Output<'_>) {
        let operation = self.operations.get(&context).copied().unwrap_or(0);
        let has_endpoint = self.row(out).endpoint.is_some();
        if !has_endpoint {
            // The bind was not seen, but the pipe says what it is for.
            self.interface = self.named_pipe.as_deref().and_then(names::common);
        }
        let (interface, bound) = (self.interface, self.contexts.get(&context).copied());
        let rtt = out.at.since(self.row(out).at);
        let row = self.row(out);
        if let Some(uuid) = interface.filter(|_| has_endpoint) {
            row.operation = Some(names::operation(&uuid, operation));
            if rtt.0 != 0 {
                row.rtt = Some(rtt);
            }
        }
        if let Some(uuid) = bound {
            row.endpoint = Some(names::endpoint(&uuid));
            row.operation = Some(names::operation(&uuid, operation));
        }
        self.log(out);
        self.is_open = false;
    }

    /// Writes the last call, unless it is one of the many that say little.
    pub(crate) fn log(&self, out: &mut Output<'_>) {
        let Some(row) = &self.row else { return };
        if let (Some(endpoint), Some(operation)) = (&row.endpoint, &row.operation)
            && !names::is_ignored(endpoint, operation)
        {
            out.record((**row).clone());
        }
    }
}
