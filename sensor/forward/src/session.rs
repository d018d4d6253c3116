//! One connection: windows out, acknowledgements in, until something breaks or there is no more to do.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use lumberjack::{Acks, AcksError, Progress, encode_window};
use settings::Forward;
use spool::{Batch, Reader};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tracing::warn;

use crate::forwarder::PIPELINE;

/// Bytes of events in one window: what a collector must hold before it can acknowledge.
const WINDOW_BYTES: usize = 4 << 20;

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
    pub(crate) settings: &'a Forward,
    pub(crate) reader: &'a mut Reader,
    pub(crate) wake: &'a Notify,
    pub(crate) stopping: &'a mut watch::Receiver<bool>,
    /// Longest time without a byte from the collector while a window is under way.
    pub(crate) patience: Duration,
    /// Told of every acknowledgement that moved on.
    pub(crate) on_progress: &'a mut (dyn FnMut() + Send),
}

impl Session<'_> {
    /// Sends until the connection ends, or until the daemon is stopping and the spool is empty (`Ok`).
    pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: S) -> Result<(), Ended> {
        let (mut from, mut to) = tokio::io::split(stream);
        let mut acks = Acks::default();
        let mut windows: VecDeque<Batch> = VecDeque::new();
        let mut bytes = [0; 1024];
        let mut out = Vec::new();
        loop {
            while windows.len() < PIPELINE {
                let batch = self.reader.read(self.settings.window, WINDOW_BYTES)?;
                if batch.is_empty() {
                    break;
                }
                out.clear();
                encode_window(batch.iter(), self.settings.compression, &mut out)?;
                let written = async {
                    to.write_all(&out).await?;
                    to.flush().await
                };
                timeout(self.patience, written).await.map_err(|_| Ended::Silent(self.patience))??;
                if windows.is_empty() {
                    acks.expect(count(&batch));
                }
                windows.push_back(batch);
            }
            if windows.is_empty() {
                if *self.stopping.borrow() {
                    let _ = to.shutdown().await;
                    return Ok(());
                }
                self.save();
                tokio::select! {
                    () = self.wake.notified() => continue,
                    _ = self.stopping.changed() => continue,
                    read = from.read(&mut bytes) => match read? {
                        0 => return Err(Ended::ClosedIdle),
                        read => acks.feed(bytes.get(..read).unwrap_or_default()),
                    },
                }
            } else {
                let read = timeout(self.patience, from.read(&mut bytes)).await.map_err(|_| Ended::Silent(self.patience))??;
                if read == 0 {
                    return Err(Ended::ClosedEarly(acks.outstanding()));
                }
                acks.feed(bytes.get(..read).unwrap_or_default());
            }
            while let Some(progress) = acks.next()? {
                self.take(progress, &mut acks, &mut windows);
            }
        }
    }

    fn take(&mut self, progress: Progress, acks: &mut Acks, windows: &mut VecDeque<Batch>) {
        let Some(batch) = windows.front() else { return };
        let taken = batch.len().saturating_sub(acks.outstanding() as usize);
        match progress {
            Progress::Alive => return,
            Progress::Taken(_) | Progress::Done(_) => {
                if let Some(sequence) = batch.sequence(taken)
                    && let Err(error) = self.reader.acknowledge(sequence)
                {
                    warn!(%error, "the spool's cursor could not be written: a restart now would send some records twice");
                }
                (self.on_progress)();
            }
        }
        if matches!(progress, Progress::Done(_)) {
            windows.pop_front();
            acks.expect(windows.front().map_or(0, count));
        }
    }

    fn save(&mut self) {
        if let Err(error) = self.reader.save() {
            warn!(%error, "the spool's cursor could not be written: a restart now would send some records twice");
        }
    }
}

fn count(batch: &Batch) -> u32 {
    // At most 2048: the settings bound it.
    u32::try_from(batch.len()).unwrap_or(u32::MAX)
}
