use super::NTP;
use crate::Transport;
use crate::protocols::testing::{ORIG, RESP, converse, every_truncation_is_survived};

#[test]
fn messages_are_rows() {
    let mut client = vec![0x1b, 0, 10, 0xfa, 0, 0, 0, 0, 0, 1, 2, 0x90, 0, 0, 0, 0];
    client.extend([0; 24]);
    client.extend([0xc5, 0x02, 0x04, 0x9c, 0x80, 0, 0, 0]);
    let mut server = client.clone();
    server[..2].copy_from_slice(&[0x24, 2]);
    server[12..16].copy_from_slice(&[192, 0, 2, 1]);
    server.extend([0, 1, 0, 16].into_iter().chain([0; 32]));
    let said = [(ORIG, &client[..]), (RESP, &server)];
    let rows = converse(&NTP, Transport::Udp, 123, &said, 0);
    assert!(rows[0].contains("\t3\t3\t0\t1024.000000\t0.015625\t0.000000\t1.010010\t\\x00\\x00\\x00\\x00\t0.000000\t"), "{rows:?}");
    assert!(rows[0].ends_with("\t1096255004.500000\t0"), "{rows:?}");
    assert!(rows[1].contains("\t4\t4\t2\t") && rows[1].contains("\t192.0.2.1\t") && rows[1].ends_with("\t1"), "{rows:?}");
    every_truncation_is_survived(&NTP, Transport::Udp, 123, &said);
}
