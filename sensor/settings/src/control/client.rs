//! A blocking client of the control socket, for the command line and for threads that may wait.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{MAX_LINE, Request, Response, Status, decode, encode};

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("the Tenrec daemon is not running, or not listening on {}: see `systemctl status tenrec`", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket exists and may not be used.
    #[error("no permission to use {}: run as root or join its group", path.display())]
    NotPermitted {
        /// The socket.
        path: PathBuf,
    },
    /// The conversation broke off.
    #[error("the Tenrec daemon did not answer")]
    Silent(#[source] io::Error),
    /// The answer was no answer.
    #[error("the Tenrec daemon's answer is not understood: is it of another version?")]
    Garbled(#[source] serde_json::Error),
    /// The daemon refused.
    #[error("{0}")]
    Refused(String),
    /// The daemon answered something else than was asked.
    #[error("the Tenrec daemon answered another question: is it of another version?")]
    Mismatch,
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the socket at `path`; every later read and write waits 5 seconds at most.
    ///
    /// # Errors
    /// When there is no daemon, or it may not be asked.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotPermitted { path: path.to_owned() },
            _ => ClientError::NotRunning { path: path.to_owned(), source },
        })?;
        let patience = Some(Duration::from_secs(5));
        stream.set_read_timeout(patience).and_then(|()| stream.set_write_timeout(patience)).map_err(ClientError::Silent)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When the daemon falls silent, answers garbage, or refuses.
    pub fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        let line = encode(request).map_err(ClientError::Garbled)?;
        self.stream.get_mut().write_all(&line).map_err(ClientError::Silent)?;
        let mut answer = Vec::new();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        self.stream.by_ref().take(limit).read_until(b'\n', &mut answer).map_err(ClientError::Silent)?;
        if answer.last() != Some(&b'\n') {
            return Err(ClientError::Silent(io::ErrorKind::UnexpectedEof.into()));
        }
        match decode(&answer).map_err(ClientError::Garbled)? {
            Response::Error { message } => Err(ClientError::Refused(message)),
            response => Ok(response),
        }
    }

    /// Asks for the status.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn status(&mut self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status)? {
            Response::Status(status) => Ok(*status),
            _ => Err(ClientError::Mismatch),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// A daemon that answers each line with the next of `answers`, then hangs up.
    fn daemon(answers: &'static [&'static str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for answer in answers {
                lines.next().unwrap().unwrap();
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
        });
        (folder, path)
    }

    #[test]
    fn a_status_is_asked_and_a_refusal_is_told() {
        let (_folder, path) = daemon(&["{\"response\":\"status\",\"node\":\"n\"}\n", "{\"response\":\"error\",\"message\":\"no\"}\n"]);
        let mut client = Client::connect(&path).unwrap();
        assert_eq!(client.status().unwrap().node, "n");
        assert!(matches!(client.ask(&Request::Reload), Err(ClientError::Refused(message)) if message == "no"));
    }

    #[test]
    fn a_daemon_that_hangs_up_or_babbles_is_told_apart() {
        let (_folder, path) = daemon(&["{\"respo"]);
        assert!(matches!(Client::connect(&path).unwrap().status(), Err(ClientError::Silent(_))));
        let (_folder, path) = daemon(&["hello\n"]);
        assert!(matches!(Client::connect(&path).unwrap().status(), Err(ClientError::Garbled(_))));
    }

    #[test]
    fn no_daemon_is_said_in_plain_words() {
        let error = Client::connect(Path::new("/nonexistent/control.sock")).unwrap_err();
        assert!(error.to_string().contains("not running"), "{error}");
    }
}
