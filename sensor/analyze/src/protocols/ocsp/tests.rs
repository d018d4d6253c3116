use super::{responses, row};
use crate::{Time, UidSource};

fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&[tag, 0x82][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), &body].concat()
}

#[test]
fn a_revoked_certificate() {
    let id = wrap(0x30, &[&[0x30, 9, 6, 5, 0x2b, 14, 3, 2, 26, 5, 0], &[4, 2, 0xab, 1], &[4, 1, 2], &[2, 2, 1, 0x0b]]);
    let time = |text: &[u8]| wrap(0x18, &[text]);
    let state = wrap(0xa1, &[&time(b"19700101000001Z"), &[0xa0, 3, 0x0a, 1, 4]]);
    let single = wrap(0x30, &[&id, &state, &time(b"19700101000002Z"), &wrap(0xa0, &[&time(b"19700101000003Z")])]);
    let data = wrap(0x30, &[&wrap(0xa2, &[&[4, 1, 9]]), &time(b"19700101000000Z"), &wrap(0x30, &[&single])]);
    let basic = wrap(4, &[&wrap(0x30, &[&data])]);
    let bytes = wrap(0xa0, &[&wrap(0x30, &[&[6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1], &basic])]);
    let response = wrap(0x30, &[&[0x0a, 1, 0], &bytes]);
    let fuid = UidSource::new(1).file();
    let found: Vec<_> = responses(&response).unwrap().filter_map(|single| row(Time::default(), fuid, single)).collect();
    let [ocsp] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&ocsp.algorithm[..], &ocsp.name_hash[..], &ocsp.key_hash[..], &ocsp.serial[..]), ("sha1", "AB01", "02", "010B"));
    assert_eq!((ocsp.status, ocsp.reason.as_deref(), ocsp.revoked.map(Time::secs)), ("revoked", Some("superseded"), Some(1)));
    assert_eq!((ocsp.this_update.secs(), ocsp.next_update.map(Time::secs)), (2, Some(3)));
    for len in 0..response.len() {
        responses(&response[..len]).into_iter().flatten().for_each(|single| drop(row(Time::default(), fuid, single)));
    }
}
