//! A network port of the guest whose other end is here: frames out, frames in.

use std::collections::VecDeque;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;

/// Frames of the guest that are kept; older ones go.
const KEPT: usize = 4096;

pub(crate) struct Wire {
    socket: UnixDatagram,
    guest: PathBuf,
    heard: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl Wire {
    /// Lays the wire: our end and the guest's are sockets of these names.
    pub(crate) fn lay(ours: &Path, guest: &Path) -> anyhow::Result<Self> {
        let socket = UnixDatagram::bind(ours).with_context(|| format!("cannot make {}", ours.display()))?;
        let heard = Arc::new(Mutex::new(VecDeque::new()));
        let (listening, kept) = (socket.try_clone()?, Arc::clone(&heard));
        // Always drained, or the guest's transmit queue would stop.
        std::thread::spawn(move || {
            let mut frame = vec![0; 65_536];
            while let Ok(length) = listening.recv(&mut frame) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == KEPT {
                    kept.pop_front();
                }
                kept.push_back(frame.get(..length).unwrap_or_default().to_vec());
            }
        });
        Ok(Self { socket, guest: guest.to_owned(), heard })
    }

    /// Arguments of QEMU's `-netdev`.
    pub(crate) fn netdev(id: &str, ours: &Path, guest: &Path) -> String {
        format!("dgram,id={id},local.type=unix,local.path={},remote.type=unix,remote.path={}", guest.display(), ours.display())
    }

    pub(crate) fn send(&self, frame: &[u8]) -> anyhow::Result<()> {
        self.socket.send_to(frame, &self.guest).map(drop).context("the guest's port takes no frame")
    }

    /// What the guest has sent since the last call.
    pub(crate) fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}
