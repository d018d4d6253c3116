//! Update bundles on their way to the other slot: to disk as they come, then handed over.
//!
//! Whether a bundle is signed is found out by `tenrec-appliance`, which trusts no one here.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::stream::{Stream, StreamExt as _};
use settings::appliance::{self, Request};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use crate::Shared;
use crate::auth::Caller;

/// Bytes of a bundle: more than three times an image of today.
pub(crate) const MAX_BUNDLE: usize = 1 << 30;
/// How long the next piece of an upload may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One upload at a time: there is one place for it.
static UPLOADING: Mutex<()> = Mutex::const_new(());

/// Takes a bundle and has it installed (job).
///
/// # Errors
/// In words, when it does not come whole, cannot be kept, or the appliance refuses. What came is removed then.
pub(crate) async fn install<E: Display>(
    shared: &Shared,
    socket: &Path,
    caller: &Caller,
    pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<(), String> {
    let folder = shared.state.as_ref().ok_or("there is no folder for uploads: start tenrec-web with --state")?;
    let _turn = UPLOADING.try_lock().map_err(|_| "another upload is under way: wait for its end")?;
    let place = folder.join(Path::new(appliance::UPLOAD).file_name().unwrap_or_default());
    let stored = store(pieces, &place).await;
    let done = match stored {
        Ok(()) => crate::machine::order(shared, socket, caller, Request::Update, "update uploaded", "").await,
        Err(error) => {
            shared.audit.note(caller.peer.address, &caller.who.name(), "update uploaded", &error, false);
            Err(error)
        }
    };
    if done.is_err() {
        // It may not even have been begun.
        drop(tokio::fs::remove_file(&place).await);
    }
    done
}

async fn store<E: Display>(mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin, place: &Path) -> Result<(), String> {
    let disk = |error: std::io::Error| format!("the upload cannot be written: {error}");
    let late = |_| "the upload broke off: nothing came for a minute".to_owned();
    let mut out = tokio::fs::File::create(place).await.map_err(disk)?;
    let mut bytes = 0_usize;
    while let Some(piece) = tokio::time::timeout(PATIENCE, pieces.next()).await.map_err(late)? {
        let piece = piece.map_err(|error| format!("the upload broke off: {error}"))?;
        bytes += piece.len();
        if bytes > MAX_BUNDLE {
            return Err(format!("this is longer than a bundle can be ({MAX_BUNDLE} bytes)"));
        }
        out.write_all(&piece).await.map_err(disk)?;
    }
    if bytes == 0 {
        return Err("choose a file".to_owned());
    }
    out.sync_all().await.map_err(disk)
}
