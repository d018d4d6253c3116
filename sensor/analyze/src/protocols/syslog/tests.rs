use super::{SYSLOG_TCP, SYSLOG_UDP};
use crate::Transport;
use crate::protocols::testing::{ORIG, any_split_gives_the_same_rows, converse, every_truncation_is_survived};

#[test]
fn datagrams_with_and_without_priority() {
    let said = [(ORIG, &b"<133>Hello\0"[..]), (ORIG, b"<x>y"), (ORIG, b"<999>z")];
    let rows = converse(&SYSLOG_UDP, Transport::Udp, 514, &said, 0);
    assert!(rows[0].ends_with("\tudp\tLOCAL0\tNOTICE\tHello\\x00"), "{rows:?}");
    assert!(rows[1].ends_with("\tudp\tUNSPECIFIED\tUNSPECIFIED\t<x>y"), "{rows:?}");
    assert!(rows[2].ends_with("\tudp\t?-124\tDEBUG\tz"), "{rows:?}");
    every_truncation_is_survived(&SYSLOG_UDP, Transport::Udp, 514, &said);
}

#[test]
fn streams_are_framed_in_two_ways() {
    let rows = any_split_gives_the_same_rows(&SYSLOG_TCP, 514, &[(ORIG, b"6 <34>ab<34>cd\n7 <34>e\nf")]);
    let text: Vec<_> = rows.iter().map(|r| r.rsplit('\t').next().unwrap()).collect();
    assert_eq!(text, ["ab", "cd", "e\\x0af", "syslog_tcp"]);
}
