use super::SMB;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

fn framed(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

/// A message of SMB2 with a command, an id, a tree and a body.
fn second(command: u8, response: bool, id: u8, tree: u8, body: &[u8]) -> Vec<u8> {
    let mut head = vec![0xfe, b'S', b'M', b'B', 64, 0, 0, 0, 0, 0, 0, 0, command, 0, 0, 0, u8::from(response), 0, 0, 0, 0, 0, 0, 0];
    head.extend([id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, tree, 0, 0, 0]);
    head.resize(64, 0);
    head.extend(body);
    framed(&head)
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn conversation(data: &[u8]) -> Vec<(crate::Direction, Vec<u8>)> {
    let tree = [&[9, 0, 0, 0, 72, 0, 8, 0][..], &wide("\\\\s\\")].concat();
    let mut create = vec![0; 56];
    create[44..48].copy_from_slice(&[120, 0, 4, 0]);
    create.extend(wide("a1"));
    let mut created = vec![0; 88];
    for place in [8, 16, 24, 32] {
        created[place..place + 8].copy_from_slice(&(11_644_473_600_u64 * 10_000_000 + 10_000_000).to_le_bytes());
    }
    created[64] = 7;
    let mut write = vec![49, 0, 112, 0];
    write.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    write.extend([0; 8]);
    write.extend([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    write.resize(48, 0);
    write.extend(data);
    let close = [&[24, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0][..], &[0; 8]].concat();
    vec![
        (ORIG, second(3, false, 1, 0, &tree)),
        (RESP, second(3, true, 1, 5, &[16, 0, 1, 0])),
        (ORIG, second(5, false, 2, 5, &create)),
        (RESP, second(5, true, 2, 5, &created)),
        (ORIG, second(9, false, 3, 5, &write)),
        (ORIG, second(6, false, 4, 5, &close)),
    ]
}

fn rows(data: &[u8]) -> Vec<String> {
    let said = conversation(data);
    let said: Vec<_> = said.iter().map(|(from, bytes)| (*from, &bytes[..])).collect();
    crate::protocols::testing::converse(&SMB, crate::Transport::Tcp, 445, &said, 1000)
}

#[test]
fn a_file_is_written() {
    let said = conversation(b"hello");
    let said: Vec<_> = said.iter().map(|(from, bytes)| (*from, &bytes[..])).collect();
    let rows = any_split_gives_the_same_rows(&SMB, 445, &said);
    assert!(rows[0].ends_with("\t\\\\\\\\s\\\\\t-\t-\tDISK"), "{rows:?}");
    assert!(rows[1].contains("\tSMB::FILE_OPEN\t\\\\\\\\s\\\\\ta1\t0\t-\t1.000000\t"), "{rows:?}");
    assert!(rows[2].starts_with("files\t") && rows[2].contains("\tSMB\t") && rows[2].contains("\t5\t"), "{rows:?}");
}

#[test]
fn large_writes_are_taken_as_they_come() {
    let rows = rows(&vec![b'x'; 300_000]);
    assert!(rows.iter().any(|row| row.starts_with("files\t") && row.contains("\t300000\t")), "{rows:?}");
}

#[test]
fn chains_are_followed_so_far() {
    let mut message = vec![0xff, b'S', b'M', b'B', 0x74];
    message.resize(32, 0);
    for at in 0..20u8 {
        let next = 32 + (at + 1) * 7;
        message.extend([2, 0x74, 0, next, 0, 0, 0]);
    }
    let rows = any_split_gives_the_same_rows(&SMB, 445, &[(ORIG, &framed(&message))]);
    assert!(rows[0].contains("smb_andx_depth_exceeded"), "{rows:?}");
}
