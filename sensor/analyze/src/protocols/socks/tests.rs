use super::SOCKS;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

fn row(said: &[(crate::Direction, &[u8])]) -> String {
    let rows = any_split_gives_the_same_rows(&SOCKS, 1080, said);
    let row = rows.iter().find(|r| r.starts_with("socks")).expect("a row");
    row.split('\t').skip(7).collect::<Vec<_>>().join(" ")
}

#[test]
fn version_5_with_a_name_and_a_login() {
    let said = [
        (ORIG, &b"\x05\x02\x00\x02"[..]),
        (RESP, b"\x05\x02"),
        (ORIG, b"\x01\x03bob\x02pw"),
        (RESP, b"\x01\x00"),
        (ORIG, b"\x05\x01\x00\x03\x03a.b\x01\xbb"),
        (RESP, b"\x05\x00\x00\x01\x00\x00\x00\x00\x01\xbb"),
    ];
    assert_eq!(row(&said), "5 bob - succeeded - a.b 443 0.0.0.0 - 443");
}

#[test]
fn version_4_and_4a() {
    let reply = b"\x00\x5a\x00\x50\x01\x02\x03\x04";
    assert_eq!(row(&[(ORIG, b"\x04\x01\x00\x50\x01\x02\x03\x04me\0"), (RESP, reply)]), "4 - - succeeded 1.2.3.4 - 80 1.2.3.4 - 80");
    assert_eq!(row(&[(ORIG, b"\x04\x01\x00\x50\0\0\0\x01\0a.b\0"), (RESP, reply)]), "4 - - succeeded 0.0.0.1 a.b 80 1.2.3.4 - 80");
}
