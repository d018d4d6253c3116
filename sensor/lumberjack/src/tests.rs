use proptest::prelude::*;

use super::*;

fn window(events: &[&str], level: u32) -> Vec<u8> {
    let mut out = Vec::new();
    encode_window(events.iter().map(|event| event.as_bytes()), level, &mut out).unwrap();
    out
}

fn frame(kind: u8, numbers: &[u32], body: &[u8]) -> Vec<u8> {
    let mut out = vec![b'2', kind];
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
    out.extend_from_slice(body);
    out
}

/// Everything that `bytes`, fed in pieces of `step`, gives before the end or an error.
fn receive(receiver: &mut Receiver, bytes: &[u8], step: usize) -> Result<Vec<(u32, Vec<u8>, bool)>, Error> {
    let mut events = Vec::new();
    for piece in bytes.chunks(step) {
        receiver.feed(piece);
        while let Some(event) = receiver.next()? {
            events.push((event.sequence, event.payload.to_vec(), event.ends_window));
        }
    }
    Ok(events)
}

fn refused(bytes: &[u8]) -> Error {
    receive(&mut Receiver::new(Limits { event: 100, compressed: 1000, window: 10 }), bytes, 7).unwrap_err()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::new(6));
    zlib.write_all(bytes).unwrap();
    zlib.finish().unwrap()
}

#[test]
fn a_window_is_laid_out_as_beats_writes_it() {
    assert_eq!(window(&["{}", "[1]"], 0), b"2W\0\0\0\x022J\0\0\0\x01\0\0\0\x02{}2J\0\0\0\x02\0\0\0\x03[1]");
    assert_eq!(encode_ack(258), *b"2A\0\0\x01\x02");
    assert!(window(&[], 3).is_empty());
}

#[test]
fn a_stream_cut_at_every_length_gives_a_prefix_and_no_error() {
    for level in [0, 3] {
        let mut stream = window(&["{\"a\":1}", "{\"b\":2}", "{}"], level);
        stream.extend(window(&["{\"c\":3}"], level));
        let whole = receive(&mut Receiver::default(), &stream, stream.len()).unwrap();
        assert_eq!(whole.len(), 4);
        for length in 0..stream.len() {
            let mut receiver = Receiver::default();
            let events = receive(&mut receiver, &stream[..length], length.max(1)).unwrap();
            assert_eq!(events[..], whole[..events.len()]);
            assert!(!receiver.is_idle() || length == 0 || events.last().unwrap().2, "{length}");
        }
    }
}

proptest! {
    #[test]
    fn a_stream_split_anywhere_gives_the_same_events(
        windows in prop::collection::vec((prop::collection::vec("[a-z{}\\PC]{0,40}", 1..20), 0_u32..10), 1..6),
        step in 1_usize..70,
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (events, level) in &windows {
            let events: Vec<&str> = events.iter().map(String::as_str).collect();
            stream.extend(window(&events, *level));
            for (at, event) in events.iter().enumerate() {
                expected.push((at as u32 + 1, event.as_bytes().to_vec(), at + 1 == events.len()));
            }
        }
        let mut receiver = Receiver::default();
        prop_assert_eq!(receive(&mut receiver, &stream, step).unwrap(), expected);
        prop_assert!(receiver.is_idle());
    }

    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..50) {
        let mut framed = b"2".to_vec();
        framed.extend_from_slice(&bytes);
        for bytes in [&bytes, &framed] {
            let _ = receive(&mut Receiver::default(), bytes, step);
            let mut acks = Acks::default();
            acks.expect(5);
            acks.feed(bytes);
            while let Ok(Some(_)) = acks.next() {}
        }
    }
}

#[test]
fn what_is_not_lumberjack_is_named() {
    assert_eq!(refused(b"GET / HTTP/1.1"), Error::Version(b'G'));
    assert_eq!(refused(&[0x16, 3, 1]), Error::Version(0x16));
    assert!(matches!(refused(b"2D"), Error::Type { found: b'D', .. }));
    assert!(matches!(refused(&encode_ack(1)), Error::Type { found: b'A', .. }));
}

#[test]
fn lengths_beyond_the_limits_are_refused_on_the_header_alone() {
    assert_eq!(refused(&frame(b'W', &[11], b"")), Error::Window { count: 11, limit: 10 });
    assert_eq!(refused(&frame(b'W', &[0], b"")), Error::Window { count: 0, limit: 10 });
    let long = [frame(b'W', &[1], b""), frame(b'J', &[1, 101], b"")].concat();
    assert_eq!(refused(&long), Error::EventTooLong { length: 101, limit: 100 });
    assert_eq!(refused(&frame(b'C', &[1001], b"")), Error::CompressedTooLong { limit: 1000 });
}

#[test]
fn a_compression_bomb_is_stopped_at_the_limit() {
    let bomb = zlib(&vec![b'2'; 1 << 20]);
    assert!(bomb.len() > 1000, "the packed form alone must pass");
    let limits = Limits { compressed: 10_000, ..Limits::default() };
    let bytes = frame(b'C', &[bomb.len() as u32], &bomb);
    assert_eq!(receive(&mut Receiver::new(limits), &bytes, 100).unwrap_err(), Error::CompressedTooLong { limit: 10_000 });
}

#[test]
fn broken_compressed_frames_are_named() {
    assert_eq!(refused(&frame(b'C', &[4], b"zzzz")), Error::Compressed);
    let event = frame(b'J', &[1, 2], b"{}");
    let cut = zlib(&event[..event.len() - 1]);
    assert_eq!(refused(&[frame(b'W', &[1], b""), frame(b'C', &[cut.len() as u32], &cut)].concat()), Error::CompressedCut);
    let mut trailing = zlib(&event);
    trailing.extend_from_slice(b"more");
    assert_eq!(refused(&[frame(b'W', &[1], b""), frame(b'C', &[trailing.len() as u32], &trailing)].concat()), Error::Compressed);
    let nested = zlib(&frame(b'W', &[1], b""));
    assert!(matches!(refused(&frame(b'C', &[nested.len() as u32], &nested)), Error::Type { found: b'W', .. }));
}

#[test]
fn events_outside_of_their_window_are_refused() {
    let event = |sequence| frame(b'J', &[sequence, 2], b"{}");
    assert_eq!(refused(&event(1)), Error::NoWindow);
    assert_eq!(refused(&[frame(b'W', &[2], b""), event(2)].concat()), Error::Sequence { found: 2, expected: 1 });
    assert_eq!(refused(&[frame(b'W', &[2], b""), event(1), event(1)].concat()), Error::Sequence { found: 1, expected: 2 });
    assert_eq!(refused(&[frame(b'W', &[1], b""), event(1), event(2)].concat()), Error::NoWindow);
    assert_eq!(refused(&[frame(b'W', &[2], b""), event(1), frame(b'W', &[1], b"")].concat()), Error::WindowUnfinished { missing: 1 });
}

#[test]
fn acks_are_cumulative_and_zero_is_a_sign_of_life() {
    let mut acks = Acks::default();
    acks.expect(10);
    for sequence in [0, 4, 4, 3, 10] {
        for byte in encode_ack(sequence) {
            acks.feed(&[byte]);
        }
    }
    let mut seen = Vec::new();
    while let Some(progress) = acks.next().unwrap() {
        seen.push(progress);
    }
    assert_eq!(seen, [Progress::Alive, Progress::Taken(4), Progress::Alive, Progress::Alive, Progress::Done(6)]);
    assert_eq!(acks.outstanding(), 0);
}

#[test]
fn an_ack_beyond_the_window_is_refused() {
    let mut acks = Acks::default();
    acks.expect(3);
    acks.feed(&encode_ack(4));
    assert_eq!(acks.next(), Err(AcksError::Beyond { found: 4, window: 3 }));
    let mut acks = Acks::default();
    acks.feed(&window(&["{}"], 0));
    assert!(matches!(acks.next(), Err(AcksError::Frame(Error::Type { found: b'W', .. }))));
}

#[test]
fn a_window_beyond_one_compressed_frame_is_cut_into_several() {
    let event = vec![b' '; 15 << 20];
    let mut out = Vec::new();
    encode_window([event.as_slice(); 6].into_iter(), 1, &mut out).unwrap();
    assert_eq!(receive(&mut Receiver::default(), &out, 1 << 20).unwrap().len(), 6);
}

#[test]
fn an_event_that_no_receiver_takes_is_not_sent() {
    let long = vec![b' '; (16 << 20) + 1];
    let mut out = b"before".to_vec();
    let error = encode_window([long.as_slice()].into_iter(), 0, &mut out).unwrap_err();
    assert!(matches!(error, Error::EventTooLong { .. }));
    assert_eq!(out, b"before");
}
