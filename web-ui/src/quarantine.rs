//! Carved files on their way out: in a zip file that is encrypted with a password everyone knows, so that neither a mail
//! gateway nor a virus scanner nor a double click opens what may be malware.
//!
//! The daemon sends the bytes, a thread packs them, the browser takes them: no more than a few blocks are held.

use std::io::{self, Read as _, Write};
use std::path::Path;

use axum::body::{Body, Bytes};
use settings::control::{Client, ClientError, Content};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use zip::write::SimpleFileOptions;
use zip::{AesMode, CompressionMethod, ZipWriter};

/// The password that people who pass malware on have agreed upon.
const PASSWORD: &str = "infected";
/// Bytes of a block.
const BLOCK: usize = 64 << 10;
/// Blocks between the thread and the browser.
const WAITING: usize = 4;

/// The name of a carved file and its zip file.
///
/// # Errors
/// In words, when it is not to be had.
pub(crate) async fn zip(control: &Path, fuid: &str) -> Result<(String, Body), String> {
    let (control, fuid) = (control.to_owned(), fuid.to_owned());
    let asked = tokio::task::spawn_blocking(move || Client::connect(&control).and_then(|client| client.content(&fuid)));
    let content = asked.await.map_err(|error| error.to_string())?.map_err(|error: ClientError| crate::history::explain(&error))?;
    let name = harmless(&content.name);
    let (sender, receiver) = mpsc::channel(WAITING);
    let inside = name.clone();
    tokio::task::spawn_blocking(move || {
        let errors = sender.clone();
        if let Err(error) = pack(content, &inside, Blocks { sender, block: Vec::with_capacity(BLOCK) }) {
            tracing::info!(%error, "a carved file was not fetched to its end");
            // The browser sees that the download broke off. It may have gone itself.
            drop(errors.blocking_send(Err(error)));
        }
    });
    Ok((name, Body::from_stream(ReceiverStream::new(receiver))))
}

/// A name that does nothing in a header or in a file system.
fn harmless(name: &str) -> String {
    let kept: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).take(200).collect();
    kept.trim_start_matches('.').to_owned()
}

fn pack(mut content: Content, name: &str, out: Blocks) -> io::Result<()> {
    let mut zip = ZipWriter::new_stream(out);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .large_file(content.size >= u64::from(u32::MAX))
        .with_aes_encryption(AesMode::Aes256, PASSWORD);
    zip.start_file(name, options).map_err(io::Error::other)?;
    let read = io::copy(&mut content.bytes.by_ref(), &mut zip)?;
    if read != content.size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    zip.finish().map_err(io::Error::other)?.into_inner().flush()
}

/// Sends what is written block by block.
struct Blocks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    block: Vec<u8>,
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.block.extend_from_slice(bytes);
        if self.block.len() >= BLOCK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        self.sender.blocking_send(Ok(block.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
