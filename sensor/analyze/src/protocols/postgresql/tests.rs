use super::POSTGRESQL;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

const STARTUP: &[u8] = b"\0\0\0\x18\0\x03\0\0user\0me\0database\0";

fn rows(said: &[(crate::Direction, &[u8])]) -> Vec<String> {
    let rows = any_split_gives_the_same_rows(&POSTGRESQL, 5432, said);
    rows.iter().map(|r| r.split('\t').skip(7).collect::<Vec<_>>().join(" ")).collect()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &u32::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat()
}

#[test]
fn a_login_and_a_query() {
    let startup = [&b"\0\0\0\x1c"[..], &STARTUP[4..], b"d\0\0"].concat();
    let login = [message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]), message(b'R', &[0; 4]), message(b'Z', b"I")].concat();
    let query = message(b'Q', b"SELECT 1\0");
    let answer = [message(b'D', &[0, 0]), message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
    let said = [
        (ORIG, &b"\0\0\0\x08\x04\xd2\x16\x2f"[..]),
        (RESP, b"N"),
        (ORIG, &startup),
        (RESP, &login),
        (ORIG, &query),
        (RESP, &answer),
        (ORIG, &message(b'X', b"")),
    ];
    let rows = rows(&said);
    assert_eq!(rows[0], "- - - ssl_request - ssl_reply N F -");
    assert_eq!(rows[1], "me d - startup - auth_ok MD5Password T -");
    assert_eq!(rows[2], "me d - simple_query SELECT 1 - - T 1");
    assert_eq!(rows[3], "me d - terminate - - - - -");
}

#[test]
fn errors_are_told() {
    let startup = [&b"\0\0\0\x1c"[..], &STARTUP[4..], b"d\0\0"].concat();
    let rows = rows(&[(ORIG, &startup), (RESP, &message(b'E', b"SFATAL\0C28P01\0\0"))]);
    assert_eq!(rows[0], "me d - startup - error SeverityLocalized=FATAL,Code=28P01 F -");
}
