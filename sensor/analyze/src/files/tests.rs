//! Files that nobody ends.

use std::net::IpAddr;

use super::{FileStart, Files};
use crate::{Direction, Endpoint, FlowId, Options, Time, Transport, UidSource};

#[test]
fn a_file_of_which_nothing_comes_any_more_ends_and_says_so() {
    let mut uids = UidSource::new(1);
    let end = |last: u8, port| Endpoint { addr: IpAddr::from([10, 0, 0, last]), port };
    let id = FlowId { uid: uids.flow(), orig: end(1, 40_000), resp: end(2, 80), transport: Transport::Tcp };
    let mut files = Files::new(&Options::default());
    let start = |source| FileStart { source, ..FileStart::default() };
    let quiet = files.open(uids.file(), Time::from_secs(0), &id, Direction::Responder, start("HTTP"));
    let busy = files.open(uids.file(), Time::from_secs(0), &id, Direction::Responder, start("SMTP"));
    files.data(quiet, Time::from_secs(1), b"half of");
    files.data(busy, Time::from_secs(100), b"more to come");
    assert!(files.expire(Time::from_secs(120)).is_empty());
    let ended = files.expire(Time::from_secs(130));
    assert!(matches!(ended.as_slice(), [file] if file.timed_out && file.source == "HTTP" && file.seen == 7), "{ended:?}");
    assert!(files.summary(quiet).is_none());
    assert!(matches!(files.finish().as_slice(), [file] if !file.timed_out && file.source == "SMTP"));
}
