//! A hunt: does a session have a text, bytes or a pattern in its packets?
//!
//! The central viewer asks for each session by the hunt's id alone. What the hunt looks for is read from OpenSearch
//! (`arkime_hunts`), and that a session matched is noted there, in its document, as Arkime's own viewers do.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use forward::opensearch::document;
use packets::Search;
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::json;
use settings::OpenSearch;

use crate::conversation::{self, Conversation, Side};

/// Where hunts are kept: an alias that Arkime makes.
const HUNTS: &str = "arkime_hunts";
/// Hunts that are remembered, and for how long: a hunt asks for thousands of sessions.
const REMEMBERED: usize = 16;
const MEMORY: Duration = Duration::from_secs(60);
/// Bytes of a compiled pattern.
const MAX_PATTERN: usize = 1 << 20;
/// Characters of what is looked for.
const MAX_SEARCH: usize = 4096;
/// Adds the hunt to those that a session has matched.
const NOTE: &str = "for (name in ['huntId', 'huntName']) { if (ctx._source[name] == null) { ctx._source[name] = [params[name]] } \
                    else if (!(ctx._source[name] instanceof List)) { ctx._source[name] = [ctx._source[name], params[name]] } \
                    else if (!ctx._source[name].contains(params[name])) { ctx._source[name].add(params[name]) } }";

/// Hunts, as far as this sensor can take part.
pub(crate) struct Hunts {
    opensearch: Option<OpenSearch>,
    known: Mutex<VecDeque<(String, Instant, Arc<Hunt>)>>,
}

/// What a hunt looks for.
#[derive(Debug)]
pub(crate) struct Hunt {
    name: String,
    what: Wanted,
    /// Of which sides.
    sides: (bool, bool),
    /// In what the sides said, put together, or packet by packet.
    reassembled: bool,
    /// Packets of a session that are looked at.
    packets: usize,
}

#[derive(Debug)]
enum Wanted {
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// Text in lower case, looked for in lower case.
    Lower(Vec<u8>),
    /// Digits anywhere in the hexadecimal form.
    Hex(String),
    /// A pattern.
    Pattern(Regex),
    /// A pattern of the hexadecimal form.
    HexPattern(Regex),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    name: String,
    search: String,
    search_type: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    src: bool,
    #[serde(default)]
    dst: bool,
    size: Option<serde_json::Value>,
}

impl Hunts {
    pub(crate) fn new(opensearch: Option<OpenSearch>) -> Self {
        Self { opensearch, known: Mutex::default() }
    }

    /// What a hunt looks for.
    ///
    /// # Errors
    /// In words for the central viewer, which pauses the hunt and shows them.
    pub(crate) async fn find(&self, id: &str) -> Result<Arc<Hunt>, String> {
        if let Some(hunt) = self.remembered(id) {
            return Ok(hunt);
        }
        let Some(opensearch) = &self.opensearch else {
            return Err("this sensor does not hunt: what a hunt looks for lies in OpenSearch, which it does not know (opensearch.enabled)"
                .to_owned());
        };
        let found = document::read(opensearch, HUNTS, id).await.map_err(|error| format!("the hunt cannot be looked up: {error}"))?;
        let found = found.ok_or("the hunt is not in OpenSearch")?;
        let hunt = Arc::new(Hunt::read(serde_json::from_value(found).map_err(|error| format!("the hunt cannot be understood: {error}"))?)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(other, ..)| other != id);
        if known.len() >= REMEMBERED {
            known.pop_front();
        }
        known.push_back((id.to_owned(), Instant::now(), Arc::clone(&hunt)));
        Ok(hunt)
    }

    /// Notes in the document of a session that it matched.
    ///
    /// # Errors
    /// In words for the central viewer.
    pub(crate) async fn note(&self, id: &str, hunt: &Hunt, session: &str) -> Result<(), String> {
        let (Some(opensearch), Some((day, _))) = (&self.opensearch, session.split_once('-')) else { return Ok(()) };
        let index = format!("arkime_sessions3-{day}");
        let parameters = json!({ "huntId": id, "huntName": hunt.name });
        document::change(opensearch, &index, session, NOTE, parameters).await.map_err(|error| format!("a match cannot be noted: {error}"))
    }

    fn remembered(&self, id: &str) -> Option<Arc<Hunt>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, _, hunt) = known.iter().find(|(known, since, _)| known == id && since.elapsed() < MEMORY)?;
        Some(Arc::clone(hunt))
    }
}

impl Hunt {
    fn read(document: Document) -> Result<Self, String> {
        let Document { name, search, search_type, kind, src, dst, size } = document;
        if search.is_empty() || search.len() > MAX_SEARCH {
            return Err("a hunt must look for something, of 4096 characters at most".to_owned());
        }
        let pattern = |text: &str| {
            let pattern = RegexBuilder::new(text).size_limit(MAX_PATTERN).unicode(false).build();
            pattern.map_err(|error| format!("the pattern of the hunt cannot be used: {error}"))
        };
        let what = match search_type.as_str() {
            "ascii" => Wanted::Lower(search.to_ascii_lowercase().into_bytes()),
            "asciicase" => Wanted::Bytes(search.into_bytes()),
            "hex" => Wanted::Hex(search.to_ascii_lowercase()),
            "regex" => Wanted::Pattern(pattern(&search)?),
            "hexregex" => Wanted::HexPattern(pattern(&search)?),
            other => return Err(format!("this sensor does not know the search type {other:?}")),
        };
        let reassembled = match kind.as_str() {
            "reassembled" => true,
            "raw" => false,
            other => return Err(format!("this sensor does not know hunts in {other:?} packets")),
        };
        // A number, or a number as text.
        let size = size.and_then(|size| size.as_u64().or_else(|| size.as_str()?.parse().ok())).unwrap_or(u64::MAX);
        let packets = usize::try_from(size).unwrap_or(usize::MAX).clamp(1, conversation::MAX_PACKETS);
        Ok(Self { name, what, sides: if src == dst { (true, true) } else { (src, dst) }, reassembled, packets })
    }

    /// Whether a session has it.
    pub(crate) fn is_in(&self, mut search: Search) -> bool {
        let mut conversation = Conversation::default();
        let mut packets = 0;
        while packets < self.packets
            && let Some(found) = search.packet()
        {
            packets += 1;
            if !self.reassembled {
                let side = conversation.side(found.record.data);
                // Of a frame of which no side is known all is looked at.
                if side.is_none_or(|side| self.is_of(side)) && self.matches(found.record.data) {
                    return true;
                }
            } else if !conversation.push(found.record.at, found.record.data) {
                break;
            }
        }
        conversation.turns().iter().any(|turn| self.is_of(turn.side) && self.matches(&turn.bytes))
    }

    const fn is_of(&self, side: Side) -> bool {
        match side {
            Side::Source => self.sides.0,
            Side::Destination => self.sides.1,
        }
    }

    fn matches(&self, bytes: &[u8]) -> bool {
        match &self.what {
            Wanted::Bytes(wanted) => contains(bytes, wanted),
            Wanted::Lower(wanted) => contains(&bytes.to_ascii_lowercase(), wanted),
            Wanted::Hex(wanted) => hex::encode(bytes).contains(wanted),
            Wanted::Pattern(pattern) => pattern.is_match(bytes),
            Wanted::HexPattern(pattern) => pattern.is_match(hex::encode(bytes).as_bytes()),
        }
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunt(kind: &str, search: &str) -> Result<Hunt, String> {
        let document = json!({ "name": "n", "search": search, "searchType": kind, "type": "raw", "src": true, "dst": true, "size": "50" });
        Hunt::read(serde_json::from_value(document).unwrap())
    }

    #[test]
    fn all_kinds_of_search_find_what_they_look_for() {
        let bytes = b"\x00GET /Index.html HTTP/1.1\r\n\xff";
        for (kind, search, found) in [
            ("ascii", "index", true),
            ("ascii", "INDEX", true),
            ("asciicase", "Index", true),
            ("asciicase", "index", false),
            ("hex", "0D0aFf", true),
            ("hex", "0d0aee", false),
            ("regex", r"GET /\w+\.html", true),
            ("regex", r"POST", false),
            ("hexregex", "0d0a(ff|ee)$", true),
        ] {
            assert_eq!(hunt(kind, search).unwrap().matches(bytes), found, "{kind} {search}");
        }
    }

    #[tokio::test]
    async fn what_a_hunt_looks_for_is_read_once_and_a_match_is_noted() {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let answer = move |request: axum::extract::Request| {
            let seen = Arc::clone(&seen);
            async move {
                let target = format!("{} {}", request.method(), request.uri());
                let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
                seen.lock().unwrap().push((target.clone(), body.to_vec()));
                let found = json!({ "_source": { "name": "n", "search": "x", "searchType": "ascii", "type": "reassembled", "src": true, "dst": false } });
                match target.as_str() {
                    "GET /arkime_hunts/_doc/h%201" => (axum::http::StatusCode::OK, axum::Json(found)),
                    _ if target.starts_with("POST /_bulk") => {
                        (axum::http::StatusCode::OK, axum::Json(json!({ "items": [{ "update": {} }] })))
                    }
                    _ => (axum::http::StatusCode::NOT_FOUND, axum::Json(json!({ "found": false }))),
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
        let hunts = Hunts::new(Some(OpenSearch { enabled: true, hosts: vec![url], compression: 0, ..OpenSearch::default() }));

        let hunt = hunts.find("h 1").await.unwrap();
        assert_eq!((hunt.sides, hunt.reassembled, hunt.packets), ((true, false), true, conversation::MAX_PACKETS));
        hunts.find("h 1").await.unwrap();
        hunts.note("h 1", &hunt, "261124-abc").await.unwrap();
        assert!(hunts.find("other").await.unwrap_err().contains("not in OpenSearch"));
        assert!(Hunts::new(None).find("h 1").await.unwrap_err().contains("opensearch.enabled"));
        let requests = requests.lock().unwrap().clone();
        assert_eq!(requests.len(), 3, "{requests:?}");
        let noted = String::from_utf8(requests[1].1.clone()).unwrap();
        assert!(
            noted.contains(r#""_index":"arkime_sessions3-261124","_id":"261124-abc""#) && noted.contains(r#""huntId":"h 1""#),
            "{noted}"
        );
    }

    #[test]
    fn a_hunt_that_cannot_be_understood_is_refused_in_words() {
        for (kind, search, part) in [("regex", "(", "pattern"), ("magic", "x", "search type"), ("ascii", "", "look for something")] {
            assert!(hunt(kind, search).unwrap_err().contains(part), "{kind}");
        }
    }
}
