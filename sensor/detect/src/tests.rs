//! Rules read, refused, and at work on bytes.

use analyze::{Detect, Direction, Endpoint, FlowId, Sight, Time, Transport, UidSource};

use crate::{Refused, Rule, RuleSet};

fn flow(transport: Transport) -> FlowId {
    FlowId {
        uid: UidSource::new(7).flow(),
        orig: Endpoint { addr: "192.168.1.5".parse().unwrap(), port: 40000 },
        resp: Endpoint { addr: "8.8.8.8".parse().unwrap(), port: 80 },
        transport,
    }
}

/// Rules that alert on pieces of a stream from the client.
fn alerts(rules: &str, pieces: &[&[u8]]) -> Vec<u32> {
    let set = RuleSet::from_text(rules);
    assert!(set.refused.is_empty(), "{:?}", set.refused);
    let mut engine = set.engine();
    let id = flow(Transport::Tcp);
    for bytes in pieces {
        engine.bytes(&Sight { at: Time::default(), id: &id, from: Direction::Originator, is_established: true, services: &[], bytes });
    }
    engine.take().iter().map(|alert| alert.sid).collect()
}

#[test]
fn contents_with_all_their_modifiers() {
    let rule = |options: &str| format!("alert tcp any any -> any any (msg:\"m\"; {options} sid:1;)");
    let cases: &[(&str, &[u8], bool)] = &[
        ("content:\"abc\";", b"xxabcxx", true),
        ("content:\"ABC\"; nocase;", b"xxabcxx", true),
        ("content:\"ABC\";", b"xxabcxx", false),
        ("content:!\"abc\";", b"xyz", true),
        ("content:\"|61 62|c\";", b"abc", true),
        ("content:\"abc\"; offset:1;", b"abc", false),
        ("content:\"abc\"; depth:4;", b"xabc", true),
        ("content:\"abc\"; depth:3;", b"xabc", false),
        ("content:\"a\"; content:\"c\"; distance:1; within:1;", b"abc", true),
        ("content:\"a\"; content:\"c\"; distance:2;", b"abc", false),
        ("content:\"a\"; content:\"b\"; within:1;", b"axab", true),
        ("content:\"ab\"; startswith;", b"abc", true),
        ("content:\"bc\"; endswith;", b"abc", true),
        ("content:\"ab\"; endswith;", b"abc", false),
        ("pcre:\"/a.c/\";", b"abc", true),
        ("content:\"a\"; pcre:\"/^b/R\";", b"ab", true),
        ("dsize:>2;", b"abc", true),
        ("dsize:1<>3;", b"abc", false),
    ];
    for (options, bytes, expected) in cases {
        assert_eq!(!alerts(&rule(options), &[bytes]).is_empty(), *expected, "{options} on {bytes:?}");
    }
}

#[test]
fn a_content_across_segments_is_found_once() {
    assert_eq!(alerts("alert tcp any any -> any any (content:\"split\"; sid:5;)", &[b"xxsp", b"litxx", b"more"]), [5]);
}

#[test]
fn headers_choose_by_address_port_and_direction() {
    let cases = [
        ("alert tcp $HOME_NET any -> $EXTERNAL_NET 80 (sid:1;)", true),
        ("alert tcp $EXTERNAL_NET any -> $HOME_NET any (sid:1;)", false),
        ("alert tcp $EXTERNAL_NET any <> $HOME_NET any (sid:1;)", true),
        ("alert tcp any any -> any [!80,1:1000] (sid:1;)", false),
        ("alert tcp any ![1:1024] -> [8.8.8.0/24,1.1.1.1] any (sid:1;)", true),
        ("alert udp any any -> any any (sid:1;)", false),
        ("alert http any any -> any any (sid:1;)", false),
        ("alert tcp any any -> any any (flow:to_client; sid:1;)", false),
        ("alert tcp any any -> any any (flow:established,to_server; sid:1;)", true),
    ];
    for (rule, expected) in cases {
        assert_eq!(!alerts(rule, &[b"x"]).is_empty(), expected, "{rule}");
    }
}

#[test]
fn flowbits_join_rules() {
    let rules = "alert tcp any any -> any any (content:\"one\"; flowbits:set,seen; flowbits:noalert; sid:1;)\n\
                 alert tcp any any -> any any (content:\"two\"; flowbits:isset,seen; sid:2;)";
    assert_eq!(alerts(rules, &[b"two"]), Vec::<u32>::new());
    assert_eq!(alerts(rules, &[b"one", b"two"]), [2]);
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let refused = |rule: &str| Rule::parse(rule).unwrap_err();
    assert!(matches!(refused("alert tcp any any -> any any (byte_test:1,>,2,0; sid:1;)"), Refused::Unsupported(_)));
    assert!(matches!(refused("alert tcp any any -> any any (msg:\"m\";)"), Refused::NoSid));
    assert!(matches!(refused("alert tcp any -> any any (sid:1;)"), Refused::Header));
    assert!(matches!(refused("alert tcp any any -> any any (nocase; sid:1;)"), Refused::Dangling(_)));
    assert!(matches!(refused("alert tcp $NOWHERE any -> any any (sid:1;)"), Refused::Unknown("variable", _)));
}

#[test]
fn a_content_that_repeats_ends_in_bounded_steps() {
    let rule = "alert tcp any any -> any any (content:\"a\"; content:\"a\"; distance:0; content:\"a\"; distance:0; content:\"b\"; distance:0; sid:1;)";
    assert_eq!(alerts(rule, &[&[b'a'; 20_000]]), Vec::<u32>::new());
}
