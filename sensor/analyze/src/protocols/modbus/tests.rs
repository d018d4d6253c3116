use super::MODBUS;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

#[test]
fn requests_responses_and_exceptions() {
    let client = b"\x00\x01\x00\x00\x00\x06\xff\x04\x00\x00\x00\x01\x00\x02\x00\x00\x00\x03\x01\x1d\x00";
    let server = b"\x00\x01\x00\x00\x00\x03\xff\x84\x02\x00\x02\x00\x00\x00\x03\x01\x9c\x01";
    let rows = any_split_gives_the_same_rows(&MODBUS, 502, &[(ORIG, client), (RESP, server)]);
    let rows: Vec<_> = rows.iter().map(|r| r.split('\t').skip(7).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows[0], "1 255 READ_INPUT_REGISTERS REQ -");
    assert_eq!(rows[1], "2 1 unknown-29 REQ -");
    assert_eq!(rows[2], "1 255 READ_INPUT_REGISTERS_EXCEPTION RESP ILLEGAL_DATA_ADDRESS");
    assert_eq!(rows[3], "2 1 unknown-156 RESP ILLEGAL_FUNCTION");
}
