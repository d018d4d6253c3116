//! What becomes of the files, for who keeps a list of them elsewhere.

use std::{collections::VecDeque, path::PathBuf};

use analyze::Time;
use crossbeam_channel::{Sender, TrySendError};

/// Events that wait for their reader, besides those in the channel.
const UNTOLD: usize = 65_536;

/// Something happened to a capture file. In order for each file; of a file without a number nothing is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileEvent {
    /// A file of an earlier run is still there. Told at the start.
    Found {
        /// Its number.
        number: u32,
        /// Where it is.
        path: PathBuf,
        /// When its first frame came.
        first: Time,
        /// Bytes on disk, its index included.
        bytes: u64,
    },
    /// The first frames are in a new file.
    Begun {
        /// Its number.
        number: u32,
        /// Where it is.
        path: PathBuf,
        /// When its first frame came.
        first: Time,
    },
    /// A file is written to no more.
    Ended {
        /// Its number.
        number: u32,
        /// Where it is.
        path: PathBuf,
        /// Bytes on disk, without the index.
        bytes: u64,
        /// Bytes before compression.
        uncompressed: u64,
        /// Frames in it.
        packets: u64,
        /// When the last frame came.
        last: Time,
    },
    /// A file was deleted to make room.
    Deleted {
        /// Its number.
        number: u32,
        /// Where it was.
        path: PathBuf,
    },
}

/// Passes events on to everyone who wants them, without waiting for anyone.
#[derive(Debug)]
pub(super) struct Teller {
    listeners: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    sender: Sender<FileEvent>,
    untold: VecDeque<FileEvent>,
    lost: u64,
}

impl Teller {
    pub(super) fn new(senders: &[Sender<FileEvent>]) -> Self {
        let listener = |sender: &Sender<FileEvent>| Listener { sender: sender.clone(), untold: VecDeque::new(), lost: 0 };
        Self { listeners: senders.iter().map(listener).collect() }
    }

    pub(super) fn tell(&mut self, event: FileEvent) {
        for listener in &mut self.listeners {
            listener.keep(event.clone());
        }
        self.pass_on();
    }

    /// Passes on what waits. Called every now and then.
    pub(super) fn pass_on(&mut self) {
        self.listeners.retain_mut(Listener::pass_on);
    }
}

impl Listener {
    fn keep(&mut self, event: FileEvent) {
        if self.untold.len() >= UNTOLD {
            self.untold.pop_front();
            self.lost += 1;
            if self.lost.is_power_of_two() {
                tracing::warn!(
                    lost = self.lost,
                    "what became of capture files is not read: lists of them, or their analysis, will not be right"
                );
            }
        }
        self.untold.push_back(event);
    }

    /// Whether it still listens.
    fn pass_on(&mut self) -> bool {
        while let Some(event) = self.untold.pop_front() {
            match self.sender.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.untold.push_front(event);
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        true
    }
}
