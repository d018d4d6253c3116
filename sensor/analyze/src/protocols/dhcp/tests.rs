use super::DHCP;
use crate::Transport;
use crate::protocols::testing::{ORIG, RESP, converse, every_truncation_is_survived};

fn message(op: u8, yours: [u8; 4], options: &[u8]) -> Vec<u8> {
    let mut all = vec![op, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0];
    all.extend(yours);
    all.extend([0; 8]);
    all.extend([2, 0, 0, 0, 0, 9]);
    all.extend([0; 10 + 64 + 128]);
    all.extend([0x63, 0x82, 0x53, 0x63]);
    all.extend(options);
    all.push(255);
    all
}

#[test]
fn a_transaction_is_one_row() {
    let discover = message(1, [0; 4], b"\x35\x01\x01\x0c\x04host\x32\x04\x0a\x00\x00\x05\x51\x06\x00\x00\x00a.b");
    let offer = message(2, [10, 0, 0, 5], b"\x35\x01\x02\x33\x04\x00\x00\x00\x3c\x0f\x04lan\0\x38\x02hi");
    let said = [(ORIG, &discover[..]), (RESP, &offer)];
    let rows = converse(&DHCP, Transport::Udp, 67, &said, 0);
    assert_eq!(rows.len(), 2);
    let row: Vec<_> = rows[0].split('\t').skip(3).collect();
    assert_eq!(
        row.join(" "),
        "10.0.0.1 10.0.0.2 02:00:00:00:00:09 host a.b lan 10.0.0.5 10.0.0.5 60.000000 - hi DISCOVER,OFFER 1.000000 - -"
    );
    every_truncation_is_survived(&DHCP, Transport::Udp, 67, &said);
}
