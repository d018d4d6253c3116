use super::fingerprint::{Carrier, ja3, ja4};
use super::wire::ClientHello;
use super::{DTLS, TLS};
use crate::Transport;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows, converse, every_truncation_is_survived};

fn list8(body: &[u8]) -> Vec<u8> {
    [&[body.len() as u8], body].concat()
}

fn list16(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes()[..], body].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &list16(body)].concat()
}

fn numbers(all: &[u16]) -> Vec<u8> {
    all.iter().flat_map(|n| n.to_be_bytes()).collect()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0], &list16(body)[..]].concat()
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3], &list16(body)[..]].concat()
}

/// The hello of the JA4 specification's example (Chrome): t13d1516h2_8daaf6152771_e5627efa2ab1.
fn chrome() -> Vec<u8> {
    let ciphers =
        [0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035];
    let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
    let name = list16(&[&[0][..], &list16(b"example.org")].concat());
    let mut extensions = Vec::new();
    for (kind, body) in [
        (0x1a1a, vec![]),
        (0x001b, vec![2, 0, 2]),
        (0x0000, name),
        (0x0033, list16(&[&[0, 29][..], &list16(&[1; 32])].concat())),
        (0x0010, list16(&list8(b"h2"))),
        (0x4469, vec![0, 3, 2, b'h', b'2']),
        (0x0017, vec![]),
        (0x002d, vec![1, 1]),
        (0x000d, list16(&numbers(&algorithms))),
        (0x0005, vec![1, 0, 0, 0, 0]),
        (0x0023, vec![]),
        (0x0012, vec![]),
        (0x002b, list8(&numbers(&[0x1a1a, 0x0304, 0x0303]))),
        (0xff01, vec![0]),
        (0x000b, vec![1, 0]),
        (0x000a, list16(&numbers(&[0x1a1a, 29, 23, 24]))),
        (0x0015, vec![0; 8]),
    ] {
        extensions.extend(extension(kind, &body));
    }
    [&[3, 3][..], &[7; 32], &list8(&[9; 32]), &list16(&numbers(&ciphers)), &list8(&[0]), &list16(&extensions)].concat()
}

fn server_hello() -> Vec<u8> {
    let extensions = [extension(0x2b, &[3, 4]), extension(0x33, &[&[0, 29][..], &list16(&[2; 32])].concat())].concat();
    [&[3, 3][..], &[8; 32], &list8(&[9; 32]), &[0x13, 1, 0], &list16(&extensions)].concat()
}

#[test]
fn ja4_is_that_of_the_specification() {
    let body = chrome();
    let hello = ClientHello::read(&body).unwrap();
    assert_eq!(ja4(&hello, Carrier::Tcp).0, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    assert_eq!(&ja4(&hello, Carrier::Quic).0[..4], "q13d");
}

#[test]
fn ja3_leaves_grease_out() {
    let body = chrome();
    let (text, hash) = ja3(&ClientHello::read(&body).unwrap());
    assert!(text.starts_with("771,4865-4866-4867-49195-"), "{text}");
    assert!(text.ends_with(",29-23-24,0"), "{text}");
    assert_eq!(hash.len(), 32);
}

#[test]
fn tls_13_is_established_by_application_data_of_both_sides() {
    let client = record(22, &message(1, &chrome()));
    let server = [record(22, &message(2, &server_hello())), record(20, &[1]), record(23, &[0; 50])].concat();
    let client_end = [record(20, &[1]), record(23, &[0; 50])].concat();
    let rows = any_split_gives_the_same_rows(&TLS, 443, &[(ORIG, &client), (RESP, &server), (ORIG, &client_end)]);
    let row: Vec<&str> = rows[0].split('\t').collect();
    assert_eq!(row[7..12], ["TLSv13", "TLS_AES_128_GCM_SHA256", "x25519", "example.org", "F"]);
    assert_eq!(row[14..16], ["T", "CsiI"]);
    assert_eq!(row[19], "t13d1516h2_8daaf6152771_e5627efa2ab1");
    assert_eq!(rows[1], "services\tssl");
}

#[test]
fn a_message_may_be_split_over_records() {
    let hello = message(1, &chrome());
    let client: Vec<u8> = hello.chunks(100).flat_map(|part| record(22, part)).collect();
    let rows = any_split_gives_the_same_rows(&TLS, 443, &[(ORIG, &client)]);
    assert!(rows[0].contains("example.org"), "{rows:?}");
}

#[test]
fn what_is_not_tls_is_no_row() {
    assert_eq!(any_split_gives_the_same_rows(&TLS, 443, &[(ORIG, b"GET / HTTP/1.1\r\n\r\n")]), ["services\t"]);
}

#[test]
fn dtls_messages_come_in_fragments() {
    let body = {
        let mut hello = chrome();
        hello[0..2].copy_from_slice(&[0xfe, 0xfd]);
        let after_session = 2 + 32 + 33;
        hello.insert(after_session, 0);
        hello
    };
    let mut datagrams = Vec::new();
    for (i, part) in body.chunks(120).enumerate().collect::<Vec<_>>().into_iter().rev() {
        let offset = (i * 120) as u32;
        let mut fragment = vec![1, 0];
        fragment.extend((body.len() as u16).to_be_bytes());
        fragment.extend([0, 0]);
        fragment.extend(&offset.to_be_bytes()[1..]);
        fragment.extend(&(part.len() as u32).to_be_bytes()[1..]);
        fragment.extend(part);
        datagrams.push([&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, i as u8][..], &list16(&fragment)].concat());
    }
    let said: Vec<_> = datagrams.iter().map(|d| (ORIG, d.as_slice())).collect();
    let rows = converse(&DTLS, Transport::Udp, 443, &said, 0);
    assert!(rows[0].contains("example.org\tF\t-\t-\tF\tC\t"), "{rows:?}");
    every_truncation_is_survived(&DTLS, Transport::Udp, 443, &said);
}
