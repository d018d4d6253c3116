//! Drives one analyzer in tests: conversations split anywhere and cut anywhere.

use std::net::IpAddr;

use crate::app::{App, Scene};
use crate::log::{Format, Profile, Record, Row};
use crate::output::Sink;
use crate::{Direction, Endpoint, FlowId, FlowNotes, Options, Protocol, Time, Transport};

/// Bytes of one side.
pub(crate) type Said<'a> = (Direction, &'a [u8]);

/// Short for [`Direction::Originator`].
pub(crate) const ORIG: Direction = Direction::Originator;
/// Short for [`Direction::Responder`].
pub(crate) const RESP: Direction = Direction::Responder;

/// Rows that a conversation leaves, each as `log<TAB>row`, and at the end `services<TAB>names`. The bytes of each side
/// of a TCP stream arrive in pieces of `piece`.
pub(crate) fn converse(protocol: &'static Protocol, transport: Transport, port: u16, said: &[Said<'_>], piece: usize) -> Vec<String> {
    let mut sink = Sink::new(Options { profile: Profile::Malcolm, ..Options::default() });
    let end = |last: u8, port| Endpoint { addr: IpAddr::from([10, 0, 0, last]), port };
    let id = FlowId { uid: sink.uids.flow(), orig: end(1, 40_000), resp: end(2, port), transport };
    let mut notes = FlowNotes::default();
    let mut app = App::only(protocol, &id);
    let mut at = Time::default();
    for (i, (from, bytes)) in said.iter().enumerate() {
        at = Time::from_secs(i64::try_from(i).unwrap());
        let mut scene = Scene { at, id, notes: &mut notes, sink: &mut sink };
        if transport == Transport::Udp {
            app.datagram(&mut scene, *from, bytes);
        } else {
            bytes.chunks(piece).for_each(|piece| app.stream(&mut scene, *from, piece));
        }
    }
    let mut scene = Scene { at, id, notes: &mut notes, sink: &mut sink };
    app.end(&mut scene, ORIG);
    app.end(&mut scene, RESP);
    app.finish(&mut scene);
    let mut rows = rows(&sink.records, Profile::Malcolm);
    rows.push(format!("services\t{}", notes.services.join(",")));
    rows
}

/// A conversation gives the same rows however it is split, and no prefix of it panics.
pub(crate) fn any_split_gives_the_same_rows(protocol: &'static Protocol, port: u16, said: &[Said<'_>]) -> Vec<String> {
    let whole = converse(protocol, Transport::Tcp, port, said, usize::MAX);
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(converse(protocol, Transport::Tcp, port, said, piece), whole, "pieces of {piece}");
    }
    every_truncation_is_survived(protocol, Transport::Tcp, port, said);
    whole
}

/// No prefix of any message panics.
pub(crate) fn every_truncation_is_survived(protocol: &'static Protocol, transport: Transport, port: u16, said: &[Said<'_>]) {
    for (i, (from, bytes)) in said.iter().enumerate() {
        for len in (0..bytes.len()).step_by(1 + bytes.len() / 512) {
            let mut cut = said[..i].to_vec();
            cut.push((*from, &bytes[..len]));
            cut.extend(said.get(i + 1..).unwrap_or_default());
            converse(protocol, transport, port, &cut, usize::MAX);
        }
    }
}

fn rows(records: &[Box<dyn Record>], profile: Profile) -> Vec<String> {
    let mut rows = Vec::new();
    for record in records {
        let mut row = format!("{}\t", record.log().path).into_bytes();
        Row::write(&**record, Format::Tsv, profile, &mut row);
        rows.push(String::from_utf8_lossy(&row).trim_end_matches('\n').to_owned());
    }
    rows
}
