use super::SMTP;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

const MAIL: &str = "From: A <a@example.org>\r\nTo: \"B, C\" <b@example.org>, d@example.org\r\nSubject: hello\r\n  world\r\n\
    Received: from x (x [192.0.2.7]) by y\r\nContent-Type: multipart/mixed; boundary=\"zz\"\r\n\r\npreamble\r\n--zz\r\n\r\ntext\r\n--zz\r\n\
    Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"a.txt\"\r\n\r\naGVsbG8=\r\n--zz--\r\n";

#[test]
fn a_message_is_a_row_and_its_parts_are_files() {
    let client = format!("EHLO here\r\nMAIL FROM:<a@example.org> SIZE=9\r\nRCPT TO:<b@example.org>\r\nDATA\r\n{MAIL}.\r\nQUIT\r\n");
    let server = "220 mx ESMTP\r\n250-mx\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n221 bye\r\n";
    let rows = any_split_gives_the_same_rows(&SMTP, 25, &[(ORIG, client.as_bytes()), (RESP, server.as_bytes())]);
    let row = rows.iter().find(|r| r.starts_with("smtp")).unwrap();
    let row: Vec<&str> = row.split('\t').skip(7).collect();
    assert_eq!(row[..4], ["1", "here", "a@example.org", "b@example.org"]);
    assert_eq!(row[6], "\"B\\x2c C\" <b@example.org>,d@example.org");
    assert_eq!(row[11], "hello  world");
    assert_eq!(row[15..17], ["250 queued", "10.0.0.2,10.0.0.1,192.0.2.7"]);
    assert_eq!(rows.iter().filter(|r| r.starts_with("files")).count(), 2);
}

#[test]
fn chunks_are_read_by_their_size() {
    let body = "Subject: x\r\n\r\nbody";
    let first = format!("EHLO h\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\n{}", &body[..5]);
    let second = format!("BDAT {} LAST\r\n{}QUIT\r\n", body.len() - 5, &body[5..]);
    let rows = any_split_gives_the_same_rows(
        &SMTP,
        25,
        &[
            (RESP, b"220 mx\r\n"),
            (ORIG, first.as_bytes()),
            (RESP, b"250 mx\r\n250 ok\r\n250 ok\r\n250 5 octets\r\n"),
            (ORIG, second.as_bytes()),
            (RESP, b"250 done\r\n221 bye\r\n"),
        ],
    );
    assert!(rows.iter().any(|r| r.starts_with("smtp") && r.contains("\tx\t") && r.contains("250 done")), "{rows:?}");
}

#[test]
fn starttls_hands_over() {
    let rows = any_split_gives_the_same_rows(
        &SMTP,
        25,
        &[(RESP, b"220 mx\r\n"), (ORIG, b"EHLO h\r\nSTARTTLS\r\n"), (RESP, b"250 mx\r\n220 go\r\n"), (ORIG, &[0x16, 3, 1])],
    );
    assert!(rows.iter().any(|r| r.starts_with("smtp") && r.contains("220 go") && r.contains("\tT\t")), "{rows:?}");
}
