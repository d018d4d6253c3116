//! A file for whoever helps.

use askama::Template;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use settings::appliance::{self, Request};
use tokio::io::AsyncReadExt as _;

use crate::ask::answer;
use crate::frame::Frame;
use crate::history::explain;
use crate::machine::Machine;

/// Bytes of a block.
const BLOCK: usize = 64 << 10;

#[derive(Template)]
#[template(path = "system/support.html")]
struct Page {
    frame: Frame,
}

/// The form.
pub(crate) async fn page(machine: Machine) -> Response {
    super::super::render(StatusCode::OK, &Page { frame: machine.frame })
}

/// The file.
pub(crate) async fn submit(machine: Machine) -> Response {
    let ready = answer!(&machine.socket, Request::Support => appliance::Response::Ready { path } => path);
    machine.note("support file made", "", ready.is_ok());
    let path = match ready {
        Ok(path) => path,
        Err(error) => return machine.down(explain(&error)),
    };
    let file = match tokio::fs::File::open(&path).await {
        Ok(file) => file,
        Err(error) => return machine.down(format!("the support file {path} cannot be read: {error}")),
    };
    let blocks = stream::try_unfold(file, |mut file| async move {
        let mut block = Vec::with_capacity(BLOCK);
        let read = file.read_buf(&mut block).await?;
        Ok::<_, std::io::Error>((read > 0).then_some((block, file)))
    });
    let name = format!("attachment; filename=\"{}-support.zip\"", machine.frame.host);
    ([(header::CONTENT_TYPE, "application/zip"), (header::CONTENT_DISPOSITION, &name)], Body::from_stream(blocks)).into_response()
}

#[cfg(test)]
mod tests {
    use crate::pages::testing::Site;

    #[tokio::test]
    async fn the_file_is_made_and_handed_on() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        browser.get("/system/support").await;
        let file = browser.submit("/system/support", &[]).await;
        assert_eq!((file.bytes.as_slice(), file.headers["content-type"].as_bytes()), (&b"PK made up"[..], &b"application/zip"[..]));
    }
}
