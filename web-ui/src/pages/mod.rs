//! The pages, one file each. A page is a frame around a live part; the live part alone travels over the event stream.

pub(crate) mod connections;
pub(crate) mod files;
pub(crate) mod status;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use settings::control::ClientError;

use crate::App;

/// Rows of a table.
const ROWS: usize = 200;

/// A page with a live part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Status,
    Connections,
    Files,
}

impl Page {
    /// Name in `/events/…`, path, title.
    const ALL: [(Self, &'static str, &'static str, &'static str); 3] = [
        (Self::Status, "status", "/", "Status"),
        (Self::Connections, "connections", "/connections", "Connections"),
        (Self::Files, "files", "/files", "Files"),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _, _)| *known == name).map(|(page, ..)| *page)
    }

    /// The part that changes, as HTML.
    pub(crate) async fn live(self, app: &App) -> String {
        match self {
            Self::Status => status::live(app),
            Self::Connections => connections::live(app).await,
            Self::Files => files::live(app).await,
        }
    }

    /// The whole page. 503 when the daemon does not answer, though the page says so in words.
    pub(crate) async fn whole(self, app: &App) -> Response {
        let live = self.live(app).await;
        let snapshot = app.snapshot.borrow();
        let node = snapshot.status.as_ref().map_or("", |status| status.node.as_str());
        let links = Self::ALL.map(|(page, _, path, title)| Link { path, title, here: page == self });
        let (_, name, _, title) = Self::ALL.into_iter().find(|(page, ..)| *page == self).unwrap_or(Self::ALL[0]);
        let frame = Frame { title, node, name, links: &links, version: env!("CARGO_PKG_VERSION"), live: &live };
        let status = if snapshot.status.is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, html(&frame)).into_response()
    }
}

struct Link {
    path: &'static str,
    title: &'static str,
    here: bool,
}

#[derive(Template)]
#[template(path = "frame.html")]
struct Frame<'a> {
    title: &'a str,
    node: &'a str,
    name: &'a str,
    links: &'a [Link],
    version: &'a str,
    live: &'a str,
}

#[derive(Template)]
#[template(path = "down.html")]
struct Down<'a> {
    trouble: &'a str,
}

/// The live part when the daemon does not answer.
fn down(trouble: &str) -> String {
    text(&Down { trouble: if trouble.is_empty() { "asking the daemon …" } else { trouble } })
}

fn down_because(error: &ClientError) -> String {
    down(&error.to_string())
}

fn text(template: &impl Template) -> String {
    // Writing into a String does not fail.
    template.render().unwrap_or_default()
}

fn html(template: &impl Template) -> Html<String> {
    Html(text(template))
}

/// 200 when this page could show something, 503 when the daemon does not answer.
pub(crate) async fn health(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.snapshot.borrow().status.is_some() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the daemon does not answer\n")
    }
}

pub(crate) async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there is no such page\n")
}
