use super::MYSQL;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u32;
    [&len.to_le_bytes()[..3], &[sequence], payload].concat()
}

fn greeting() -> Vec<u8> {
    packet(0, &[&[10][..], b"8.0\0", &[0; 4], &[1; 8], &[0], &[0xff, 0xf7], &[8], &[2, 0], &[0, 0], &[21]].concat())
}

fn login(user: &[u8]) -> Vec<u8> {
    packet(1, &[&[0x00, 0x02, 0, 0][..], &[0; 4], &[8], &[0; 23], user, &[0, 0]].concat())
}

const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];

#[test]
fn a_login_and_queries_are_rows() {
    let server =
        [packet(1, &[1]), packet(2, &[b"\x03def".as_slice(), &[0; 20]].concat()), packet(3, &[0xfe, 0, 0, 0, 0]), packet(4, b"\x01x")]
            .concat();
    let rows = any_split_gives_the_same_rows(
        &MYSQL,
        3306,
        &[
            (RESP, &greeting()),
            (ORIG, &login(b"root")),
            (RESP, &packet(2, OK)),
            (ORIG, &packet(0, b"\x03select 1")),
            (RESP, &server),
            (ORIG, &packet(0, b"\x03bad")),
            (RESP, &packet(1, b"\xff\x28\x04#42000oops")),
            (ORIG, &packet(0, &[1])),
        ],
    );
    let rows: Vec<_> = rows.iter().map(|r| r.split('\t').skip(7).collect::<Vec<_>>()).collect();
    assert_eq!(rows[0], ["login", "root", "T", "0", "-"]);
    assert_eq!(rows[1], ["query", "select 1", "T", "0", "-"]);
    assert_eq!(rows[2], ["query", "bad", "F", "-", "oops"]);
    assert_eq!(rows[3], ["quit", "(empty)", "-", "-", "-"]);
}

#[test]
fn attributes_come_before_the_query() {
    let arg = [&[2, 1, 0b10, 1][..], &[254, 0, 1, b'a'], &[3, 0, 1, b'b'], &[2, b'x', b'y'], b"select 2"].concat();
    assert_eq!(super::wire::query_after_attributes(&arg), Some(&b"select 2"[..]));
}
