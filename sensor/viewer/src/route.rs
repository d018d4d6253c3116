//! Paths that Arkime's viewer asks for, those of 6.7 and the older ones, and those of the local socket.
//!
//! ```text
//! /api/session/NODE/ID.pcap  .pcapng          /NODE/pcap/ID.pcap   /NODE/pcapng/ID.pcapng
//! /api/session/NODE/ID/pcap  /pcapng
//! /api/session/NODE/ID/packets                /NODE/session/ID/packets
//! /api/session/raw/NODE/ID   ID.png  ID/png   /NODE/raw/ID         /NODE/raw/ID.png
//! /api/session/entire/NODE/ID.pcap  ID/pcap   /NODE/entirePcap/ID.pcap
//! /api/hunt/NODE/HUNT/remote/ID               /NODE/hunt/HUNT/remote/ID
//! ```

use std::collections::BTreeMap;

/// Parameters of a query that are looked at, at most.
const MAX_PARAMETERS: usize = 64;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Something about a session of a node.
    Session {
        /// The node's name.
        node: String,
        /// The session's id, as the viewer calls it.
        id: String,
        /// What of it.
        what: What,
    },
    /// Packets by filter and time, for the local socket alone.
    Search,
    /// There is nothing.
    Unknown,
}

/// What is asked of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Its packets as PCAP.
    Pcap,
    /// Its packets as PCAPNG.
    Pcapng,
    /// The packets of all its segments.
    Entire,
    /// What was said, as HTML.
    Packets,
    /// The bytes that one side sent.
    Raw,
    /// The same as a picture.
    Picture,
    /// Whether a hunt finds something in it.
    Hunt,
}

impl Route {
    /// What a path means. Each part is percent-decoded.
    pub(crate) fn of(path: &str) -> Self {
        let Some(parts) = path.split('/').skip(1).map(decoded).collect::<Option<Vec<_>>>() else { return Self::Unknown };
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let session = |node: &str, id: &str, what| match (node, id) {
            ("", _) | (_, "") => Self::Unknown,
            _ => Self::Session { node: node.to_owned(), id: id.to_owned(), what },
        };
        let file = |node: &str, file: &str, whats: &[(&str, What)]| {
            let found = whats.iter().find_map(|(ending, what)| Some((file.strip_suffix(ending)?, *what)));
            found.map_or(Self::Unknown, |(id, what)| session(node, id, what))
        };
        const CAPTURES: &[(&str, What)] = &[(".pcap", What::Pcap), (".pcapng", What::Pcapng)];
        const RAW: &[(&str, What)] = &[(".png", What::Picture), ("", What::Raw)];
        const ENTIRE: &[(&str, What)] = &[(".pcap", What::Entire)];
        match parts.as_slice() {
            ["local", "search"] => Self::Search,
            ["api", "session", "raw", node, id] => file(node, id, RAW),
            ["api", "session", "raw", node, id, "png"] => session(node, id, What::Picture),
            ["api", "session", "entire", node, id] => file(node, id, ENTIRE),
            ["api", "session", "entire", node, id, "pcap"] => session(node, id, What::Entire),
            ["api", "session", node, id, "packets"] => session(node, id, What::Packets),
            ["api", "session", node, id, "pcap"] => session(node, id, What::Pcap),
            ["api", "session", node, id, "pcapng"] => session(node, id, What::Pcapng),
            ["api", "session", node, id] => file(node, id, CAPTURES),
            ["api", "hunt", node, _, "remote", id] | [node, "hunt", _, "remote", id] => session(node, id, What::Hunt),
            [node, "pcap" | "pcapng", id] => file(node, id, CAPTURES),
            [node, "entirePcap", id] => file(node, id, ENTIRE),
            [node, "raw", id] => file(node, id, RAW),
            [node, "session", id, "packets"] => session(node, id, What::Packets),
            _ => Self::Unknown,
        }
    }
}

/// The parameters of a query; of one that is given twice the last.
pub(crate) fn parameters(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).take(MAX_PARAMETERS);
    pairs
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(&name.replace('+', " "))?, decoded(&value.replace('+', " "))?))
        })
        .collect()
}

/// Percent-decoded text; nothing if it is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        let digits = rest.split_at_checked(2).and_then(|(digits, more)| Some((hex::decode(digits).ok()?, more)));
        match (first, digits) {
            (b'%', Some((byte, more))) => {
                out.extend(byte);
                rest = more;
            }
            _ => out.push(*first),
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_all_ages_are_understood() {
        for (path, what) in [
            ("/api/session/n/3@261124-ab.pcap", What::Pcap),
            ("/api/session/n/3@261124-ab/pcap", What::Pcap),
            ("/api/session/n/3%40261124-ab.pcapng", What::Pcapng),
            ("/api/session/n/3@261124-ab/packets", What::Packets),
            ("/api/session/raw/n/3@261124-ab", What::Raw),
            ("/api/session/raw/n/3@261124-ab.png", What::Picture),
            ("/api/session/raw/n/3@261124-ab/png", What::Picture),
            ("/api/session/entire/n/3@261124-ab.pcap", What::Entire),
            ("/api/session/entire/n/3@261124-ab/pcap", What::Entire),
            ("/api/hunt/n/hunt1/remote/3@261124-ab", What::Hunt),
            ("/n/pcap/3@261124-ab.pcap", What::Pcap),
            ("/n/pcapng/3@261124-ab.pcapng", What::Pcapng),
            ("/n/entirePcap/3@261124-ab.pcap", What::Entire),
            ("/n/raw/3@261124-ab", What::Raw),
            ("/n/raw/3@261124-ab.png", What::Picture),
            ("/n/session/3@261124-ab/packets", What::Packets),
            ("/n/hunt/hunt1/remote/3@261124-ab", What::Hunt),
        ] {
            assert_eq!(Route::of(path), Route::Session { node: "n".into(), id: "3@261124-ab".into(), what }, "{path}");
        }
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in ["", "/", "/api/session/n/x", "/api/session//x.pcap", "/api/session/n/.pcap", "/n/pcap/x", "/etc/passwd", "/%ff/raw/x"]
        {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn a_query_is_decoded() {
        let found = parameters("base=hex&filter=host+10.0.0.1%20and%20tcp&&line&line=true&bad=%ff");
        let wanted = [("base", "hex"), ("filter", "host 10.0.0.1 and tcp"), ("line", "true")];
        assert_eq!(found, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
