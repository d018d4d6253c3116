use super::wire::{Message, Server, token};

#[test]
fn challenges_describe_their_servers() {
    let mut challenge = b"NTLMSSP\0\x02\0\0\0\0\0\0\0\x38\0\0\0\x01\0\x80\0".to_vec();
    challenge.extend([0; 16]);
    challenge.extend([0x10, 0, 0x10, 0, 0x38, 0, 0, 0]);
    challenge.extend([0; 8]);
    challenge.extend([1, 0, 4, 0, b'S', 0, b'1', 0, 5, 0, 0, 0, 0, 0, 0, 0]);
    let server = Server { netbios_name: Some(b"S1".to_vec()), tree: Some(Vec::new()), ..Server::default() };
    assert_eq!(Message::read(&challenge), Some(Message::Challenge(server)));
    for len in 0..challenge.len() {
        let _ = Message::read(&challenge[..len]);
    }
}

#[test]
fn spnego_is_unwrapped() {
    let response = b"\xa1\x15\x30\x13\xa0\x03\x0a\x01\x01\xa2\x0c\x04\x0aNTLMSSP\0\x01\x00";
    let found = token(response);
    assert_eq!((found.is_gssapi, found.result, found.inner.map(<[u8]>::len)), (true, Some(1), Some(10)));
    for len in 0..response.len() {
        token(&response[..len]);
    }
}
