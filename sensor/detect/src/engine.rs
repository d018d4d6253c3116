//! The rules of one worker at work.
//!
//! Contents are looked for in what comes at once, and in what a stream has held so far, so that a content that lies
//! across segments is found; the second only until the rule has alerted in that direction.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use analyze::log::Record;
use analyze::{Alert, Detect, Direction, FlowId, Pair, Sight, Time, Transport, Uid};

use crate::content;
use crate::header::Action;
use crate::rule::{Flowbit, Rule};

/// Bytes of one direction of a stream that are kept for contents that lie across segments.
const MAX_STREAM: usize = 16 << 10;
/// Flows of which something is kept; when there are more, all is forgotten.
const MAX_FLOWS: usize = 100_000;
/// Alerts that one look may raise. Suricata's `packet-alert-max`.
const MAX_ALERTS: usize = 15;

/// The rules of one worker.
pub struct Engine {
    rules: Arc<Vec<Rule>>,
    flows: AHashMap<Uid, Kept>,
    alerts: Vec<Alert>,
    lower: Vec<u8>,
}

#[derive(Default)]
struct Kept {
    streams: Pair<Vec<u8>>,
    /// Rules that have alerted on the stream, by place and direction.
    told: AHashSet<(usize, bool)>,
    bits: AHashSet<String>,
}

impl Engine {
    pub(crate) fn new(rules: Arc<Vec<Rule>>) -> Self {
        Self { rules, flows: AHashMap::new(), alerts: Vec::new(), lower: Vec::new() }
    }
}

impl Detect for Engine {
    fn bytes(&mut self, sight: &Sight<'_>) {
        if self.flows.len() > MAX_FLOWS {
            self.flows.clear();
        }
        let kept = self.flows.entry(sight.id.uid).or_default();
        let is_stream = sight.id.transport == Transport::Tcp;
        let stream = kept.streams.of_mut(sight.from);
        let begins = stream.is_empty();
        if is_stream && stream.len() < MAX_STREAM {
            let room = MAX_STREAM - stream.len();
            stream.extend_from_slice(sight.bytes.get(..sight.bytes.len().min(room)).unwrap_or_default());
        }
        self.lower.clear();
        self.lower.extend(sight.bytes.iter().map(u8::to_ascii_lowercase));
        let whole = std::mem::take(stream);
        let whole_lower: Vec<u8> = if is_stream && !begins { whole.to_ascii_lowercase() } else { Vec::new() };
        let (src, dst) = match sight.from {
            Direction::Originator => (sight.id.orig, sight.id.resp),
            Direction::Responder => (sight.id.resp, sight.id.orig),
        };
        let mut raised = 0;
        for (place, rule) in self.rules.iter().enumerate() {
            if !rule.sticky.is_empty()
                || !direction(rule, sight.from, sight.is_established)
                || rule.dsize.is_some_and(|(low, high)| !(low..=high).contains(&(sight.bytes.len() as u64)))
                || !rule.header.matches(sight.id, src, dst, sight.services)
            {
                continue;
            }
            let told = (place, sight.from.is_orig());
            let now = content::matches(&rule.payload, sight.bytes, &self.lower);
            let across = || !whole_lower.is_empty() && !kept.told.contains(&told) && content::matches(&rule.payload, &whole, &whole_lower);
            if !now && !across() {
                continue;
            }
            if !flowbits(rule, &mut kept.bits) {
                continue;
            }
            kept.told.insert(told);
            if rule.header.action == Action::Pass {
                break;
            }
            if raised < MAX_ALERTS && !is_silent(rule) {
                raised += 1;
                self.alerts.push(alert(rule, sight.at, sight.id, sight.from, sight.services));
            }
        }
        *kept.streams.of_mut(sight.from) = whole;
    }

    fn record(&mut self, record: &dyn Record) {
        let Some(id) = record.flow() else { return };
        let mut buffers: Vec<(&'static str, Direction, Vec<u8>)> = Vec::new();
        record.buffers(&mut |name, from, bytes| buffers.push((name, from, bytes.to_vec())));
        let Some(service) = buffers.first().and_then(|(name, ..)| service_of(name)) else { return };
        for rule in self.rules.iter().filter(|rule| !rule.sticky.is_empty()) {
            let mut from = Direction::Originator;
            let all = rule.sticky.iter().all(|sticky| {
                buffers.iter().filter(|(name, ..)| *name == sticky.name).any(|(_, sender, bytes)| {
                    from = *sender;
                    content::matches(&sticky.parts, bytes, &bytes.to_ascii_lowercase())
                })
            });
            let (src, dst) = match from {
                Direction::Originator => (id.orig, id.resp),
                Direction::Responder => (id.resp, id.orig),
            };
            if !all || !direction(rule, from, true) || !rule.header.matches(id, src, dst, &[service]) {
                continue;
            }
            let kept = self.flows.entry(id.uid).or_default();
            if flowbits(rule, &mut kept.bits) && rule.header.action != Action::Pass && !is_silent(rule) {
                self.alerts.push(alert(rule, record.at(), id, from, &[service]));
            }
        }
    }

    fn ended(&mut self, flow: Uid) {
        self.flows.remove(&flow);
    }

    fn take(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.alerts)
    }
}

fn direction(rule: &Rule, from: Direction, is_established: bool) -> bool {
    let flow = rule.flow;
    (!flow.to_server || from.is_orig())
        && (!flow.to_client || !from.is_orig())
        && (!flow.established || is_established)
        && (!flow.not_established || !is_established)
}

/// Whether the flow's bits are as the rule asks; does what it wants done with them.
fn flowbits(rule: &Rule, bits: &mut AHashSet<String>) -> bool {
    let holds = rule.flowbits.iter().all(|flowbit| match flowbit {
        Flowbit::IsSet(names) => names.iter().any(|name| bits.contains(name)),
        Flowbit::IsNotSet(names) => names.iter().all(|name| !bits.contains(name)),
        _ => true,
    });
    if holds {
        for flowbit in &rule.flowbits {
            match flowbit {
                Flowbit::Set(name) => drop(bits.insert(name.clone())),
                Flowbit::Unset(name) => drop(bits.remove(name)),
                Flowbit::Toggle(name) => {
                    if !bits.remove(name) {
                        bits.insert(name.clone());
                    }
                }
                Flowbit::IsSet(_) | Flowbit::IsNotSet(_) | Flowbit::NoAlert => {}
            }
        }
    }
    holds
}

fn is_silent(rule: &Rule) -> bool {
    rule.flowbits.iter().any(|flowbit| matches!(flowbit, Flowbit::NoAlert))
}

fn service_of(buffer: &str) -> Option<&'static str> {
    match buffer.split('.').next()? {
        "http" => Some("http"),
        "dns" => Some("dns"),
        "tls" => Some("ssl"),
        _ => None,
    }
}

fn alert(rule: &Rule, at: Time, id: &FlowId, from: Direction, services: &[&'static str]) -> Alert {
    let id = match from {
        Direction::Originator => *id,
        Direction::Responder => FlowId { orig: id.resp, resp: id.orig, ..*id },
    };
    Alert {
        at,
        id,
        gid: rule.gid,
        sid: rule.sid,
        rev: rule.rev,
        message: rule.message.clone(),
        class: rule.class.clone(),
        severity: rule.severity,
        action: if rule.header.action == Action::Drop { "blocked" } else { "allowed" },
        app_proto: services.last().map(|name| analyze::log::eve_name(name)),
    }
}
