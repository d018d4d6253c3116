//! What a filter expression implies: which keys a frame must have to match it.
//!
//! Only so much of tcpdump's language (pcap-filter(7)) is understood as an index can use. Whatever else there is, implies
//! nothing, so that its frames are all looked at: what matches is for libpcap to say. Its grammar is not everyone's guess:
//! `and` and `or` bind equally and to the left, and a value without a word before it takes the words of the last one.
//!
//! Invariant: a frame that libpcap's program takes has what is implied here.

use std::net::IpAddr;

use crate::keys::Key;

/// Words after which headers are looked for where [`crate::keys`] does not look.
const INNER: [&str; 2] = ["geneve", "vxlan"];
/// Words after which libpcap looks for headers further back, whether or not the frame has what they say: `not vlan and ip`
/// takes ARP frames.
const MOVING: [&str; 4] = ["vlan", "mpls", "pppoed", "pppoes"];
/// Words that let a frame past without what another says.
const ALTERNATIVES: [&str; 4] = ["or", "||", "not", "!"];
/// Depth of parentheses that are followed.
const MAX_DEPTH: usize = 64;

/// What a frame that matches has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Implied {
    /// Nothing that is known.
    Anything,
    /// A key.
    Has(Key),
    /// Each of these.
    All(Vec<Self>),
    /// One of these at least.
    OneOf(Vec<Self>),
}

impl Implied {
    /// What an expression implies.
    #[must_use]
    pub fn by(text: &str) -> Self {
        let tokens = tokens(text);
        let has = |words: &[&str]| tokens.iter().any(|token| words.contains(&token.as_str()));
        if has(&INNER) || has(&MOVING) && has(&ALTERNATIVES) {
            return Self::Anything;
        }
        let mut parser = Parser { tokens: &tokens, at: 0, last: Words::default(), depth: 0 };
        match parser.expression() {
            Some(implied) if parser.at == tokens.len() => implied.0,
            _ => Self::Anything,
        }
    }

    /// Whether it can be, given what may be there.
    pub fn holds(&self, may_have: &mut impl FnMut(Key) -> bool) -> bool {
        match self {
            Self::Anything => true,
            Self::Has(key) => may_have(*key),
            Self::All(parts) => parts.iter().all(|part| part.holds(may_have)),
            Self::OneOf(parts) => parts.iter().any(|part| part.holds(may_have)),
        }
    }

    fn all(parts: Vec<Self>) -> Self {
        let mut known: Vec<_> = parts.into_iter().filter(|part| *part != Self::Anything).collect();
        match known.len() {
            0 => Self::Anything,
            1 => known.remove(0),
            _ => Self::All(known),
        }
    }

    fn one_of(parts: Vec<Self>) -> Self {
        if parts.contains(&Self::Anything) { Self::Anything } else { Self::OneOf(parts) }
    }
}

/// What is said, and of which hosts all at once: two of them are a pair.
struct Said(Implied, Vec<IpAddr>);

/// The words before a value.
#[derive(Clone, Debug, Default)]
struct Words {
    protocol: Option<Key>,
    kind: Option<Kind>,
    /// Words that say nothing to an index.
    is_foreign: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Host,
    Port,
    Protocol,
}

struct Parser<'a> {
    tokens: &'a [String],
    at: usize,
    /// Words that a bare value takes.
    last: Words,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn take(&mut self, words: &[&str]) -> bool {
        let found = self.peek().is_some_and(|token| words.contains(&token));
        self.at += usize::from(found);
        found
    }

    /// Terms with `and` and `or` between them, from the left.
    fn expression(&mut self) -> Option<Said> {
        let mut left = self.term()?;
        loop {
            if self.take(&["and", "&&"]) {
                let right = self.term()?;
                let mut hosts = left.1;
                hosts.extend(right.1);
                hosts.dedup();
                let pair = match hosts.as_slice() {
                    [one, other] => Implied::Has(Key::pair(*one, *other)),
                    _ => Implied::Anything,
                };
                left = Said(Implied::all(vec![left.0, right.0, pair]), hosts);
            } else if self.take(&["or", "||"]) {
                let right = self.term()?;
                left = Said(Implied::one_of(vec![left.0, right.0]), Vec::new());
            } else {
                return Some(left);
            }
        }
    }

    fn term(&mut self) -> Option<Said> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let said = if self.take(&["not", "!"]) {
            // Also of what is denied the words are taken up by a bare value that follows.
            self.term()?;
            Said(Implied::Anything, Vec::new())
        } else if self.take(&["("]) {
            let said = self.expression()?;
            // Words do not reach out of parentheses; which ones a bare value takes then is libpcap's to know.
            self.last = Words { is_foreign: true, ..Words::default() };
            self.take(&[")"]).then_some(said)?
        } else {
            self.primitive()?
        };
        self.depth -= 1;
        Some(said)
    }

    fn primitive(&mut self) -> Option<Said> {
        let start = self.at;
        let words = self.words()?;
        let had_words = self.at > start;
        match self.peek() {
            // Words alone: `tcp`, `ip`.
            None | Some("and" | "&&" | "or" | "||" | ")") if had_words => {
                let Words { protocol, kind: None, is_foreign } = words.clone() else { return None };
                self.last = words;
                let key = protocol.filter(|_| !is_foreign)?;
                Some(Said(Implied::Has(key), Vec::new()))
            }
            Some("and" | "&&" | "or" | "||" | ")" | "not" | "!" | "(") | None => None,
            Some(value) if had_words && !words.is_foreign && is_value(value) => {
                let value = value.to_owned();
                self.at += 1;
                self.last = words.clone();
                if self.is_at_end_of_primitive() { Some(said(&words, &value)) } else { self.foreign() }
            }
            // A word that is none of the above may be a name, or mean anything.
            Some(value) if !had_words && is_number(value) => {
                let value = value.to_owned();
                self.at += 1;
                let words = Words { kind: self.last.kind.or(Some(Kind::Host)), ..self.last.clone() };
                if !self.is_at_end_of_primitive() {
                    return self.foreign();
                }
                Some(if words.is_foreign { Said(Implied::Anything, Vec::new()) } else { said(&words, &value) })
            }
            Some(_) => self.foreign(),
        }
    }

    fn is_at_end_of_primitive(&self) -> bool {
        matches!(self.peek(), None | Some("and" | "&&" | "or" | "||" | ")"))
    }

    /// A primitive of which nothing is known, up to the next `and` or `or` outside of its own parentheses.
    fn foreign(&mut self) -> Option<Said> {
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            match token {
                "(" => depth += 1,
                ")" if depth == 0 => break,
                ")" => depth -= 1,
                "and" | "&&" | "or" | "||" if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        self.last = Words { is_foreign: true, ..Words::default() };
        Some(Said(Implied::Anything, Vec::new()))
    }

    fn words(&mut self) -> Option<Words> {
        let mut words = Words::default();
        while let Some(token) = self.peek() {
            let protocol = match token {
                "ip" => Some(Key::ethertype(0x0800)),
                "ip6" => Some(Key::ethertype(0x86dd)),
                "arp" => Some(Key::ethertype(0x0806)),
                "rarp" => Some(Key::ethertype(0x8035)),
                "tcp" => Some(Key::protocol(6)),
                "udp" => Some(Key::protocol(17)),
                "sctp" => Some(Key::protocol(132)),
                "icmp" => Some(Key::protocol(1)),
                "icmp6" => Some(Key::protocol(58)),
                _ => None,
            };
            match token {
                _ if protocol.is_some() => {
                    if words.protocol.is_some() || words.kind.is_some() {
                        return None;
                    }
                    words.protocol = protocol;
                }
                "src" | "dst" => {
                    // `src or dst`, `src and dst`.
                    if matches!(self.tokens.get(self.at + 1).map(String::as_str), Some("or" | "and" | "||" | "&&")) {
                        let other = self.tokens.get(self.at + 2).map(String::as_str);
                        if !matches!(other, Some("src" | "dst")) {
                            return None;
                        }
                        self.at += 2;
                    }
                    // What follows without a word is a host.
                    words.kind.get_or_insert(Kind::Host);
                }
                "host" => words.kind = Some(Kind::Host),
                "port" => words.kind = Some(Kind::Port),
                "proto" => words.kind = Some(Kind::Protocol),
                "net" | "portrange" | "gateway" | "ether" | "link" | "wlan" | "protochain" | "broadcast" | "multicast" => {
                    words.is_foreign = true;
                }
                _ => return Some(words),
            }
            self.at += 1;
        }
        Some(words)
    }
}

/// What a value says, after its words.
fn said(words: &Words, value: &str) -> Said {
    let mut parts: Vec<_> = words.protocol.map(Implied::Has).into_iter().collect();
    let mut hosts = Vec::new();
    match words.kind {
        Some(Kind::Host) => {
            if let Ok(host) = value.parse::<IpAddr>() {
                parts.push(Implied::Has(Key::host(host)));
                hosts.push(host);
            }
        }
        Some(Kind::Port) => {
            if let Ok(port) = value.parse::<u16>() {
                parts.push(Implied::Has(Key::port(port)));
            }
        }
        Some(Kind::Protocol) => {
            if let Ok(number) = value.parse::<u8>()
                && words.protocol.is_none_or(|key| [0x0800, 0x86dd].map(Key::ethertype).contains(&key))
            {
                parts.push(Implied::Has(Key::protocol(number)));
            }
        }
        // `tcp 80` and the like are no expressions.
        None => parts.clear(),
    }
    Said(Implied::all(parts), hosts)
}

/// A number, a name, an address: no operator.
fn is_value(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-_".contains(&byte))
}

/// A number or an address.
fn is_number(token: &str) -> bool {
    token.parse::<IpAddr>().is_ok() || token.bytes().all(|byte| byte.is_ascii_digit())
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char.is_whitespace() || "()[]!&|=<>+*^%".contains(char) {
            if !word.is_empty() {
                tokens.push(std::mem::take(&mut word));
            }
            if char.is_whitespace() {
                continue;
            }
            let mut token = char.to_string();
            let doubled = chars.peek().is_some_and(|next| matches!((char, next), ('&', '&') | ('|', '|') | ('!' | '<' | '>' | '=', '=')));
            if doubled {
                token.extend(chars.next());
            }
            tokens.push(token);
        } else {
            word.push(char);
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Implied {
        Implied::Has(Key::host(text.parse().unwrap()))
    }

    fn port(port: u16) -> Implied {
        Implied::Has(Key::port(port))
    }

    fn tcp() -> Implied {
        Implied::Has(Key::protocol(6))
    }

    fn pair(one: &str, other: &str) -> Implied {
        Implied::Has(Key::pair(one.parse().unwrap(), other.parse().unwrap()))
    }

    #[test]
    fn hosts_ports_and_protocols_are_implied() {
        for text in ["host 10.0.0.1", "src host 10.0.0.1", "dst 10.0.0.1", "src or dst host 10.0.0.1", "10.0.0.1", "((host 10.0.0.1))"] {
            assert_eq!(Implied::by(text), host("10.0.0.1"), "{text}");
        }
        assert_eq!(Implied::by("tcp"), tcp());
        assert_eq!(Implied::by("tcp port 80"), Implied::All(vec![tcp(), port(80)]));
        assert!(!Implied::by("ip6 host fe80::1 and port 53").holds(&mut |key| key != Key::port(53)));
        assert_eq!(Implied::by("proto 89"), Implied::Has(Key::protocol(89)));
    }

    #[test]
    fn two_hosts_at_once_are_a_pair() {
        let both = Implied::by("host 10.0.0.1 and host 10.0.0.2");
        let parts = [host("10.0.0.1"), host("10.0.0.2"), pair("10.0.0.1", "10.0.0.2")];
        assert_eq!(both, Implied::All(parts.to_vec()));
        assert_eq!(Implied::by("host 10.0.0.1 and 10.0.0.2"), both);
    }

    #[test]
    fn and_and_or_bind_equally_and_to_the_left() {
        // tcpdump takes this for (port 1 or port 2) and port 3.
        let wanted = Implied::All(vec![Implied::OneOf(vec![port(1), port(2)]), port(3)]);
        assert_eq!(Implied::by("port 1 or port 2 and port 3"), wanted);
        let wanted = Implied::OneOf(vec![port(1), Implied::All(vec![port(2), port(3)])]);
        assert_eq!(Implied::by("port 1 or (port 2 and port 3)"), wanted);
    }

    #[test]
    fn a_bare_value_takes_the_words_of_the_last_one() {
        let tcp_port = |number| Implied::All(vec![tcp(), port(number)]);
        assert_eq!(Implied::by("tcp port 80 or 443"), Implied::OneOf(vec![tcp_port(80), tcp_port(443)]));
        assert_eq!(Implied::by("net 10.0.0.0/8 or 10.1.1.1"), Implied::Anything);
    }

    #[test]
    fn what_is_denied_or_not_understood_implies_nothing() {
        for text in [
            "",
            "not host 10.0.0.1",
            "! tcp",
            "net 10.0.0.0/8",
            "ether host 02:00:00:00:00:01",
            "port http",
            "host example.org",
            "portrange 1-5",
            "tcp[13] & 2 != 0",
            "less 100",
            "host 10.0.0.1 or net 10",
            "port 80 or not tcp",
            "src and",
            "tcp port",
            "geneve and host 10.0.0.1",
            "(port 80",
            "port 80)",
            "vlan 5",
        ] {
            assert_eq!(Implied::by(text), Implied::Anything, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_leaves_the_rest_to_be_used() {
        assert_eq!(Implied::by("port 80 and tcp[tcpflags] & (tcp-syn|tcp-fin) != 0"), port(80));
        assert_eq!(Implied::by("vlan 5 and host 10.0.0.1"), host("10.0.0.1"));
        assert_eq!(Implied::by("not net 10.0.0.0/8 && port 80"), port(80));
        assert_eq!(Implied::by("len > 100 and port 80"), port(80));
    }
}
