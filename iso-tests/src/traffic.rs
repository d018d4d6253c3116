//! Traffic for the capture port, made frame by frame: conversations of a client and a server that a sensor has something to say
//! about.

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;

/// Fewer than the guest's port has room for, so that none is lost before the sensor sees it.
const MAX_SEGMENT: usize = 1400;

const CLIENT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const SERVER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 2];

/// What the shipped rule `Tenrec_Demo_Marker` matches.
pub(crate) const MARKER: &str = "TENREC-DEMO-HARMLESS-MARKER";

/// A whole HTTP exchange over TCP: connect, request, response, close. `number` makes the client's port.
pub(crate) fn http(number: u16, host: &str, target: &str, content_type: &str, body: &[u8]) -> Vec<Vec<u8>> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: iso-tests\r\nAccept: */*\r\n\r\n");
    let mut response =
        format!("HTTP/1.1 200 OK\r\nServer: iso-tests\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    response.extend_from_slice(body);
    let mut talk = Talk::begin(20_000 + number % 40_000);
    talk.say(true, request.as_bytes());
    talk.say(false, &response);
    talk.end()
}

/// A DNS question and its answer.
pub(crate) fn dns(number: u16, name: &str, address: Ipv4Addr) -> Vec<Vec<u8>> {
    let mut question = Vec::new();
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap_or(0));
        question.extend_from_slice(label.as_bytes());
    }
    // Root, type A, class IN.
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    let header = |flags: u16, answers: u16| {
        let words = [number, flags, 1, answers, 0, 0];
        words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>()
    };
    let query = [header(0x0100, 0), question.clone()].concat();
    // A pointer to the name, type A, class IN, an hour, four bytes.
    let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4][..], &address.octets()].concat();
    let answer = [header(0x8180, 1), question, record].concat();
    let port = 30_000 + number % 30_000;
    let datagram = |from_client: bool, payload: &[u8]| {
        let (source, destination, from, to) = ends(from_client, port, 53);
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2(source.0, destination.0).ipv4(source.1, destination.1, 64).udp(from, to);
        // Writing into a Vec does not fail.
        let _ = builder.write(&mut frame, payload);
        frame
    };
    vec![datagram(true, &query), datagram(false, &answer)]
}

type End = ([u8; 6], [u8; 4]);

fn ends(from_client: bool, client_port: u16, server_port: u16) -> (End, End, u16, u16) {
    let (client, server) = ((CLIENT_MAC, [192, 0, 2, 10]), (SERVER_MAC, [198, 51, 100, 20]));
    if from_client { (client, server, client_port, server_port) } else { (server, client, server_port, client_port) }
}

/// A TCP connection in the making.
struct Talk {
    port: u16,
    /// Next sequence number of client and server.
    client: u32,
    server: u32,
    frames: Vec<Vec<u8>>,
}

impl Talk {
    fn begin(port: u16) -> Self {
        let mut talk = Self { port, client: 1000, server: 5000, frames: Vec::new() };
        talk.segment(true, |tcp| tcp.syn(), false, &[]);
        talk.client += 1;
        talk.segment(false, |tcp| tcp.syn(), true, &[]);
        talk.server += 1;
        talk.segment(true, |tcp| tcp, true, &[]);
        talk
    }

    fn say(&mut self, from_client: bool, bytes: &[u8]) {
        for piece in bytes.chunks(MAX_SEGMENT) {
            self.segment(from_client, |tcp| tcp.psh(), true, piece);
            let next = if from_client { &mut self.client } else { &mut self.server };
            *next = next.wrapping_add(u32::try_from(piece.len()).unwrap_or(0));
            self.segment(!from_client, |tcp| tcp, true, &[]);
        }
    }

    fn end(mut self) -> Vec<Vec<u8>> {
        self.segment(true, |tcp| tcp.fin(), true, &[]);
        self.client += 1;
        self.segment(false, |tcp| tcp.fin(), true, &[]);
        self.server += 1;
        self.segment(true, |tcp| tcp, true, &[]);
        self.frames
    }

    fn segment(
        &mut self,
        from_client: bool,
        flags: impl FnOnce(etherparse::PacketBuilderStep<etherparse::TcpHeader>) -> etherparse::PacketBuilderStep<etherparse::TcpHeader>,
        acknowledges: bool,
        payload: &[u8],
    ) {
        let (source, destination, from, to) = ends(from_client, self.port, 80);
        let (sequence, heard) = if from_client { (self.client, self.server) } else { (self.server, self.client) };
        let mut tcp = PacketBuilder::ethernet2(source.0, destination.0).ipv4(source.1, destination.1, 64).tcp(from, to, sequence, 64_000);
        if acknowledges {
            tcp = tcp.ack(heard);
        }
        let mut frame = Vec::new();
        let _ = flags(tcp).write(&mut frame, payload);
        self.frames.push(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_begins_with_a_handshake_and_ends_on_both_sides() {
        let frames = http(1, "host.example", "/a", "text/plain", &[b'x'; 3000]);
        let flags: Vec<u8> = frames.iter().filter_map(|frame| frame.get(47).copied()).collect();
        assert_eq!(flags.first(), Some(&0x02));
        assert_eq!(flags.iter().filter(|flags| **flags & 0x01 != 0).count(), 2);
        assert!(frames.iter().all(|frame| frame.len() <= 1514));
    }
}
