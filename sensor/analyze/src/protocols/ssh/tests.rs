use super::SSH;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes()[..], text].concat()
}

fn packet(kind: u8, payload: &[u8]) -> Vec<u8> {
    let padding = 4;
    let len = (payload.len() + 2 + padding) as u32;
    [&len.to_be_bytes()[..], &[padding as u8, kind], payload, &vec![0; padding]].concat()
}

fn kexinit(kex: &str) -> Vec<u8> {
    let mut payload = vec![0; 16];
    for list in [kex, "ssh-ed25519", "aes128-ctr", "aes128-ctr", "hmac-sha2-256", "hmac-sha1", "none", "none", "", ""] {
        payload.extend(string(list.as_bytes()));
    }
    payload.extend([0; 5]);
    packet(20, &payload)
}

#[test]
fn algorithms_host_key_and_versions_are_found() {
    let client =
        [&b"SSH-2.0-OpenSSH_9.7\r\n"[..], &kexinit("curve25519-sha256,ecdh"), &packet(30, &string(b"q")), &packet(21, &[])].concat();
    let reply = [string(b"host key"), string(b"q"), string(b"signature")].concat();
    let server = [&b"hello\nSSH-2.0-dropbear\r\n"[..], &kexinit("ecdh,curve25519-sha256"), &packet(31, &reply), &packet(21, &[])].concat();
    let rows = any_split_gives_the_same_rows(&SSH, 22, &[(ORIG, &client), (RESP, &server)]);
    let row: Vec<&str> = rows[0].split('\t').collect();
    assert_eq!(row[7..10], ["2", "-", "0"]);
    assert_eq!(row[11..13], ["SSH-2.0-OpenSSH_9.7", "SSH-2.0-dropbear"]);
    assert_eq!(row[13..18], ["aes128-ctr", "To server: hmac-sha2-256, to client: hmac-sha1", "none", "curve25519-sha256", "ssh-ed25519"]);
    assert_eq!(row[18].len(), "SHA256:".len() + 32);
    assert_eq!(row[24], "1.0");
    assert_eq!(rows[1], "services\tssh");
}

#[test]
fn lengths_tell_whether_a_login_succeeded() {
    let mut guess = super::Guess::default();
    assert_eq!(guess.segment(ORIG, 44), None);
    assert_eq!(guess.segment(RESP, 44), None);
    assert_eq!(guess.segment(RESP, 60), None);
    assert_eq!(guess.segment(RESP, 60), Some(false));
    assert_eq!(guess.segment(RESP, 28), Some(true));
}

#[test]
fn other_protocols_are_not_ssh() {
    assert_eq!(any_split_gives_the_same_rows(&SSH, 22, &[(ORIG, b"GET / HTTP/1.1\r\n\r\n")]), ["services\t"]);
}
