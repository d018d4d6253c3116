use super::{RADIUS, wire};
use crate::Transport;
use crate::protocols::testing::{ORIG, RESP, converse, every_truncation_is_survived};

fn packet(code: u8, attributes: &[u8]) -> Vec<u8> {
    let mut all = vec![code, 7, 0, u8::try_from(20 + attributes.len()).unwrap()];
    all.extend([0; 16]);
    all.extend(attributes);
    all
}

#[test]
fn an_attempt_is_one_row() {
    let said = [(ORIG, &packet(1, b"\x01\x05bob\x08\x06\x0a\x00\x00\x09")[..]), (RESP, &packet(3, b"\x12\x04no")), (ORIG, &packet(1, b""))];
    let rows = converse(&RADIUS, Transport::Udp, 1812, &said, 0);
    assert!(rows[0].ends_with("\tbob\t-\t10.0.0.9\t-\t-\tno\tfailed\t1.000000"), "{rows:?}");
    assert!(rows[1].ends_with("\t-\t-\t-\t-\t-\t-\tunknown\t-"), "{rows:?}");
    every_truncation_is_survived(&RADIUS, Transport::Udp, 1812, &said);
}

#[test]
fn hardware_addresses_are_put_in_one_form() {
    assert_eq!(wire::mac(b"00-11-22-AA-BB-CC"), b"00:11:22:aa:bb:cc");
    assert_eq!(wire::mac(b"phone 5"), b"phone 5");
}
