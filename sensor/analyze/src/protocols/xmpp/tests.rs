use super::XMPP;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

#[test]
fn tls_starts_when_the_server_agrees() {
    let said = [
        (ORIG, &b"<?xml version='1.0'?><stream:stream xmlns='jabber:client'>"[..]),
        (RESP, b"<stream:stream xmlns='jabber:client'><stream:features><starttls/></stream:features>"),
        (ORIG, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        (RESP, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        (ORIG, b"\x16\x03\x01\x00\x01"),
    ];
    assert_eq!(any_split_gives_the_same_rows(&XMPP, 5222, &said), ["services\txmpp"]);
}
