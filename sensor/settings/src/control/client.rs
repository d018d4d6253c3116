//! A blocking client of the control socket, for the command line and for threads that may wait.

use std::path::Path;
use std::time::Duration;

use super::{Request, Response, Status};
use crate::lines::{ClientError, Lines, Server};

/// Whom this client asks.
pub const DAEMON: Server = Server { name: "Tenrec daemon", unit: "tenrec" };

/// How long the daemon may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client(Lines);

impl Client {
    /// Connects to the socket at `path`; every later read and write waits 5 seconds at most.
    ///
    /// # Errors
    /// When there is no daemon, or it may not be asked.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        Lines::connect(DAEMON, path, PATIENCE).map(Self)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When the daemon falls silent, answers garbage, or refuses.
    pub fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        match self.0.ask(request)? {
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
            _ => Err(ClientError::Mismatch(DAEMON)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
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
        assert!(matches!(Client::connect(&path).unwrap().status(), Err(ClientError::Silent(..))));
        let (_folder, path) = daemon(&["hello\n"]);
        assert!(matches!(Client::connect(&path).unwrap().status(), Err(ClientError::Garbled(..))));
    }

    #[test]
    fn no_daemon_is_said_in_plain_words() {
        let error = Client::connect(Path::new("/nonexistent/control.sock")).unwrap_err();
        assert!(error.to_string().contains("not running"), "{error}");
    }
}
