//! The files seen last, and what the scanners said of them.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use settings::control::File;

use crate::auth::Caller;
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
    /// Where its bytes are to be had; empty where it was not carved.
    bytes: String,
}

/// The page.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame) -> Response {
    match crate::ask::files(&shared.control, ROWS).await {
        Ok(files) => super::render(StatusCode::OK, &Page { frame, rows: files.into_iter().map(row).collect() }),
        Err(error) => super::down(frame, crate::history::explain(&error)),
    }
}

/// Which file is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    fuid: String,
}

/// The bytes of a carved file, in an encrypted zip file.
pub(crate) async fn download(State(shared): State<Shared>, frame: Frame, caller: Caller, Query(asked): Query<Asked>) -> Response {
    let zipped = crate::quarantine::zip(&shared.control, &asked.fuid).await;
    let note = |detail: &str, done| shared.audit.note(caller.peer.address, &caller.who.name(), "file fetched", detail, done);
    match zipped {
        Ok((name, body)) => {
            note(&name, true);
            let disposition = format!("attachment; filename=\"{name}.zip\"");
            ([(header::CONTENT_TYPE, "application/zip".to_owned()), (header::CONTENT_DISPOSITION, disposition)], body).into_response()
        }
        Err(why) => {
            note(&why, false);
            let (title, status) = ("This file cannot be had", StatusCode::NOT_FOUND);
            (status, super::said(frame, title, &why, "/files", true).into_body()).into_response()
        }
    }
}

fn row(f: File) -> Row {
    let bytes = if f.extracted.is_empty() { String::new() } else { format!("/files/download?fuid={}", format::encoded(&f.fuid)) };
    Row {
        bytes,
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

    #[tokio::test]
    async fn a_carved_file_comes_in_an_encrypted_zip_file() {
        let known = File { fuid: "F1".into(), extracted: "HTTP-F1.exe".into(), ..File::default() };
        let gone = File { fuid: "F2".into(), extracted: "HTTP-F2.exe".into(), ..File::default() };
        let site = Site::open(Default::default(), Vec::new(), vec![known, gone]).await;
        let content: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        site.world().daemon(|daemon| drop(daemon.carved.insert("HTTP-F1.exe".into(), content.clone())));
        let mut browser = site.browser();
        assert!(browser.get("/files").await.body.contains("/files/download?fuid=F1"));
        let zip = browser.get("/files/download?fuid=F1").await;
        assert_eq!(zip.headers["content-disposition"], "attachment; filename=\"HTTP-F1.exe.zip\"");
        assert!(!zip.bytes.windows(64).any(|part| part == &content[..64]), "the bytes are not in the clear");
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip.bytes)).unwrap();
        let mut file = archive.by_index_decrypt(0, b"infected").unwrap();
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut read).unwrap();
        assert!(read == content && file.name().unwrap() == "HTTP-F1.exe");
        let page = browser.get("/files/download?fuid=F2").await;
        assert!(page.status == axum::http::StatusCode::NOT_FOUND && page.body.contains("not on disk any more"), "{}", page.body);
    }
}
