//! Packets: a form, and the download that it asks `tenrec viewer` for.

use std::path::Path;
use std::time::Duration;

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use settings::control::Connection;
use tokio::net::UnixStream;

use crate::frame::Frame;
use crate::{Shared, format};

/// How long the viewer may take until it begins to answer: an unknown session is looked for in all indices.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a refusal that are shown.
const MAX_REFUSAL: usize = 4096;

#[derive(Template)]
#[template(path = "packets.html")]
struct Page {
    frame: Frame,
    error: String,
    filter: String,
    from: String,
    to: String,
    tagged: bool,
}

/// What the form asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    filter: String,
    from: String,
    to: String,
    tagged: String,
}

/// The form.
pub(crate) async fn page(frame: Frame) -> Response {
    let (error, filter, to) = Default::default();
    super::render(StatusCode::OK, &Page { frame, error, filter, from: "-10m".to_owned(), to, tagged: false })
}

/// The packets as they come, or the form again with what is wrong.
pub(crate) async fn download(State(shared): State<Shared>, frame: Frame, Query(asked): Query<Asked>) -> Response {
    match fetch(&shared.viewer, &asked).await {
        Ok(response) => response,
        Err((status, error)) => {
            let Asked { filter, from, to, tagged } = asked;
            super::render(status, &Page { frame, error, filter, from, to, tagged: tagged == "true" })
        }
    }
}

/// The packets as they come.
///
/// # Errors
/// Status and words: what is wrong with what was asked, or that the viewer does not answer.
pub(crate) async fn fetch(viewer: &Path, asked: &Asked) -> Result<Response, (StatusCode, String)> {
    let target = target(asked);
    match tokio::time::timeout(PATIENCE, ask(viewer, &target)).await {
        Ok(Ok(response)) if response.status() == StatusCode::OK => Ok(passed_on(response)),
        Ok(Ok(response)) => {
            let status = response.status();
            let text = to_bytes(response.into_body(), MAX_REFUSAL).await.unwrap_or_default();
            Err((status, String::from_utf8_lossy(&text).trim().to_owned()))
        }
        Ok(Err(error)) => {
            let words = format!(
                "tenrec viewer does not answer, which has the packets ({error}): `systemctl status tenrec-viewer` tells whether it runs"
            );
            Err((StatusCode::SERVICE_UNAVAILABLE, words))
        }
        Err(_) => Err((StatusCode::GATEWAY_TIMEOUT, "tenrec viewer took too long: ask for a shorter time".to_owned())),
    }
}

/// The link to the packets of a connection: its hosts and ports, from its beginning to its end, with a moment on both sides.
pub(crate) fn link(connection: &Connection) -> String {
    let c = connection;
    let mut filter = format!("host {} and host {}", c.source, c.destination);
    match c.protocol.as_str() {
        "tcp" | "udp" => filter = format!("{} and {filter} and port {} and port {}", c.protocol, c.source_port, c.destination_port),
        "icmp" if c.source.contains(':') => filter = format!("icmp6 and {filter}"),
        "icmp" => filter = format!("icmp and {filter}"),
        _ => {}
    }
    let (from, to) = (format!("{:.3}", c.time - 1.0), format!("{:.3}", c.time + c.duration.max(0.0) + 1.0));
    target_of("/packets/download", &[("filter", &filter), ("from", &from), ("to", &to), ("tagged", "true")])
}

fn target(asked: &Asked) -> String {
    let Asked { filter, from, to, tagged } = asked;
    target_of("/local/search", &[("filter", filter), ("from", from), ("to", to), ("tagged", tagged)])
}

/// The viewer's answer to a filter and a time.
pub(crate) fn search(filter: &str, from: &str, to: &str) -> String {
    target_of("/local/search", &[("filter", filter), ("from", from), ("to", to)])
}

fn target_of(path: &str, parameters: &[(&str, &str)]) -> String {
    let encoded = parameters.iter().map(|(name, value)| format!("{name}={}", format::encoded(value)));
    format!("{path}?{}", encoded.collect::<Vec<_>>().join("&"))
}

/// Asks the viewer over its socket.
pub(crate) async fn ask(socket: &Path, target: &str) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer, or when nobody takes that any more.
    tokio::spawn(connection);
    let request = axum::http::Request::get(target).header(header::HOST, "viewer").body(Body::empty())?;
    Ok(sender.send_request(request).await?.map(Body::new))
}

/// Only what a capture needs of the headers.
fn passed_on(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let mut headers = HeaderMap::new();
    for name in [header::CONTENT_TYPE, header::CONTENT_DISPOSITION] {
        headers.extend(parts.headers.get(&name).map(|value| (name, value.clone())));
    }
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use settings::control::Connection;

    use super::*;
    use crate::pages::testing::Site;

    #[tokio::test]
    async fn the_form_is_there_and_what_it_asks_for_is_passed_on() {
        let site = Site::open(Default::default(), Vec::new(), Vec::new()).await;
        let page = site.browser().get("/packets").await;
        assert!(page.status == StatusCode::OK && page.body.contains("<form action=\"/packets/download\""), "{}", page.body);
        let page = site.browser().get("/packets/download?filter=host+10.0.0.1%20and%20tcp&from=-10m&to=").await;
        let asked = "/local/search?filter=host%2010.0.0.1%20and%20tcp&from=-10m&to=&tagged=";
        assert_eq!((page.status, page.body.as_str()), (StatusCode::OK, asked));
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_in_the_form_that_keeps_what_was_asked() {
        let site = Site::open(Default::default(), Vec::new(), Vec::new()).await;
        let page = site.browser().get("/packets/download?filter=bad%22&from=-5m").await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.body.contains("is no") && !page.body.contains("<filter>") && page.body.contains("value=\"-5m\""), "{}", page.body);
        std::fs::remove_file(site.folder().join("viewer.sock")).unwrap();
        let page = site.browser().get("/packets/download?filter=tcp").await;
        assert!(page.status == StatusCode::SERVICE_UNAVAILABLE && page.body.contains("systemctl status tenrec-viewer"), "{}", page.body);
    }

    #[test]
    fn a_connection_has_a_link_to_its_packets_alone() {
        let connection = Connection {
            time: 1_700_000_000.5,
            duration: 2.25,
            source: "10.0.0.1".into(),
            source_port: 1234,
            destination: "10.0.0.2".into(),
            destination_port: 80,
            protocol: "tcp".into(),
            ..Connection::default()
        };
        let filter = "tcp%20and%20host%2010.0.0.1%20and%20host%2010.0.0.2%20and%20port%201234%20and%20port%2080";
        assert_eq!(link(&connection), format!("/packets/download?filter={filter}&from=1699999999.500&to=1700000003.750&tagged=true"));
        let ping = Connection { source: "fe80::1".into(), protocol: "icmp".into(), ..connection };
        assert!(link(&ping).contains("icmp6%20and%20host%20fe80%3A%3A1"), "{}", link(&ping));
    }
}
