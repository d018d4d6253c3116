//! A search as the body of an answer: packets flow as fast as they are taken, and the search ends when nobody takes them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use packets::{Search, output::Output};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};

/// Bytes that are sent at once.
const PIECE: usize = 64 << 10;
/// Pieces that wait for the peer.
const WAITING: usize = 4;

/// The packets of a search as a capture. Must be called on the runtime; `permit` is given back when the search has ended.
pub(crate) fn body(search: Search, output: Output, permit: OwnedSemaphorePermit) -> Body {
    let (sender, receiver) = mpsc::channel(WAITING);
    let stop = search.stop();
    tokio::task::spawn_blocking(move || {
        pump(search, output, &sender);
        drop(permit);
    });
    Body::from_stream(Watched { pieces: ReceiverStream::new(receiver), stop })
}

fn pump(mut search: Search, mut output: Output, sender: &mpsc::Sender<io::Result<Bytes>>) {
    let mut piece = Vec::with_capacity(PIECE * 2);
    output.header(&mut piece);
    while let Some(found) = search.packet() {
        output.packet(&found, &mut piece);
        if piece.len() >= PIECE && sender.blocking_send(Ok(Bytes::from(std::mem::take(&mut piece)))).is_err() {
            return;
        }
    }
    let looked = search.looked();
    for file in &looked.without_index {
        tracing::info!(file = %file.display(), "read in full, since it has no usable index");
    }
    for (file, error) in &looked.failed {
        tracing::error!(file = %file.display(), %error, "a capture cannot be read");
    }
    let last = if looked.failed.is_empty() { Ok(Bytes::from(piece)) } else { Err(io::Error::other("a capture could not be read")) };
    // An error breaks the connection off: what is missing must not look like the end.
    let _ = sender.blocking_send(last);
}

/// Pieces, and what ends their making when they are not wanted any more.
struct Watched {
    pieces: ReceiverStream<io::Result<Bytes>>,
    stop: Arc<AtomicBool>,
}

impl Stream for Watched {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.pieces).poll_next(context)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
