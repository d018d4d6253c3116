use super::IMAP;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

#[test]
fn tls_starts_when_the_server_agrees() {
    let said = [(RESP, &b"* OK hi\r\n"[..]), (ORIG, b"1 STARTTLS\r\n"), (RESP, b"1 OK go\r\n"), (ORIG, b"\x16\x03\x01\x00\x01")];
    assert_eq!(any_split_gives_the_same_rows(&IMAP, 143, &said), ["services\timap"]);
}
