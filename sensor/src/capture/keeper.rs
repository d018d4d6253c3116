//! A process that outlives the capture by a moment and puts the interfaces back as they were.
//!
//! The sensor gives its privileges up before it reads the first frame, so that it cannot put anything back when it ends;
//! and it may end by being killed. So a child of its own, started while privileges last, holds what there is to put back.
//! It waits for the end of a pipe: the kernel closes that however the sensor ends.
//!
//! The keeper reads nothing but that pipe, and keeps no capability but CAP_NET_ADMIN.

use std::{
    io::{self, Read, Write},
    process::{Child, Command, Stdio},
};

use crate::capture::interface::{self, Offloads};

/// The hidden command of `tenrec` that is the keeper.
pub const COMMAND: &str = "keep-interfaces";

/// The sensor's end of the pipe. Dropping it lets the keeper put everything back, and waits until it has.
#[derive(Debug)]
pub struct Keeper {
    child: Child,
}

impl Keeper {
    /// Starts a keeper. Call it before privileges are given up.
    ///
    /// # Errors
    /// The kernel's, if no process can be started.
    pub fn start(offloads: &[Offloads]) -> io::Result<Self> {
        let text = serde_json::to_string(offloads)?;
        let mut child = Command::new("/proc/self/exe").arg(COMMAND).stdin(Stdio::piped()).spawn()?;
        // One line; the pipe stays open behind it.
        if let Some(pipe) = &mut child.stdin {
            writeln!(pipe, "{text}")?;
        }
        Ok(Self { child })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.child.stdin = None;
        if let Err(error) = self.child.wait() {
            tracing::warn!(%error, "the interfaces' offloads may not be put back");
        }
    }
}

/// The keeper itself: reads what there is to put back from standard input, waits for its end, puts it back.
///
/// # Errors
/// If the line is not what [`Keeper::start`] writes.
pub fn run() -> io::Result<()> {
    ignore_signals()?;
    let capabilities = caps::CapsHashSet::from([caps::Capability::CAP_NET_ADMIN]);
    for set in [caps::CapSet::Inheritable, caps::CapSet::Ambient] {
        caps::clear(None, set).map_err(io::Error::other)?;
    }
    // Whoever has no CAP_NET_ADMIN has not turned anything off either.
    if let Err(error) =
        caps::set(None, caps::CapSet::Effective, &capabilities).and_then(|()| caps::set(None, caps::CapSet::Permitted, &capabilities))
    {
        tracing::debug!(%error, "the keeper keeps the capabilities that it has");
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    let all: Vec<Offloads> = serde_json::from_str(text.trim())?;
    all.iter().for_each(interface::put_back);
    Ok(())
}

/// systemd and terminals signal the whole group; the keeper must still be there when the sensor has gone.
fn ignore_signals() -> io::Result<()> {
    crate::capture::sys::ignore(libc::SIGTERM)?;
    crate::capture::sys::ignore(libc::SIGINT)?;
    crate::capture::sys::ignore(libc::SIGHUP)
}
