use super::{FTP, wire};
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

#[test]
fn commands_meet_their_replies() {
    let said = [
        (RESP, &b"220-hi\r\n more\r\n220 x\r\n"[..]),
        (ORIG, b"USER anonymous\r\n"),
        (RESP, b"331 password\r\n"),
        (ORIG, b"PASS a@b\r\n"),
        (RESP, b"230 in\r\n"),
        (ORIG, b"EPSV\r\n"),
        (RESP, b"229 Entering Extended Passive Mode (|||4000|)\r\n"),
        (ORIG, b"RETR a.txt\r\n"),
        (RESP, b"150 Opening (12 bytes)\r\n226 done\r\n"),
        (ORIG, b"QUIT\r\n"),
    ];
    let rows = any_split_gives_the_same_rows(&FTP, 21, &said);
    let rows: Vec<_> = rows.iter().map(|r| r.split('\t').skip(7).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows[0], "anonymous a@b EPSV - - - 229 Entering Extended Passive Mode (|||4000|) T 10.0.0.1 10.0.0.2 4000 -");
    assert_eq!(rows[1], "anonymous a@b RETR ftp://10.0.0.2/./a.txt - 12 226 done - - - - -");
}

#[test]
fn what_is_no_ftp_is_given_up() {
    let rows = any_split_gives_the_same_rows(&FTP, 21, &[(ORIG, b"USER x\r\n"), (RESP, b"99 PASV\r\n")]);
    assert!(rows.last().unwrap().ends_with('\t'), "{rows:?}");
}

#[test]
fn paths_and_addresses() {
    assert_eq!(wire::path(b".", b"robots.txt"), b"./robots.txt");
    assert_eq!(wire::path(b"/", b"robots.txt"), b"/robots.txt");
    assert_eq!(wire::path(b"/a/b", b".."), b"/a");
    assert_eq!(wire::path(b"/a", b"/c//d"), b"/c/d");
    assert_eq!(wire::path_in(b"\"/x y\" is"), b"/x");
    assert_eq!(wire::passive(b"Entering (1,2,3,4,5,6).").unwrap().port, 0x506);
    assert_eq!(wire::without_telnet(b"\xff\xf4\xff\xf2ABOR"), b"ABOR");
}
