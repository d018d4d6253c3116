//! One connection: windows out, acknowledgements in, until something breaks or there is no more to do.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use lumberjack::{Acks, AcksError, Progress, encode_window};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::dealer::{Dealer, PIPELINE, Window};

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the collector closed the connection while idle")]
    ClosedIdle,
    #[error("the collector closed the connection before it acknowledged {0} records")]
    ClosedEarly(u32),
    #[error("the collector has neither acknowledged nor given a sign of life for {} seconds", .0.as_secs())]
    Silent(Duration),
    #[error(transparent)]
    Protocol(#[from] AcksError),
    #[error(transparent)]
    Encode(#[from] lumberjack::Error),
    #[error(transparent)]
    Spool(#[from] spool::Error),
}

/// Everything a connection works with.
pub(crate) struct Session<'a> {
    dealer: &'a Dealer,
    compression: u32,
    stopping: &'a mut watch::Receiver<bool>,
    /// Longest time without a byte from the collector while a window is under way.
    patience: Duration,
    /// Told of every acknowledgement that moved on.
    on_progress: &'a mut (dyn FnMut() + Send),
    acks: Acks,
    /// Sent and not yet acknowledged, oldest first.
    windows: VecDeque<Window>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        dealer: &'a Dealer,
        compression: u32,
        stopping: &'a mut watch::Receiver<bool>,
        patience: Duration,
        on_progress: &'a mut (dyn FnMut() + Send),
    ) -> Self {
        Self { dealer, compression, stopping, patience, on_progress, acks: Acks::default(), windows: VecDeque::new() }
    }

    /// Sends until the connection ends, or until the daemon is stopping and everything is delivered (`Ok`).
    pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: S) -> Result<(), Ended> {
        let (mut from, mut to) = tokio::io::split(stream);
        let mut bytes = [0; 1024];
        let mut out = Vec::new();
        let mut heard = Instant::now();
        loop {
            let news = self.dealer.news();
            while self.windows.len() < PIPELINE
                && let Some(window) = self.dealer.deal()?
            {
                if self.windows.is_empty() {
                    self.acks.expect(window.len());
                    heard = Instant::now();
                }
                out.clear();
                let encoded = encode_window(window.iter(), self.compression, &mut out);
                // In hand before it is sent, so that it is put back whatever happens.
                self.windows.push_back(window);
                encoded?;
                let written = async {
                    to.write_all(&out).await?;
                    to.flush().await
                };
                timeout(self.patience, written).await.map_err(|_| Ended::Silent(self.patience))??;
            }
            if self.windows.is_empty() {
                if *self.stopping.borrow() && self.dealer.is_done() {
                    let _ = to.shutdown().await;
                    return Ok(());
                }
                self.dealer.save();
            }
            let waited = async {
                tokio::select! {
                    biased;
                    read = from.read(&mut bytes) => read.map(Some),
                    // What waits already goes first: a full pipeline asks for no more.
                    () = news, if self.windows.len() < PIPELINE => Ok(None),
                    _ = self.stopping.changed(), if self.windows.is_empty() => Ok(None),
                }
            };
            let read = if self.windows.is_empty() {
                waited.await?
            } else {
                timeout_at(heard + self.patience, waited).await.map_err(|_| Ended::Silent(self.patience))??
            };
            match read {
                None => continue,
                Some(0) if self.windows.is_empty() => return Err(Ended::ClosedIdle),
                Some(0) => return Err(Ended::ClosedEarly(self.acks.outstanding())),
                Some(read) => self.acks.feed(bytes.get(..read).unwrap_or_default()),
            }
            heard = Instant::now();
            while let Some(progress) = self.acks.next()? {
                self.take(progress);
            }
        }
    }

    fn take(&mut self, progress: Progress) {
        let (Progress::Taken(count) | Progress::Done(count)) = progress else { return };
        let Some(window) = self.windows.front_mut() else { return };
        self.dealer.taken(window, count);
        (self.on_progress)();
        if matches!(progress, Progress::Done(_)) {
            self.windows.pop_front();
            self.acks.expect(self.windows.front().map_or(0, Window::len));
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.windows.is_empty() {
            self.dealer.put_back(self.windows.drain(..));
        }
    }
}
