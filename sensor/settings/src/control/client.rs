//! A blocking client of the control socket, for the command line and for threads that may wait.

use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
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

/// The bytes of a carved file, as they come.
#[derive(Debug)]
pub struct Content {
    /// Name of the carved file.
    pub name: String,
    /// Bytes that come.
    pub size: u64,
    /// Where they come from; it ends after [`Content::size`] bytes, or earlier when the daemon has lost the file.
    pub bytes: io::Take<BufReader<UnixStream>>,
}

impl Client {
    /// Asks for the bytes of a carved file; nothing else can be asked on this connection afterwards.
    ///
    /// # Errors
    /// As [`Client::ask`]; refused when the file is not known, was not carved, or is not on disk any more.
    pub fn content(mut self, fuid: &str) -> Result<Content, ClientError> {
        match self.ask(&Request::Content { fuid: fuid.to_owned() })? {
            Response::Content { name, size } => Ok(Content { name, size, bytes: self.0.into_bytes(size) }),
            _ => Err(ClientError::Mismatch(DAEMON)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Read as _, Write as _};
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
    fn the_bytes_of_a_file_follow_after_the_line_and_no_more_of_them() {
        let (_folder, path) = daemon(&["{\"response\":\"content\",\"name\":\"HTTP-F1\",\"size\":3}\nabcdef"]);
        let mut content = Client::connect(&path).unwrap().content("F1").unwrap();
        let mut bytes = String::new();
        content.bytes.read_to_string(&mut bytes).unwrap();
        assert_eq!((content.name.as_str(), bytes.as_str()), ("HTTP-F1", "abc"));
    }

    #[test]
    fn no_daemon_is_said_in_plain_words() {
        let error = Client::connect(Path::new("/nonexistent/control.sock")).unwrap_err();
        assert!(error.to_string().contains("not running"), "{error}");
    }
}
