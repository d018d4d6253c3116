use super::DNS;
use crate::Transport;
use crate::protocols::testing::{ORIG, RESP, converse, every_truncation_is_survived};

fn name(out: &mut Vec<u8>, dotted: &str) {
    for label in dotted.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
}

fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [id, flags].iter().chain(&counts).flat_map(|n| n.to_be_bytes()).collect()
}

fn query(id: u16, asked: &str) -> Vec<u8> {
    let mut message = header(id, 0x0100, [1, 0, 0, 0]);
    name(&mut message, asked);
    message.extend_from_slice(&[0, 1, 0, 1]);
    message
}

fn reply(id: u16, asked: &str) -> Vec<u8> {
    let mut message = header(id, 0x8180, [1, 1, 0, 0]);
    name(&mut message, asked);
    message.extend_from_slice(&[0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    message
}

fn rows(rows: &[String]) -> Vec<Vec<&str>> {
    rows.iter().filter(|r| r.starts_with("dns")).map(|r| r.split('\t').skip(7).collect()).collect()
}

#[test]
fn a_reply_meets_its_query() {
    let rows_ = converse(&DNS, Transport::Udp, 53, &[(ORIG, &query(7, "Example.Org")), (RESP, &reply(7, "example.org"))], 0);
    let found = rows(&rows_);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0][1..5], ["7", "1.000000", "example.org", "1"]);
    assert_eq!(found[0][15..17], ["192.0.2.1", "60.000000"]);
}

#[test]
fn an_unanswered_query_is_written_at_the_end() {
    let rows_ = converse(&DNS, Transport::Udp, 53, &[(ORIG, &query(7, "a")), (ORIG, &query(8, "b")), (RESP, &reply(7, "a"))], 0);
    let found = rows(&rows_);
    assert_eq!(found.iter().map(|r| r[3]).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(found[1][8], "-");
}

#[test]
fn over_tcp_the_split_does_not_matter() {
    let framed = |message: Vec<u8>| [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    let (query, reply) = (framed(query(7, "example.org")), framed(reply(7, "example.org")));
    let rows = crate::protocols::testing::any_split_gives_the_same_rows(&DNS, 53, &[(ORIG, &query), (RESP, &reply)]);
    assert!(rows[0].contains("192.0.2.1"), "{rows:?}");
}

#[test]
fn truncated_messages_are_survived() {
    every_truncation_is_survived(&DNS, Transport::Udp, 53, &[(ORIG, &query(7, "example.org")), (RESP, &reply(7, "example.org"))]);
}

#[test]
fn netbios_names_are_decoded() {
    assert_eq!(super::wire::netbios_name(b"EIEFEMEMEPCACACACACACACACACACAAA").as_deref(), Some(&b"HELLO"[..]));
    assert_eq!(super::wire::netbios_name(b"short"), None);
}

#[test]
fn a_pointer_that_points_forward_ends_the_name() {
    let mut message = header(1, 0x8180, [0, 1, 0, 0]);
    message.extend_from_slice(&[0xc0, 40, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]);
    let rows = converse(&DNS, Transport::Udp, 53, &[(RESP, &message)], 0);
    assert!(rows.iter().any(|r| r.starts_with("weird") && r.contains("DNS_label_forward_compress_offset")), "{rows:?}");
}
