//! HTTP over made-up connections: any division into segments gives the same records.

use crate::testing::{Conversation, Line};

const EXCHANGE: &[(bool, &[u8])] = &[
    (true, b"GET /a%20b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\n\r\n"),
    (false, b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz"),
    (true, b"POST /p HTTP/1.1\r\nHost: example.com\r\nContent-Length: 11\r\n\r\nhello world"),
    (false, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
];

fn http(conversation: &Conversation) -> Vec<Line> {
    conversation.run().into_iter().filter(|line| line.log == "http").collect()
}

#[test]
fn requests_and_responses_are_paired_with_their_lengths() {
    let lines = http(&Conversation::tcp(80).exchange(EXCHANGE));
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0].get("uri"), lines[0].get("response_body_len")), ("/a b", "26"));
    assert_eq!((lines[1].get("request_body_len"), lines[1].get("response_body_len")), ("11", "11"));
    assert_eq!(lines[0].get("resp_mime_types"), "text/plain");
}

#[test]
fn every_division_into_segments_gives_the_same_records() {
    let whole = http(&Conversation::tcp(80).exchange(EXCHANGE));
    for size in 1..40 {
        let split = http(&Conversation::tcp(80).split(size).exchange(EXCHANGE));
        assert_eq!(whole, split, "segments of {size} bytes");
    }
}

#[test]
fn messages_cut_at_any_length_do_no_harm() {
    for (from, bytes) in EXCHANGE {
        for len in 0..bytes.len() {
            Conversation::tcp(80).exchange(&[(*from, &bytes[..len])]).run();
        }
    }
}

#[test]
fn what_follows_a_connect_is_identified_anew() {
    let lines = Conversation::tcp(3128)
        .exchange(&[
            (true, b"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com\r\n\r\n"),
            (false, b"HTTP/1.1 200 Connection established\r\n\r\n"),
            (true, b"GET /inner HTTP/1.1\r\nHost: example.com\r\n\r\n"),
            (false, b"HTTP/1.1 204 No Content\r\n\r\n"),
        ])
        .run();
    let uris: Vec<&str> = lines.iter().filter(|l| l.log == "http").map(|l| l.get("uri")).collect();
    assert_eq!(uris, ["example.com:80", "/inner"]);
    assert_eq!(lines.iter().filter(|l| l.log == "tunnel").count(), 1);
}

#[test]
fn a_gzip_body_is_decoded_and_counted_decoded() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&[b'x'; 5000]).unwrap();
    let body = encoder.finish().unwrap();
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    response.extend_from_slice(&body);
    let lines = http(&Conversation::tcp(80).exchange(&[(true, b"GET / HTTP/1.1\r\n\r\n"), (false, &response)]));
    assert_eq!(lines[0].get("response_body_len"), "5000");
}
