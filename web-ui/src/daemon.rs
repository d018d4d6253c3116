//! What is known of the daemon: asked every two seconds for everyone, so that ten open browsers cost the daemon what one does.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use settings::control::{Client, ClientError, Request, Response, Status};
use tokio::sync::watch;

/// Time between two questions.
const EVERY: Duration = Duration::from_secs(2);

/// Rates kept for the curve: three minutes.
const HISTORY: usize = 90;

/// The daemon as last seen.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What it said; `None` when it did not answer.
    pub status: Option<Arc<Status>>,
    /// Why it did not answer, in plain words; empty when it did.
    pub trouble: String,
    /// Packets per second, one value per question, oldest first.
    pub packet_rates: VecDeque<f64>,
    /// Bytes per second, now.
    pub byte_rate: f64,
}

impl Snapshot {
    /// The snapshot after this one.
    #[must_use]
    pub fn next(&self, answer: Result<Status, ClientError>) -> Self {
        let status = match answer {
            Err(error) => return Self { trouble: error.to_string(), ..Self::default() },
            Ok(status) => status,
        };
        let mut next = Self { packet_rates: self.packet_rates.clone(), ..Self::default() };
        // A daemon that was restarted in between counts from 0 again: no rate, and a new curve.
        match &self.status {
            Some(before) if before.started.to_bits() == status.started.to_bits() && status.uptime > before.uptime => {
                let seconds = status.uptime - before.uptime;
                next.packet_rates.push_back(rate(before.packets_analysed, status.packets_analysed, seconds));
                next.byte_rate = rate(before.bytes_analysed, status.bytes_analysed, seconds);
            }
            // Asked again within one tick of its clock.
            Some(before) if before.started.to_bits() == status.started.to_bits() => next.byte_rate = self.byte_rate,
            _ => next.packet_rates.clear(),
        }
        while next.packet_rates.len() > HISTORY {
            next.packet_rates.pop_front();
        }
        next.status = Some(Arc::new(status));
        next
    }
}

fn rate(before: u64, now: u64, seconds: f64) -> f64 {
    now.saturating_sub(before) as f64 / seconds
}

/// Starts asking the daemon behind `socket`, for as long as anyone holds the receiver. The first answer is there at once or
/// shortly after.
#[must_use]
pub fn watch_daemon(socket: PathBuf) -> watch::Receiver<Snapshot> {
    let (sender, receiver) = watch::channel(Snapshot::default());
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(EVERY);
        while !sender.is_closed() {
            ticks.tick().await;
            let answer = ask(&socket, |client| client.status()).await;
            sender.send_modify(|snapshot| *snapshot = snapshot.next(answer));
        }
    });
    receiver
}

/// Asks for rows; the answer comes fresh from the daemon.
pub(crate) async fn rows(socket: &Path, request: Request) -> Result<Response, ClientError> {
    ask(socket, move |client| client.ask(&request)).await
}

async fn ask<T: Send + 'static>(
    socket: &Path,
    question: impl FnOnce(&mut Client) -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    let socket = socket.to_owned();
    let asked = tokio::task::spawn_blocking(move || Client::connect(&socket).and_then(|mut client| question(&mut client)));
    asked.await.unwrap_or_else(|panicked| Err(ClientError::Silent(std::io::Error::other(panicked))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(started: f64, uptime: f64, packets: u64) -> Result<Status, ClientError> {
        Ok(Status { started, uptime, packets_analysed: packets, bytes_analysed: packets * 100, ..Status::default() })
    }

    #[test]
    fn rates_come_from_two_answers_of_the_same_daemon() {
        let first = Snapshot::default().next(status(1.0, 10.0, 1000));
        assert!(first.packet_rates.is_empty());
        let second = first.next(status(1.0, 12.0, 3000));
        assert_eq!((second.packet_rates.back(), second.byte_rate), (Some(&1000.0), 100_000.0));
        let restarted = second.next(status(2.0, 0.5, 7));
        assert!(restarted.packet_rates.is_empty() && restarted.byte_rate == 0.0);
    }

    #[test]
    fn the_curve_is_bounded() {
        let mut snapshot = Snapshot::default();
        for tick in 0..200_u32 {
            snapshot = snapshot.next(status(1.0, f64::from(tick), u64::from(tick)));
        }
        assert_eq!(snapshot.packet_rates.len(), HISTORY);
    }

    #[test]
    fn a_silent_daemon_leaves_its_reason_alone() {
        let seen = Snapshot::default().next(status(1.0, 1.0, 1)).next(Err(ClientError::Mismatch));
        assert!(seen.status.is_none() && seen.trouble.contains("another version"));
    }
}
