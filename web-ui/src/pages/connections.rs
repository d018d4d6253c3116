//! The flows that ended last.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use settings::control::{Connection, Request, Response as Answer};

use super::{Page, ROWS, down, down_because, text};
use crate::format::{bytes, clock, duration};
use crate::{App, daemon};

pub(crate) async fn page(State(app): State<App>) -> Response {
    Page::Connections.whole(&app).await
}

pub(crate) async fn live(app: &App) -> String {
    match daemon::rows(&app.socket, Request::Connections { limit: ROWS }).await {
        Ok(Answer::Connections { connections }) => text(&View { rows: connections.iter().map(row).collect() }),
        Ok(_) => down("the daemon answered another question: is it of another version?"),
        Err(error) => down_because(&error),
    }
}

#[derive(Template)]
#[template(path = "connections.html")]
struct View<'a> {
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    time: String,
    uid: &'a str,
    source: String,
    destination: String,
    protocol: &'a str,
    service: &'a str,
    duration: String,
    sent: String,
    received: String,
    state: &'a str,
}

fn row(connection: &Connection) -> Row<'_> {
    Row {
        time: clock(connection.time),
        uid: &connection.uid,
        source: endpoint(&connection.source, connection.source_port),
        destination: endpoint(&connection.destination, connection.destination_port),
        protocol: &connection.protocol,
        service: &connection.service,
        duration: duration(connection.duration),
        sent: bytes(connection.source_bytes),
        received: bytes(connection.destination_bytes),
        state: &connection.state,
    }
}

fn endpoint(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}
