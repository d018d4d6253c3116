//! The daemon's status, asked every other second for all pages together, and what it was during the last minutes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use settings::control::Status;
use tokio::sync::watch;

/// Time between two questions.
const PERIOD: Duration = Duration::from_secs(2);
/// Samples kept: five minutes.
const SAMPLES: usize = 150;

/// What is known of the daemon now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Its status, or why there is none.
    pub(crate) status: Option<Result<Arc<Status>, String>>,
    /// Bits and packets per second, oldest first.
    pub(crate) rates: VecDeque<(f64, f64)>,
}

/// Where to see it.
#[derive(Clone)]
pub(crate) struct Watch(pub(crate) watch::Receiver<Seen>);

impl Watch {
    /// Starts to ask; ends when nobody looks any more.
    pub(crate) fn start(socket: PathBuf, _appliance: Option<PathBuf>) -> Self {
        let (sender, receiver) = watch::channel(Seen::default());
        tokio::spawn(async move {
            let mut before: Option<Arc<Status>> = None;
            let mut ticks = tokio::time::interval(PERIOD);
            loop {
                ticks.tick().await;
                let answer = crate::ask::status(&socket).await.map(Arc::new).map_err(|error| explain(&error));
                sender.send_modify(|seen| {
                    if let (Ok(now), Some(before)) = (&answer, &before)
                        && let Some(rate) = rate(before, now)
                    {
                        seen.rates.push_back(rate);
                        if seen.rates.len() > SAMPLES {
                            seen.rates.pop_front();
                        }
                    }
                    seen.status = Some(answer.clone());
                });
                before = answer.ok();
                if sender.is_closed() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// The first answer, waited for if it has not come yet.
    pub(crate) async fn now(&self) -> Seen {
        let mut receiver = self.0.clone();
        match receiver.wait_for(|seen| seen.status.is_some()).await {
            Ok(seen) => seen.clone(),
            Err(_) => Seen::default(),
        }
    }
}

/// Bits and packets per second between two answers of one run of the daemon.
fn rate(before: &Status, now: &Status) -> Option<(f64, f64)> {
    let span = now.uptime - before.uptime;
    if before.started != now.started || span <= 0.0 {
        return None;
    }
    let per_second = |later: u64, earlier: u64| later.saturating_sub(earlier) as f64 / span;
    Some((per_second(now.bytes_analysed, before.bytes_analysed) * 8.0, per_second(now.packets_analysed, before.packets_analysed)))
}

/// An error with its cause, for the operator.
pub(crate) fn explain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error} ({cause})"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_answers_of_the_same_run() {
        let at = |started, uptime, bytes| Status { started, uptime, bytes_analysed: bytes, packets_analysed: 10, ..Status::default() };
        assert_eq!(rate(&at(1.0, 10.0, 1000), &at(1.0, 12.0, 2000)), Some((4000.0, 0.0)));
        assert_eq!(rate(&at(1.0, 10.0, 1000), &at(9.0, 1.0, 10)), None);
    }
}
