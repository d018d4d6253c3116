//! The files seen last, and what the scanners said of them.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use settings::control::File;

use crate::frame::Frame;
use crate::{Shared, format};

/// Rows of the table.
const ROWS: usize = 200;

#[derive(Template)]
#[template(path = "files.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
}

struct Row {
    time: String,
    source: String,
    name: String,
    mime: String,
    size: String,
    sha256: String,
    extracted: String,
    verdict: String,
    rules: String,
}

/// The page.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame) -> Response {
    match crate::ask::files(&shared.control, ROWS).await {
        Ok(files) => super::render(StatusCode::OK, &Page { frame, rows: files.into_iter().map(row).collect() }),
        Err(error) => super::down(frame, crate::history::explain(&error)),
    }
}

fn row(f: File) -> Row {
    Row {
        time: format::time(f.time),
        source: f.source,
        name: f.name,
        mime: f.mime,
        size: format::bytes(f.size),
        sha256: f.sha256,
        extracted: f.extracted,
        verdict: f.verdict,
        rules: f.rules.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use settings::control::File;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn a_match_stands_out_with_its_rules() {
        let file = File { verdict: "matched".into(), rules: vec!["yara:Demo".into()], name: "x.exe".into(), ..File::default() };
        let site = Site::open(Default::default(), Vec::new(), vec![file]).await;
        let body = site.browser().get("/files").await.body;
        assert!(body.contains("yara:Demo") && body.contains("class=\"verdict matched\""));
    }
}
