use super::RFB;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

#[test]
fn a_session_up_to_the_screen() {
    let mut init = vec![4, 0, 3, 0];
    init.extend([0; 16]);
    init.extend(b"\0\0\0\x02pc");
    let said = [
        (RESP, &b"RFB 003.008\n"[..]),
        (ORIG, b"RFB 003.008\n"),
        (RESP, b"\x02\x01\x02"),
        (ORIG, b"\x02"),
        (RESP, &[7; 16]),
        (ORIG, &[8; 16]),
        (RESP, &[0; 4]),
        (ORIG, b"\x01"),
        (RESP, &init),
    ];
    let rows = any_split_gives_the_same_rows(&RFB, 5900, &said);
    assert!(rows[0].ends_with("\t003\t008\t003\t008\tVNC\tT\tT\tpc\t1024\t768"), "{rows:?}");
}

#[test]
fn version_3_3_and_a_failure() {
    let said = [
        (RESP, &b"RFB 003.008\n"[..]),
        (ORIG, b"RFB 003.003\n"),
        (RESP, b"\0\0\0\x02"),
        (RESP, &[7; 16]),
        (ORIG, &[8; 16]),
        (RESP, b"\0\0\0\x01"),
    ];
    let rows = any_split_gives_the_same_rows(&RFB, 5900, &said);
    assert!(rows[0].ends_with("\t003\t003\t003\t008\tVNC\tF\t-\t-\t-\t-"), "{rows:?}");
}
