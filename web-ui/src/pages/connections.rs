//! The flows that ended last.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use settings::control::{Connection, MAX_ROWS};

use crate::frame::Frame;
use crate::{Shared, format};

/// Rows of a page.
const ROWS: usize = 100;
/// Bytes of what is searched for.
const MAX_SEARCH: usize = 200;

#[derive(Template)]
#[template(path = "connections.html")]
struct Page {
    frame: Frame,
    search: String,
    all: usize,
    rows: Vec<Row>,
    first: usize,
    before: Option<String>,
    after: Option<String>,
}

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    search: String,
    page: usize,
}

struct Row {
    time: String,
    proto: String,
    service: String,
    orig: String,
    resp: String,
    state: String,
    duration: String,
    sent: String,
    received: String,
    uid: String,
    /// Where its packets are to be had.
    packets: String,
}

/// The page.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame, Query(asked): Query<Asked>) -> Response {
    let connections = match crate::ask::connections(&shared.control, MAX_ROWS).await {
        Ok(connections) => connections,
        Err(error) => return super::down(frame, crate::history::explain(&error)),
    };
    let search: String = asked.search.trim().chars().take(MAX_SEARCH).collect();
    let all = connections.len();
    let found: Vec<_> = connections.into_iter().filter(|connection| matches(connection, &search)).collect();
    let first = asked.page.min(MAX_ROWS) * ROWS;
    let link = |page: usize| format!("/connections?search={}&page={page}", format::encoded(&search));
    let page = Page {
        before: asked.page.checked_sub(1).map(link),
        after: (first + ROWS < found.len()).then(|| link(asked.page + 1)),
        rows: found.into_iter().skip(first).take(ROWS).map(row).collect(),
        frame,
        search,
        all,
        first,
    };
    super::render(StatusCode::OK, &page)
}

/// Whether every word of the search is in the connection: an address or its beginning up to a dot or colon, a port, a
/// service, a protocol, a state, a uid.
pub(crate) fn matches(c: &Connection, search: &str) -> bool {
    let address = |known: &str, word: &str| {
        known == word || known.strip_prefix(word).is_some_and(|rest| word.ends_with(['.', ':']) || rest.starts_with(['.', ':']))
    };
    search.split_whitespace().all(|word| {
        [&c.source, &c.destination].iter().any(|known| address(known, word))
            || word.parse().is_ok_and(|port: u16| port == c.source_port || port == c.destination_port)
            || c.service.split(',').chain([c.protocol.as_str(), &c.state, &c.uid]).any(|known| known.eq_ignore_ascii_case(word))
    })
}

fn row(c: Connection) -> Row {
    let end = |addr: &str, port: u16| if addr.contains(':') { format!("[{addr}]:{port}") } else { format!("{addr}:{port}") };
    Row {
        packets: super::packets::link(&c),
        time: format::time(c.time),
        orig: end(&c.source, c.source_port),
        resp: end(&c.destination, c.destination_port),
        proto: c.protocol,
        service: c.service,
        state: c.state,
        duration: if c.duration > 0.0 { format!("{:.3} s", c.duration) } else { "–".to_owned() },
        sent: format::bytes(c.source_bytes),
        received: format::bytes(c.destination_bytes),
        uid: c.uid,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use settings::control::Connection;

    use crate::pages::testing::{Page, Site};

    #[tokio::test]
    async fn a_connection_is_a_row_and_its_bytes_are_escaped() {
        let connection = Connection {
            source: "10.0.0.1".into(),
            source_port: 1234,
            destination: "fe80::1".into(),
            destination_port: 80,
            service: "<script>".into(),
            ..Connection::default()
        };
        let site = Site::open(Default::default(), vec![connection], Vec::new()).await;
        let Page { status, body, .. } = site.browser().get("/connections").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("10.0.0.1:1234") && body.contains("[fe80::1]:80"));
        assert!(body.contains("href=\"/packets/download?"), "{body}");
        assert!(!body.contains("<script>"), "what came from the network is escaped");
    }

    fn connection(n: u16, service: &str) -> Connection {
        Connection { source: format!("10.0.0.{n}"), source_port: n, uid: format!("C{n}"), service: service.into(), ..Connection::default() }
    }

    #[test]
    fn addresses_ports_services_and_uids_are_searched_for() {
        let c =
            Connection { destination: "2001:db8::1".into(), destination_port: 443, protocol: "tcp".into(), ..connection(12, "http,ssl") };
        for found in ["", "10.0.0.12", "10.0", "10.0.0.", "2001:db8", "443", "ssl", "HTTP", "tcp 12", "C12", "10.0.0.12 ssl 443"] {
            assert!(super::matches(&c, found), "{found}");
        }
        for missing in ["10.0.0.1", "10.0.0.2", "44", "dns", "C1", "ssl 80"] {
            assert!(!super::matches(&c, missing), "{missing}");
        }
    }

    #[tokio::test]
    async fn what_is_found_is_shown_page_by_page() {
        let connections = (0..250).map(|n| connection(n, if n % 2 == 0 { "dns" } else { "ssh" })).collect();
        let site = Site::open(Default::default(), connections, Vec::new()).await;
        let mut browser = site.browser();
        let page = browser.get("/connections?search=dns").await.body;
        assert!(page.contains("10.0.0.198:") && !page.contains("10.0.0.200:") && !page.contains("10.0.0.1:"), "{page}");
        assert!(page.contains("/connections?search=dns&#38;page=1"), "{page}");
        let page = browser.get("/connections?search=dns&page=1").await.body;
        assert!(page.contains("10.0.0.200:") && !page.contains("page=2"), "{page}");
        assert!(browser.get("/connections?search=%3Cb%3E").await.body.contains("None of the 250"));
    }
}
