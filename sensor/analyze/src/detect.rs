//! Where rules look on: the bytes of flows as they come in order, and the records as they are completed.
//!
//! The rule language itself is another crate's; here is only what it is shown, and what it says.

use crate::log::{Eve, Record};
use crate::{Direction, FlowId, FlowNotes, Time, Uid};

/// Bytes of a flow, as a rule sees them.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// When they came.
    pub at: Time,
    /// The flow.
    pub id: &'a FlowId,
    /// Who sent them.
    pub from: Direction,
    /// Whether both sides have spoken (of TCP: the handshake was seen or is over).
    pub is_established: bool,
    /// Protocols that were confirmed on the flow so far.
    pub services: &'a [&'static str],
    /// The bytes: of TCP the next in order, of UDP and ICMP one datagram's.
    pub bytes: &'a [u8],
}

/// A set of rules at work in one worker.
pub trait Detect: Send {
    /// Looks at bytes.
    fn bytes(&mut self, sight: &Sight<'_>);

    /// Looks at a record.
    fn record(&mut self, record: &dyn Record);

    /// The flow is over: what is kept of it can go.
    fn ended(&mut self, flow: Uid);

    /// The alerts since the last call.
    fn take(&mut self) -> Vec<Alert>;
}

/// A rule that matched.
#[derive(Clone, Debug)]
pub struct Alert {
    /// When.
    pub at: Time,
    /// The flow, as seen from who sent what matched.
    pub id: FlowId,
    /// Group of the rule; 1 if it names none.
    pub gid: u32,
    /// The rule.
    pub sid: u32,
    /// Its revision.
    pub rev: u32,
    /// Its message.
    pub message: String,
    /// Its class.
    pub class: String,
    /// 1 (high) to 255.
    pub severity: u8,
    /// What an inline engine would have done.
    pub action: &'static str,
    /// Protocol of the flow by EVE's name, if it is known.
    pub app_proto: Option<&'static str>,
}

impl Alert {
    /// Writes Suricata's `alert` event.
    pub fn eve(&self, eve: &mut Eve<'_>) {
        eve.event("alert", self.at, &self.id, |json| {
            json.child("alert", |json| {
                json.str("action", self.action);
                json.number("gid", u64::from(self.gid));
                json.number("signature_id", u64::from(self.sid));
                json.number("rev", u64::from(self.rev));
                json.str("signature", &self.message);
                json.str("category", &self.class);
                json.number("severity", u64::from(self.severity));
            });
            json.some_str("app_proto", self.app_proto);
        });
    }
}

/// Shows bytes to the rules, if there are any.
pub(crate) fn show(
    detect: Option<&mut Box<dyn Detect>>,
    at: Time,
    id: &FlowId,
    from: Direction,
    is_established: bool,
    notes: &FlowNotes,
    bytes: &[u8],
) {
    if let Some(detect) = detect {
        detect.bytes(&Sight { at, id, from, is_established, services: &notes.services, bytes });
    }
}
