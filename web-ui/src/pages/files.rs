//! The files seen last, with their verdicts.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use settings::control::{File, Request, Response as Answer};

use super::{Page, ROWS, down, down_because, text};
use crate::format::{bytes, clock};
use crate::{App, daemon};

pub(crate) async fn page(State(app): State<App>) -> Response {
    Page::Files.whole(&app).await
}

pub(crate) async fn live(app: &App) -> String {
    match daemon::rows(&app.socket, Request::Files { limit: ROWS }).await {
        Ok(Answer::Files { files }) => text(&View { rows: files.iter().map(row).collect() }),
        Ok(_) => down("the daemon answered another question: is it of another version?"),
        Err(error) => down_because(&error),
    }
}

#[derive(Template)]
#[template(path = "files.html")]
struct View<'a> {
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    time: String,
    name: &'a str,
    source: &'a str,
    mime: &'a str,
    size: String,
    sha256: &'a str,
    uid: &'a str,
    verdict: &'a str,
    class: &'static str,
    rules: &'a [String],
}

fn row(file: &File) -> Row<'_> {
    let name = [&file.name, &file.extracted, &file.fuid].into_iter().find(|name| !name.is_empty());
    Row {
        time: clock(file.time),
        name: name.map_or("—", String::as_str),
        source: &file.source,
        mime: if file.mime.is_empty() { "unknown" } else { &file.mime },
        size: bytes(file.size),
        sha256: &file.sha256,
        uid: &file.uid,
        verdict: if file.verdict.is_empty() { "unscanned" } else { &file.verdict },
        class: match file.verdict.as_str() {
            "matched" => "alert",
            "failed" => "warn",
            "clean" => "good",
            _ => "none",
        },
        rules: &file.rules,
    }
}
