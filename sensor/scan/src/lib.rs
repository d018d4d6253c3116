//! Scans carved files with YARA rules and, where one runs, clamd. Carved files are what attackers send, and libyara is C:
//! so the scanner is a process of its own that can do nothing but scan.
//!
//! ```text
//! daemon                      keeper                          worker
//! Scanner --line + open file--------------- one socket ------> YARA, clamd
//!         <--line: verdict------------------------------------
//!         <--line: died of signal 11------ starts a new one    (its end)
//! ```
//! * The worker never opens a file: the daemon hands it each file open for reading. Landlock therefore leaves it no file
//!   at all, seccomp no socket but Unix ones (clamd's), no program to start; keeper and worker are nobody when
//!   started by root, in a network namespace of their own.
//! * Memory and CPU time are bounded by the kernel, the time per file by YARA and by the kernel.
//! * A file that kills the worker gets the verdict `failed`, and the next file a new worker.
//! * The daemon never waits: a full queue leaves files unscanned, and counts them.
//!
//! Limits: a worker taken over by a file can still lie about later files until it is restarted, and use CPU up to its bound.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failed test may panic"))]

mod clamd;
mod client;
mod event;
mod keeper;
mod protocol;
mod rules;
mod sandbox;
mod worker;

pub use client::{Counters, Link, Scanner};
pub use event::{FileFacts, event};
pub use keeper::{Arguments, main};
pub use protocol::{Match, Outcome, Verdict};
