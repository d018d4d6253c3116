//! WebSocket over made-up connections.

use crate::testing::Conversation;

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Protocol: v1, v2\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: v1\r\n\r\n";

/// A frame with `payload`, masked if the client sends it.
fn frame(from_client: bool, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut out = vec![0x82, u8::try_from(payload.len()).unwrap() | if from_client { 0x80 } else { 0 }];
    if from_client {
        out.extend_from_slice(&mask);
        out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    } else {
        out.extend_from_slice(payload);
    }
    out
}

#[test]
fn what_is_inside_the_frames_is_identified_and_any_division_gives_the_same() {
    let request = frame(true, b"GET /inner HTTP/1.1\r\n\r\n");
    let response = frame(false, b"HTTP/1.1 204 No Content\r\n\r\n");
    let exchange: [(bool, &[u8]); 4] = [(true, REQUEST), (false, RESPONSE), (true, &request), (false, &response)];
    let whole = Conversation::tcp(80).exchange(&exchange).run();
    let websocket = whole.iter().find(|line| line.log == "websocket").unwrap();
    assert_eq!((websocket.get("subprotocol"), websocket.get("client_protocols")), ("v1", "v1,v2"));
    let uris: Vec<_> = whole.iter().filter(|line| line.log == "http").map(|line| line.get("uri")).collect();
    assert_eq!(uris, ["/chat", "/inner"]);
    for size in [1, 2, 3, 7, 100] {
        let split = Conversation::tcp(80).split(size).exchange(&exchange).run();
        let logs = |lines: &[crate::testing::Line]| lines.iter().filter(|line| line.log != "weird").cloned().collect::<Vec<_>>();
        assert_eq!(logs(&split), logs(&whole), "segments of {size} bytes");
    }
}

#[test]
fn frames_cut_at_any_length_do_no_harm() {
    let request = frame(true, b"GET /inner HTTP/1.1\r\n\r\n");
    for len in 0..request.len() {
        Conversation::tcp(80).exchange(&[(true, REQUEST), (false, RESPONSE), (true, &request[..len])]).run();
    }
}
