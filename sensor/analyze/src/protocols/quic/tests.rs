use super::QUIC;
use super::protection::Keys;
use super::wire::{Kind, Long, VERSION_1};
use crate::Transport;
use crate::protocols::testing::{ORIG, converse, every_truncation_is_survived};

/// RFC 9001 §A.3: the server's Initial packet.
const SERVER: &str = "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee";

#[test]
fn the_example_of_rfc_9001_opens() {
    let bytes = hex::decode(SERVER).unwrap();
    let packet = Long::read(&bytes).unwrap();
    assert_eq!((packet.kind, packet.version, packet.whole.len()), (Kind::Initial, VERSION_1, bytes.len()));
    let keys = Keys::derive(VERSION_1, &hex::decode("8394c8f03e515708").unwrap(), false).unwrap();
    let frames = keys.open(&packet).unwrap();
    // An ACK, then a CRYPTO frame with a ServerHello.
    assert_eq!(frames[..9], [2, 0, 0, 0, 0, 6, 0, 0x40, 0x5a]);
    assert_eq!(frames[9], 2);
}

#[test]
fn an_unknown_version_is_one_row() {
    let packet = [0xc1, 0x10, 0x01, 0, 0, 1, 0, 0, 1, 2, 3];
    let rows = converse(&QUIC, Transport::Udp, 443, &[(ORIG, &packet)], 0);
    assert!(rows[0].ends_with("\tunknown-10010000\t00\t(empty)\t-\t-\t-\tU"), "{rows:?}");
    every_truncation_is_survived(&QUIC, Transport::Udp, 443, &[(ORIG, &packet), (ORIG, &hex::decode(SERVER).unwrap())]);
}
