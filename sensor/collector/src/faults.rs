//! Going wrong on purpose: what collectors do on bad days, so that tests can see a sensor bear it.
//!
//! ```text
//! NAME[=VALUE][*TIMES]        as an option of `tenrec collector`; without TIMES it holds for ever
//!
//! no-ack            events are written and never acknowledged
//! keep-alive        events are written, and only 0 is acknowledged, which says "still working"
//! lose-ack          events are written, and the connection is closed before their acknowledgement
//! close-after=N     the connection is closed after N of its events, within a window
//! stall             nothing is read or answered any more
//! status=CODE       bulk requests are answered with CODE; 429 and 503 with `Retry-After: 1`
//! partial=CODE/N    every Nth document of a bulk request is answered with CODE
//! cut               the answer to a bulk request, which was obeyed, ends in the middle
//! http-stall        bulk requests are never answered
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

/// What goes wrong with Lumberjack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lumberjack {
    /// Never acknowledges.
    NoAck,
    /// Acknowledges only 0.
    KeepAlive,
    /// Closes before the acknowledgement.
    LoseAck,
    /// Closes after so many events.
    CloseAfter(u64),
    /// Takes a window and does nothing more.
    Stall,
}

/// What goes wrong with OpenSearch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenSearch {
    /// Answers a bulk request with this status.
    Status(u16),
    /// Answers every so manieth document with this status.
    Partial(u16, usize),
    /// Obeys, and ends the answer in its middle.
    Cut,
    /// Never answers.
    Stall,
}

/// One way to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Of Lumberjack.
    Lumberjack(Lumberjack),
    /// Of OpenSearch.
    OpenSearch(OpenSearch),
}

/// The faults in force, shared by all connections and whoever switches them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Each with the times that are left; `None` for ever.
    active: Vec<(Fault, Option<u64>)>,
    struck: u64,
}

impl Faults {
    /// Switches a fault on, so many times or for ever.
    pub fn add(&self, fault: Fault, times: Option<u64>) {
        self.lock().active.push((fault, times));
    }

    /// Switches all off.
    pub fn clear(&self) {
        self.lock().active.clear();
    }

    /// How often one has struck.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.lock().struck
    }

    /// Adds what a text says, `NAME[=VALUE][*TIMES]`.
    ///
    /// # Errors
    /// When there is no such fault.
    pub fn add_text(&self, text: &str) -> Result<(), String> {
        let (fault, times) = match text.rsplit_once('*') {
            Some((fault, times)) => (fault, Some(times.parse().map_err(|_| format!("{times:?} is not a number of times"))?)),
            None => (text, None),
        };
        self.add(fault.parse()?, times);
        Ok(())
    }

    pub(crate) fn lumberjack(&self, strikes: impl Fn(&Lumberjack) -> bool) -> Option<Lumberjack> {
        self.strike(|fault| match fault {
            Fault::Lumberjack(fault) if strikes(fault) => Some(*fault),
            _ => None,
        })
    }

    pub(crate) fn opensearch(&self, strikes: impl Fn(&OpenSearch) -> bool) -> Option<OpenSearch> {
        self.strike(|fault| match fault {
            Fault::OpenSearch(fault) if strikes(fault) => Some(*fault),
            _ => None,
        })
    }

    fn strike<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let mut inner = self.lock();
        let at = inner.active.iter().position(|(fault, _)| pick(fault).is_some())?;
        inner.struck += 1;
        let (fault, times) = inner.active.get_mut(at)?;
        let picked = pick(fault);
        if let Some(left) = times {
            *left = left.saturating_sub(1);
            if *left == 0 {
                inner.active.remove(at);
            }
        }
        picked
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is not a number: in the fault {name}"));
        let status = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|code| (400..600).contains(code))
                .ok_or_else(|| format!("{text:?} is not a status of 400 to 599"))
        };
        Ok(match (name, value) {
            ("no-ack", None) => Self::Lumberjack(Lumberjack::NoAck),
            ("keep-alive", None) => Self::Lumberjack(Lumberjack::KeepAlive),
            ("lose-ack", None) => Self::Lumberjack(Lumberjack::LoseAck),
            ("close-after", Some(events)) => Self::Lumberjack(Lumberjack::CloseAfter(number(events)?)),
            ("stall", None) => Self::Lumberjack(Lumberjack::Stall),
            ("status", Some(code)) => Self::OpenSearch(OpenSearch::Status(status(code)?)),
            ("partial", Some(value)) => {
                let (code, every) = value.split_once('/').ok_or_else(|| format!("{value:?} is not CODE/N"))?;
                let every = usize::try_from(number(every)?).ok().filter(|every| *every > 0).ok_or("every 0th is none")?;
                Self::OpenSearch(OpenSearch::Partial(status(code)?, every))
            }
            ("cut", None) => Self::OpenSearch(OpenSearch::Cut),
            ("http-stall", None) => Self::OpenSearch(OpenSearch::Stall),
            _ => return Err(format!("there is no fault {text:?}")),
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_as_often_as_it_is_told_and_where_it_is_meant() {
        let faults = Faults::default();
        faults.add_text("lose-ack*2").unwrap();
        faults.add_text("partial=429/3").unwrap();
        assert_eq!(faults.lumberjack(|fault| *fault == Lumberjack::NoAck), None);
        for _ in 0..2 {
            assert_eq!(faults.lumberjack(|fault| *fault == Lumberjack::LoseAck), Some(Lumberjack::LoseAck));
        }
        assert_eq!(faults.lumberjack(|_| true), None);
        for _ in 0..5 {
            assert_eq!(faults.opensearch(|_| true), Some(OpenSearch::Partial(429, 3)));
        }
        assert_eq!(faults.struck(), 7);
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        for text in ["", "no-ack=1", "status", "status=200", "partial=429", "partial=429/0", "lose-ack*x", "close-after=many"] {
            assert!(Faults::default().add_text(text).is_err(), "{text}");
        }
    }
}
