use super::SNMP;
use crate::Transport;
use crate::protocols::testing::{ORIG, RESP, converse, every_truncation_is_survived};

#[test]
fn requests_and_responses_are_counted() {
    let ask = b"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x0e\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x03\x00\x05\x00";
    let tell = b"\x30\x28\x02\x01\x01\x04\x06public\xa2\x1b\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x10\x30\x0e\x06\x08\x2b\x06\x01\x02\x01\x01\x03\x00\x43\x02\x00\x64";
    let said = [(ORIG, &ask[..]), (RESP, tell)];
    let rows = converse(&SNMP, Transport::Udp, 161, &said, 0);
    assert!(rows[0].ends_with("\t1.000000\t2c\tpublic\t1\t0\t1\t0\t-\t0.000000"), "{rows:?}");
    every_truncation_is_survived(&SNMP, Transport::Udp, 161, &said);
}

#[test]
fn overlong_identifiers_are_odd() {
    let odd = hex::decode("302a02010004067075626c6963a01d02010102010002010030123010060c2b80808080808080808080000500").unwrap();
    let rows = converse(&SNMP, Transport::Udp, 161, &[(ORIG, &odd)], 0);
    assert!(rows[0].contains("asn_oid_subidentifier_too_long\t11\t"), "{rows:?}");
}
