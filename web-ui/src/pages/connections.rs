//! The flows that ended last.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use settings::control::Connection;

use crate::frame::Frame;
use crate::{Shared, format};

/// Rows of the table.
const ROWS: usize = 200;

#[derive(Template)]
#[template(path = "connections.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
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
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame) -> Response {
    match crate::ask::connections(&shared.control, ROWS).await {
        Ok(connections) => super::render(StatusCode::OK, &Page { frame, rows: connections.into_iter().map(row).collect() }),
        Err(error) => super::down(frame, crate::history::explain(&error)),
    }
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
}
