use super::{SIP, wire};
use crate::Transport;
use crate::protocols::testing::{ORIG, RESP, converse, every_truncation_is_survived};

#[test]
fn a_request_and_its_response() {
    let request =
        b"INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCSeq: 1 INVITE\r\n\r\n";
    let response = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z\r\nContent-Length: 0\r\n\r\n";
    let said = [(ORIG, &request[..]), (RESP, response)];
    let rows = converse(&SIP, Transport::Udp, 5060, &said, 0);
    let row: Vec<_> = rows[0].split('\t').skip(7).collect();
    assert_eq!(row[..8].join(" "), "0 INVITE sip:b@x - <sip:a@x> <sip:b@x> - -");
    assert_eq!(row[12..].join(" "), "SIP/2.0/UDP a SIP/2.0/UDP a - 200 OK - - 0 -");
    every_truncation_is_survived(&SIP, Transport::Udp, 5060, &said);
}

#[test]
fn junk_before_a_request_is_odd() {
    let rows = converse(&SIP, Transport::Udp, 5060, &[(ORIG, &[0; 4]), (ORIG, b"REGISTER sip:x SIP/2.0\r\n\r\n")], 0);
    assert!(rows.iter().any(|row| row.contains("sip_junk_before_request")), "{rows:?}");
    assert!(rows.iter().any(|row| row.contains("\t0\tREGISTER\tsip:x\t")), "{rows:?}");
    assert_eq!(wire::without(b"<a>; tag=1", b"tag="), b"<a>");
}
