use super::REDIS;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

fn rows(said: &[(crate::Direction, &[u8])]) -> Vec<String> {
    let rows = any_split_gives_the_same_rows(&REDIS, 6379, said);
    rows.iter().filter(|r| r.starts_with("redis")).map(|r| r.split('\t').skip(7).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn replies_meet_their_commands() {
    let client = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n*2\r\n$3\r\nget\r\n$1\r\nk\r\nPING\r\n";
    let server = b"+OK\r\n$2\r\nvv\r\n-ERR no\r\n";
    assert_eq!(rows(&[(ORIG, client), (RESP, server)]), ["SET k vv T OK", "get k - T vv", "PING - - F ERR no"]);
}

#[test]
fn nested_replies_are_printed() {
    assert_eq!(
        rows(&[(ORIG, b"XRANGE\r\n"), (RESP, b"*2\r\n*2\r\n$1\r\na\r\n:1\r\n*0\r\n")]),
        ["XRANGE - - T [[a\\x2c 1]\\x2c []]".replace("\\x2c", ",")]
    );
}

#[test]
fn a_skipped_reply_is_not_taken_by_the_next_command() {
    let client = b"CLIENT REPLY SKIP\r\nPING\r\nECHO x\r\n";
    assert_eq!(rows(&[(ORIG, client), (RESP, b"$1\r\nx\r\n")]), ["CLIENT - - - -", "PING - - - -", "ECHO - - T x"]);
}

#[test]
fn other_protocols_are_not_redis() {
    assert_eq!(super::is_command(b"GET / HTTP/1.1\r\n"), crate::Match::No);
    assert_eq!(super::is_command(b"*1\r\n$4\r\nPING"), crate::Match::Yes);
}
