use super::DCE_RPC;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

fn unit(kind: u8, flags: u8, call: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(16 + body.len()).unwrap().to_le_bytes();
    [&[5, 0, kind, flags, 0x10, 0, 0, 0, len[0], len[1], 0, 0, call, 0, 0, 0], body].concat()
}

#[test]
fn a_call_is_a_row() {
    let mut bind = vec![0; 8];
    bind.extend([1, 0, 0, 0, 0, 0, 1, 0]);
    bind.extend([0x6a, 0x28, 0x19, 0x39, 0x0c, 0xb1, 0xd0, 0x11, 0x9b, 0xa8, 0, 0xc0, 0x4f, 0xd9, 0x2e, 0xf5, 0, 0, 0, 0]);
    bind.extend([0; 20]);
    let ack = [&[0; 8][..], &[12, 0], b"\\PIPE\\lsass\0"].concat();
    let said = [
        (ORIG, &unit(11, 3, 1, &bind)[..]),
        (RESP, &unit(12, 3, 1, &ack)),
        (ORIG, &unit(0, 3, 2, &[0; 8])),
        (RESP, &unit(2, 3, 2, &[0; 8])),
    ];
    let rows = any_split_gives_the_same_rows(&DCE_RPC, 135, &said);
    assert!(rows[0].ends_with("\t1.000000\t\\\\PIPE\\\\lsass\tdssetup\tDsRolerGetPrimaryDomainInformation"), "{rows:?}");
    assert_eq!(rows[1], "services\tdce_rpc");
}

#[test]
fn fragments_without_end_are_given_up() {
    let all: Vec<u8> = (0..30).flat_map(|call| unit(0, 1, call, &[])).collect();
    let rows = any_split_gives_the_same_rows(&DCE_RPC, 135, &[(ORIG, &all)]);
    assert!(rows[0].contains("too_many_dce_rpc_msgs_in_reassembly"), "{rows:?}");
}
