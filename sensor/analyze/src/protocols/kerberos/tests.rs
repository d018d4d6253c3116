use super::{KERBEROS_TCP, KERBEROS_UDP};
use crate::Transport;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows, converse, every_truncation_is_survived};

fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut all = vec![tag, 0x82];
    all.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    all.extend(body);
    all
}

fn request() -> Vec<u8> {
    let principal = |names: &[&[u8]]| {
        let names: Vec<Vec<u8>> = names.iter().map(|name| wrap(0x1b, &[name])).collect();
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        wrap(0x30, &[&[0xa0, 3, 2, 1, 1], &wrap(0xa1, &[&wrap(0x30, &names)])])
    };
    let body = wrap(
        0x30,
        &[
            &[0xa0, 7, 3, 5, 0, 0x40, 0x80, 0, 0],
            &wrap(0xa1, &[&principal(&[b"user"])]),
            &wrap(0xa2, &[&wrap(0x1b, &[b"REALM"])]),
            &wrap(0xa3, &[&principal(&[b"krbtgt", b"REALM"])]),
            &wrap(0xa5, &[&wrap(0x18, &[b"20370913024805Z"])]),
        ],
    );
    wrap(0x6a, &[&wrap(0x30, &[&[0xa1, 3, 2, 1, 5], &[0xa2, 3, 2, 1, 10], &wrap(0xa4, &[&body])])])
}

fn error(text: &[u8]) -> Vec<u8> {
    let text = if text.is_empty() { Vec::new() } else { wrap(0xab, &[&wrap(0x1b, &[text])]) };
    wrap(0x7e, &[&wrap(0x30, &[&[0xa0, 3, 2, 1, 5], &[0xa1, 3, 2, 1, 30], &[0xa6, 3, 2, 1, 6], &text])])
}

#[test]
fn an_error_ends_the_exchange() {
    let said = [(ORIG, &request()[..]), (RESP, &error(b"")), (ORIG, &request())];
    let rows = converse(&KERBEROS_UDP, Transport::Udp, 88, &said, 0);
    assert_eq!(rows.len(), 2);
    assert!(
        rows[0].ends_with("\tAS\tuser/REALM\tkrbtgt/REALM\tF\tKDC_ERR_C_PRINCIPAL_UNKNOWN\t-\t2136422885.000000\t-\tT\tT\t-\t-\t-\t-"),
        "{rows:?}"
    );
    every_truncation_is_survived(&KERBEROS_UDP, Transport::Udp, 88, &said);
}

#[test]
fn streams_have_lengths_and_preauthentication_is_no_error() {
    let framed = |message: Vec<u8>| [&u32::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat();
    let (ask, wanted) = (framed(request()), framed(error(b"NEEDED_PREAUTH")));
    assert_eq!(any_split_gives_the_same_rows(&KERBEROS_TCP, 88, &[(ORIG, &ask), (RESP, &wanted)]), ["services\tkrb_tcp"]);
}
