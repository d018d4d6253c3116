//! Whole connections, and the documents that come of them.

use crate::testing::Sender;
use crate::{Options, Sensor};

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const SYN_ACK: u8 = 0x12;
const PSH_ACK: u8 = 0x18;
const REQUEST: &[u8] = b"GET /a?k=v HTTP/1.1\r\nHost: www.example.org\r\n\r\n";

/// The documents of what somebody sends to `port`, and the names of Zeek's logs beside them.
fn documents(port: u16, send: impl FnOnce(&mut Sender<'_>)) -> (Vec<String>, Vec<&'static str>) {
    let mut sensor = Sensor::new(Options { sessions: true, ..Options::default() });
    send(&mut Sender::new(&mut sensor, port));
    sensor.finish();
    let records = sensor.take().records;
    let mut documents = Vec::new();
    for session in records.iter().filter_map(|record| record.session()) {
        let mut out = Vec::new();
        session.write("node", &mut out);
        documents.push(String::from_utf8(out).unwrap());
    }
    (documents, records.iter().map(|record| record.log().path).filter(|path| *path != "sessions").collect())
}

fn handshake(sender: &mut Sender<'_>) {
    sender.segment(true, SYN, &[]);
    sender.segment(false, SYN_ACK, &[]);
    sender.segment(true, ACK, &[]);
}

fn has(document: &str, parts: &[&str]) {
    for part in parts {
        assert!(document.contains(part), "{part} is not in {document}");
    }
}

#[test]
fn a_connection_that_goes_on_is_written_in_parts_of_one_root() {
    let (documents, _) = documents(80, |sender| {
        handshake(sender);
        sender.segment(true, PSH_ACK, REQUEST);
        for _ in 0..3 {
            sender.wait(500);
            sender.segment(false, PSH_ACK, b"x");
        }
    });
    assert_eq!(documents.len(), 2);
    let root = documents[0].split("\"rootId\":").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    for (document, segment) in documents.iter().zip(1..) {
        has(document, &[&format!("\"segmentCnt\":{segment}"), root, "\"protocol\":[\"http\",\"tcp\"]"]);
    }
    has(&documents[0], &["\"www.example.org\"", "\"syn\":1", "\"network\":{\"packets\":6"]);
    // Times go back to the beginning; the rest is counted anew.
    has(&documents[1], &["\"firstPacket\":1700000000001", "\"syn\":0", "\"network\":{\"packets\":1"]);
    assert!(!documents[1].contains("www.example.org") && !documents[1].contains("tcpseq"));
}

#[test]
fn a_segment_that_came_alone_is_read_when_its_session_ends() {
    let (documents, logs) = documents(80, |sender| sender.segment(true, PSH_ACK, REQUEST));
    has(&documents[0], &["\"protocol\":[\"http\",\"tcp\"]", "\"path\":[\"/a\"]", "\"host\":[\"www.example.org\"]", "\"key\":[\"k\"]"]);
    assert_eq!(logs, ["conn"], "Zeek's analyzers do not read a connection without a beginning");
}

#[test]
fn wrong_checksums_keep_a_connection_from_zeeks_logs_alone() {
    let send = |is_sound: bool| {
        documents(80, |sender| {
            sender.is_sound = is_sound;
            handshake(sender);
            sender.segment(true, PSH_ACK, REQUEST);
            sender.segment(false, PSH_ACK, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
        })
    };
    let ((sound, sound_logs), (unsound, unsound_logs)) = (send(true), send(false));
    assert_eq!(sound, unsound);
    has(&unsound[0], &["\"statuscode\":[200]", "\"md5\":[\"9dd4e461268c8034f5c8564e155c67a6\"]"]);
    assert!(sound_logs.contains(&"http") && !unsound_logs.contains(&"http"));
}

#[test]
fn nothing_is_told_past_a_hole() {
    let (documents, _) = documents(80, |sender| {
        handshake(sender);
        sender.segment(true, PSH_ACK, REQUEST);
        sender.segment(false, PSH_ACK, b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
        sender.lose(false, 4);
        sender.segment(false, PSH_ACK, b"fghi");
        sender.segment(true, PSH_ACK, b"GET /b HTTP/1.1\r\nHost: later.example.org\r\n\r\n");
    });
    has(&documents[0], &["\"www.example.org\"", "\"statuscode\":[200]"]);
    assert!(!documents[0].contains("\"md5\""));
}

#[test]
fn first_bytes_name_what_no_analyzer_knows() {
    let (documents, _) = documents(5555, |sender| {
        handshake(sender);
        sender.segment(true, PSH_ACK, b"ES\0\0\0\0\0\x10hello");
    });
    has(&documents[0], &["\"protocol\":[\"elasticsearch\",\"tcp\"]", "\"srcPayload8\":\"4553000000000010\""]);
}

/// Parsers take whatever bytes come: each is shown all beginnings of a long message, cut anywhere.
#[test]
fn parsers_bear_any_bytes_however_they_are_cut() {
    use super::Fields;
    use super::classify::{Beginning, CLASSIFIERS};
    use crate::{Direction, Pair, Time};
    let noise: Vec<u8> = (0u32..600).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for classifier in CLASSIFIERS.iter() {
        let Some(make) = classifier.parser else { continue };
        let data = [&vec![0; classifier.offset], classifier.bytes, &noise].concat();
        for ports in [(40_000, 4500), (502, 40_000)] {
            for size in [1, 2, 7, 100, data.len()] {
                let beginning = Beginning {
                    transport: classifier.transport,
                    from: Direction::Originator,
                    ports: Pair { orig: ports.0, resp: ports.1 },
                    data: &data,
                };
                let (mut parser, mut fields) = (make(&beginning), Fields::new(Time::default()));
                for piece in data.chunks(size) {
                    for from in [Direction::Originator, Direction::Responder] {
                        if !parser.read(from, piece, &mut fields) {
                            break;
                        }
                    }
                }
                parser.end(&mut fields);
            }
        }
    }
}
