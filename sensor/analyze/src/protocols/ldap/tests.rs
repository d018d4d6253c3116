use super::LDAP_TCP;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&[tag, body.len() as u8][..], &body].concat()
}

fn message(id: u8, operation: &[u8]) -> Vec<u8> {
    element(0x30, &[&[2, 1, id], operation])
}

fn result(tag: u8, code: u8, text: &[u8]) -> Vec<u8> {
    element(tag, &[&[10, 1, code], &[4, 0], &element(4, &[text])])
}

#[test]
fn binds_and_searches_are_rows() {
    let bind = message(1, &element(0x60, &[&[2, 1, 3], &element(4, &[b"cn=a"]), &element(0x80, &[b"secret"])]));
    let equals = element(0xa3, &[&element(4, &[b"a"]), &element(4, &[b"1"])]);
    let filter = element(0xa0, &[&equals, &equals, &element(0x87, &[b"b"])]);
    let search = message(
        2,
        &element(0x63, &[&element(4, &[b"dc=x"]), &[10, 1, 2], &[10, 1, 3], &[2, 1, 0], &[2, 1, 0], &[1, 1, 0], &filter, &[0x30, 0]]),
    );
    let client = [bind, search, message(3, &[0x42, 0])].concat();
    let entry = message(2, &element(0x64, &[&[4, 0], &[0x30, 0]]));
    let server = [message(1, &result(0x61, 49, b"no")), entry, message(2, &result(0x65, 0, b""))].concat();
    let rows = any_split_gives_the_same_rows(&LDAP_TCP, 389, &[(ORIG, &client), (RESP, &server)]);
    let row = |i: usize| rows[i].split('\t').skip(7).collect::<Vec<_>>();
    assert_eq!(row(0), ["3", "-", "unbind", "-", "-", "-", "-"]);
    assert_eq!(row(1), ["1", "3", "bind simple", "invalid credentials", "no", "cn=a", "REDACTED"]);
    assert_eq!(row(2), ["2", "tree", "always", "dc=x", "1", "success", "-", "(&(&(a=1)(a=1))(b=*))", "-"]);
    assert_eq!(rows[3], "services\tldap_tcp");
}
