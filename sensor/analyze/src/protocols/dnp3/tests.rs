use super::{DNP3_TCP, DNP3_UDP};
use crate::Transport;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows, every_truncation_is_survived};

/// A READ of class data, and a reply (IEEE 1815, as the captures of `dnp3_read` have them).
const REQUEST: &[u8] = b"\x05\x64\x14\xc4\x01\x00\x02\x00\xc1\x30\xc0\xc0\x01\x3c\x02\x06\x3c\x03\x06\x3c\x04\x06\x3c\x01\x06";

fn framed(head: [u8; 8], body: &[u8]) -> Vec<u8> {
    let sum = |bytes: &[u8]| {
        let sum =
            bytes.iter().fold(0u16, |sum, &b| (0..8).fold(sum ^ u16::from(b), |s, _| if s & 1 == 1 { s >> 1 ^ 0xa6bc } else { s >> 1 }));
        (!sum).to_le_bytes()
    };
    let mut all = [&head[..], &sum(&head)].concat();
    for block in body.chunks(16) {
        all.extend([block, &sum(block)[..]].concat());
    }
    all
}

#[test]
fn a_reply_meets_its_request() {
    let request = framed([5, 0x64, 20, 0xc4, 1, 0, 2, 0], &REQUEST[10..]);
    let reply = framed([5, 0x64, 10, 0x44, 2, 0, 1, 0], &[0xc0, 0xc0, 0x81, 0x90, 0]);
    let said = [(ORIG, &request[..]), (RESP, &reply)];
    let rows = any_split_gives_the_same_rows(&DNP3_TCP, 20_000, &said);
    assert!(rows[0].ends_with("\tREAD\tRESPONSE\t36864"), "{rows:?}");
    every_truncation_is_survived(&DNP3_UDP, Transport::Udp, 20_000, &said);
}

#[test]
fn a_request_without_reply_is_a_row() {
    let link = framed([5, 0x64, 5, 0xc9, 1, 0, 2, 0], &[]);
    let request = framed([5, 0x64, 8, 0xc4, 1, 0, 2, 0], &[0xc0, 0xc0, 0x17]);
    let rows = any_split_gives_the_same_rows(&DNP3_TCP, 20_000, &[(ORIG, &link), (ORIG, &request)]);
    assert!(rows[0].ends_with("\tDELAY_MEASURE\t-\t-"), "{rows:?}");
}
