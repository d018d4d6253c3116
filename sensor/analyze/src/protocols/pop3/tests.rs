use super::POP3;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

#[test]
fn a_session_is_known_by_its_replies() {
    let said =
        [(RESP, &b"+OK hi\r\n"[..]), (ORIG, b"CAPA\r\nRETR 1\r\nQUIT\r\n"), (RESP, b"+OK\r\nSTLS\r\n.\r\n+OK\r\nany line\r\n.\r\n+OK\r\n")];
    assert_eq!(any_split_gives_the_same_rows(&POP3, 110, &said), ["services\tpop3"]);
}

#[test]
fn garbage_is_given_up() {
    let said = [(RESP, &b"+OK hi\r\n"[..]), (ORIG, b"USER a\r\n"), (RESP, b"+OK\r\nGARBAGE x\r\n")];
    let rows = any_split_gives_the_same_rows(&POP3, 110, &said);
    assert!(rows[0].contains("pop3_server_command_unknown\tGARBAGE"), "{rows:?}");
    assert_eq!(rows.last().unwrap(), "services\t");
}
