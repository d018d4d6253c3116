//! clamd's INSTREAM command over its Unix socket (clamd(8)).
//!
//! ```text
//! "zINSTREAM\0" | (length u32 big-endian | bytes)* | 0u32        answer: "stream: OK\0", "stream: <name> FOUND\0", "… ERROR\0"
//! ```

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::protocol::Match;

const CHUNK: usize = 64 << 10;

/// Bytes of an answer at most: one line with one name.
const MAX_ANSWER: u64 = 4096;

/// The signature that `file` matches, if any.
pub(crate) fn scan(socket: &Path, file: &File, timeout: Duration) -> Result<Option<Match>, String> {
    let told = |error: io::Error| format!("clamd at {}: {error}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(told)?;
    stream.set_read_timeout(Some(timeout)).and_then(|()| stream.set_write_timeout(Some(timeout))).map_err(told)?;
    // clamd hangs up in the middle when a file is longer than its StreamMaxLength; then its answer says so.
    let sent = send(&mut stream, file);
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).map_err(told)?;
    let answer = String::from_utf8_lossy(&answer);
    let answer = answer.trim_end_matches(['\0', '\n']);
    if answer.is_empty() {
        sent.map_err(told)?;
        return Err(told(io::ErrorKind::UnexpectedEof.into()));
    }
    parse(answer).map_err(|error| format!("clamd: {error}"))
}

fn send(stream: &mut UnixStream, file: &File) -> io::Result<()> {
    stream.write_all(b"zINSTREAM\0")?;
    let mut chunk = vec![0; CHUNK];
    let mut offset = 0;
    loop {
        let read = file.read_at(&mut chunk, offset)?;
        stream.write_all(&u32::try_from(read).unwrap_or(0).to_be_bytes())?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(chunk.get(..read).unwrap_or_default())?;
        offset += read as u64;
    }
}

fn parse(answer: &str) -> Result<Option<Match>, String> {
    let verdict = answer.strip_prefix("stream: ").unwrap_or(answer);
    if verdict == "OK" {
        return Ok(None);
    }
    match verdict.strip_suffix(" FOUND") {
        Some(name) => Ok(Some(Match { scanner: "clamav".to_owned(), name: name.to_owned(), ..Match::default() })),
        None => Err(verdict.strip_suffix(" ERROR").unwrap_or(verdict).trim_end_matches(['.', ' ']).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// A clamd that takes one stream and answers; gives back what it took.
    fn clamd(answer: &'static [u8]) -> (tempfile::TempDir, thread::JoinHandle<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("clamd")).unwrap();
        let taken = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut command = [0; 10];
            stream.read_exact(&mut command).unwrap();
            assert_eq!(&command, b"zINSTREAM\0");
            let mut content = Vec::new();
            loop {
                let mut length = [0; 4];
                stream.read_exact(&mut length).unwrap();
                let length = u32::from_be_bytes(length) as usize;
                if length == 0 {
                    break;
                }
                let start = content.len();
                content.resize(start + length, 0);
                stream.read_exact(&mut content[start..]).unwrap();
            }
            stream.write_all(answer).unwrap();
            content
        });
        (folder, taken)
    }

    fn ask(answer: &'static [u8]) -> Result<Option<Match>, String> {
        let (folder, taken) = clamd(answer);
        let mut file = tempfile::tempfile().unwrap();
        let content = vec![b'x'; 200_000];
        file.write_all(&content).unwrap();
        let verdict = scan(&folder.path().join("clamd"), &file, Duration::from_secs(10));
        assert_eq!(taken.join().unwrap(), content);
        verdict
    }

    #[test]
    fn the_whole_file_is_streamed_and_the_answer_understood() {
        assert_eq!(ask(b"stream: OK\0").unwrap(), None);
        assert_eq!(ask(b"stream: Eicar-Test-Signature FOUND\0").unwrap().unwrap().name, "Eicar-Test-Signature");
        assert_eq!(ask(b"INSTREAM size limit exceeded. ERROR\0").unwrap_err(), "clamd: INSTREAM size limit exceeded");
        assert!(ask(b"").unwrap_err().contains("clamd at"));
    }

    #[test]
    fn an_absent_clamd_is_named() {
        let error = scan(Path::new("/nonexistent/clamd"), &tempfile::tempfile().unwrap(), Duration::from_secs(1)).unwrap_err();
        assert!(error.contains("/nonexistent/clamd"));
    }
}
