use super::{RDP, RDPEUDP};
use crate::Transport;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows, converse};

const REQUEST: &[u8] = b"\x03\x00\x00\x24\x1f\xe0\0\0\0\0\0Cookie: mstshash=FTBCO\\A\r\n";

fn tpkt(data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len() + 7).unwrap().to_be_bytes();
    [&[3, 0, len[0], len[1], 2, 0xf0, 0x80][..], data].concat()
}

#[test]
fn a_refusal_is_a_row() {
    let refusal = b"\x03\x00\x00\x13\x0e\xd0\0\0\0\0\0\x03\0\x08\0\x02\0\0\0";
    let rows = any_split_gives_the_same_rows(&RDP, 3389, &[(ORIG, &REQUEST[..0x24]), (RESP, refusal)]);
    assert!(rows[0].contains("\tFTBCO\\\\A\tSSL_NOT_ALLOWED_BY_SERVER\t-\t"), "{rows:?}");
}

#[test]
fn an_opening_with_rdp_encryption() {
    let mut core = vec![0; 212];
    core[4..8].copy_from_slice(&[0x80, 4, 0x60, 3]);
    core[12..20].copy_from_slice(&[9, 4, 0, 0, 0x28, 10, 0, 0]);
    core[20..24].copy_from_slice(b"P\0C\0");
    core[136..138].copy_from_slice(&[16, 0]);
    let block = |kind: u16, body: &[u8]| [&kind.to_le_bytes()[..], &u16::try_from(body.len() + 4).unwrap().to_le_bytes(), body].concat();
    let network = [&[1, 0, 0, 0][..], b"rdpdr\0\0\0", &[0; 4]].concat();
    let client = tpkt(&[b"\x7f\x65 Duca\x80\xff", &block(0xc001, &core)[..], &block(0xc003, &network)].concat());
    let security = [&[2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0][..], &[1, 0, 0, 0]].concat();
    let server = tpkt(&[b"\x7f\x66 \0\x01\xc0\0McDn\x80\x18", &block(0x0c02, &security)[..]].concat());
    let confirm = b"\x03\x00\x00\x0b\x06\xd0\0\0\0\0\0";
    let rows = any_split_gives_the_same_rows(&RDP, 3389, &[(ORIG, &REQUEST[..0x24]), (RESP, confirm), (ORIG, &client), (RESP, &server)]);
    let row: Vec<_> = rows[0].split('\t').skip(7).collect();
    assert_eq!(row.join(" "), "FTBCO\\\\A Success RDP rdpdr English - United States RDP 5.1 PC (empty) 1152 864 16bit RSA 1 T High 128bit");
}

#[test]
fn rdp_over_udp_is_known_when_it_is_answered() {
    let mut ask = vec![0xff, 0xff, 0xff, 0xff, 0, 0x40, 0x18, 1];
    ask.resize(1232, 0);
    let mut answer = ask.clone();
    answer[7] = 5;
    assert_eq!(converse(&RDPEUDP, Transport::Udp, 3389, &[(ORIG, &ask), (RESP, &answer)], 0), ["services\trdpeudp"]);
    assert_eq!(converse(&RDPEUDP, Transport::Udp, 3389, &[(ORIG, &ask), (ORIG, &ask)], 0), ["services\t"]);
}
