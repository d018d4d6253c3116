use super::{decimal, matches};

#[test]
fn a_star_stands_for_one_label() {
    for (pattern, host, expected) in [
        ("*.example.com", "www.example.com", true),
        ("*.example.com", "WWW.Example.COM", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "a.b.example.com", false),
        ("*.com", "example.com", false),
        ("w*.example.com", "www.example.com", true),
        ("example.com", "example.com", true),
        ("", "", false),
    ] {
        assert_eq!(matches(pattern.as_bytes(), host.as_bytes()), expected, "{pattern} {host}");
    }
}

#[test]
fn exponents_are_decimal() {
    assert_eq!(decimal(&[1, 0, 1]), "65537");
    assert_eq!(decimal(&[]), "0");
    assert_eq!(decimal(&[0xff; 9]), "4722366482869645213695");
}
