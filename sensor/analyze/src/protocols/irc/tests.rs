use super::IRC;
use super::wire::{Bad, Line, Offer, Private, private};
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

#[test]
fn logging_in_and_joining() {
    let client = b"NICK tim2\r\nUSER tim tim 10.0.0.22 :Tim W\r\nJOIN #a,#b key\r\n";
    let server = b":x 353 tim2\r\n:x 001 tim2 :hi\r\n";
    let rows = any_split_gives_the_same_rows(&IRC, 6667, &[(ORIG, client), (RESP, server)]);
    let rows: Vec<_> = rows.iter().map(|r| r.split('\t').skip(7).collect::<Vec<_>>().join("|")).collect();
    assert_eq!(rows[0], "-|-|NICK|tim2|-|-|-|-|-");
    assert_eq!(rows[1], "tim2|-|USER|tim|tim 10.0.0.22 TimW |-|-|-|-");
    assert_eq!(rows[2], "tim2|tim|JOIN|#a| with channel key: 'key'|-|-|-|-");
    assert_eq!(rows[3], "tim2|tim|JOIN|#b|(empty)|-|-|-|-");
    assert!(rows[4].starts_with("irc_invalid_names_line"), "{rows:?}");
}

#[test]
fn lines_and_offers() {
    assert_eq!(Line::read(b":a 12x y"), Err(Bad::Number));
    assert_eq!(Line::read(b"ab"), Err(Bad::TooShort));
    assert_eq!(
        private(b"nick :\x01DCC SEND a.zip 167772183 59130 1320211\x01"),
        Private::Send(Offer { name: b"a.zip", addr: 0x0a00_0017, port: 59130, size: 1_320_211 })
    );
    assert_eq!(private(b"nick :\x01DCC SEND a.zip\x01"), Private::BadDcc);
}
