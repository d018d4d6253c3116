//! What daemon and scanner say to each other: JSON lines, and with each request the open file itself.

use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// Bytes of one line at most: a verdict with all its matches stays far below.
const MAX_LINE: usize = 1 << 20;

/// Asks for the scan of the file that comes with it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Number that the answer repeats.
    pub(crate) id: u64,
    /// Name of the file, for messages alone.
    pub(crate) name: String,
}

/// What the scanner says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// A worker has loaded its rules and waits for files.
    Ready { rules: usize, broken: Vec<String> },
    /// The verdict on a file.
    Verdict { id: u64, verdict: Verdict },
    /// The keeper saw the worker die of something; another will be ready soon.
    Died(String),
}

/// What came of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing matched.
    #[default]
    Clean,
    /// A rule or a signature matched.
    Matched,
    /// The scan did not come to an end; see the errors.
    Failed,
}

impl Outcome {
    /// The word for logs and the control socket.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Matched => "matched",
            Self::Failed => "failed",
        }
    }
}

/// The verdict on one file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// What came of it.
    pub outcome: Outcome,
    /// What matched.
    pub matches: Vec<Match>,
    /// Scanners that looked at the file: `yara`, `clamav`.
    pub scanners: Vec<String>,
    /// What went wrong, in plain words. A match counts though another scanner failed.
    pub errors: Vec<String>,
    /// Seconds that the scan took.
    pub seconds: f64,
}

impl Verdict {
    pub(crate) fn failed(error: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, errors: vec![error.into()], ..Self::default() }
    }

    /// The matches as `scanner:name`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.matches.iter().map(|found| format!("{}:{}", found.scanner, found.name)).collect()
    }

    /// Whether a file with this verdict stays on disk. One whose scan failed stays where matched ones do: it may be what
    /// made the scan fail.
    #[must_use]
    pub fn keeps(&self, preservation: settings::Preservation) -> bool {
        match preservation {
            settings::Preservation::All => true,
            settings::Preservation::Quarantined => self.outcome != Outcome::Clean,
            settings::Preservation::None => false,
        }
    }
}

/// A rule or a signature that matched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Match {
    /// `yara` or `clamav`.
    pub scanner: String,
    /// Name of the rule or signature.
    pub name: String,
    /// Tags of the rule.
    pub tags: Vec<String>,
    /// The rule's `author` metadata.
    pub author: Vec<String>,
    /// The rule's `description` metadata; empty for none.
    pub description: String,
}

/// A line in one direction, with at most one file.
pub(crate) fn send<T: Serialize>(socket: &UnixStream, message: &T, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
    line.push(b'\n');
    let mut rest = line.as_slice();
    if let Some(file) = file {
        let files = [file];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&files));
        let sent = sendmsg(socket, &[IoSlice::new(rest)], &mut ancillary, SendFlags::NOSIGNAL)?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    let mut socket = socket;
    socket.write_all(rest)
}

/// Lines of one direction, and the files that come with them.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    file: Option<OwnedFd>,
}

impl Lines {
    /// The next line and its file; `None` when the other side has hung up.
    pub(crate) fn next<T: serde::de::DeserializeOwned>(&mut self, socket: &UnixStream) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                let message = serde_json::from_slice(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                return Ok(Some((message, self.file.take())));
            }
            if self.bytes.len() > MAX_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
            }
            let mut piece = [0; 4096];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let received = match recvmsg(socket.as_fd(), &mut [IoSliceMut::new(&mut piece)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => received.bytes,
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(files) = message {
                    self.file = files.last().or(self.file.take());
                }
            }
            if received == 0 {
                return Ok(None);
            }
            self.bytes.extend_from_slice(piece.get(..received).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Seek as _};

    use super::*;

    #[test]
    fn a_file_travels_with_its_line() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        file.rewind().unwrap();
        send(&here, &Request { id: 7, name: "x".into() }, Some(file.as_fd())).unwrap();
        send(&here, &Request { id: 8, name: "y".into() }, None).unwrap();
        drop(here);
        let mut lines = Lines::default();
        let (request, received) = lines.next::<Request>(&there).unwrap().unwrap();
        let mut content = String::new();
        File::from(received.unwrap()).read_to_string(&mut content).unwrap();
        assert_eq!((request.id, content.as_str()), (7, "content"));
        assert!(matches!(lines.next::<Request>(&there).unwrap(), Some((Request { id: 8, .. }, None))));
        assert!(lines.next::<Request>(&there).unwrap().is_none());
    }

    #[test]
    fn an_endless_line_is_refused() {
        let (mut here, there) = UnixStream::pair().unwrap();
        std::thread::spawn(move || while here.write_all(&[b'x'; 4096]).is_ok() {});
        assert!(Lines::default().next::<Request>(&there).is_err());
    }

    #[test]
    fn what_stays_on_disk_follows_the_verdict() {
        use settings::Preservation::{All, None, Quarantined};
        let with = |outcome| Verdict { outcome, ..Verdict::default() };
        for (outcome, all, quarantined) in [(Outcome::Clean, true, false), (Outcome::Matched, true, true), (Outcome::Failed, true, true)] {
            let verdict = with(outcome);
            assert_eq!((verdict.keeps(All), verdict.keeps(Quarantined), verdict.keeps(None)), (all, quarantined, false));
        }
    }
}
