//! Whatever is not there.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::frame::Frame;

#[derive(Template)]
#[template(path = "missing.html")]
struct Missing {
    frame: Frame,
}

/// 404.
pub(crate) async fn page(frame: Frame) -> Response {
    if frame.is_beneath("/api") {
        return crate::api::problem(StatusCode::NOT_FOUND, "there is nothing at this path", "/api/openapi.json describes what there is");
    }
    super::render(StatusCode::NOT_FOUND, &Missing { frame })
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, StatusCode, header};

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn an_unknown_page_is_said_to_be_missing() {
        let site = Site::open(Default::default(), Vec::new(), Vec::new()).await;
        let page = site.browser().get("/nothing").await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        assert!(page.policy.starts_with("default-src 'none'"));
        assert!(page.body.contains("no such page"));
    }

    #[tokio::test]
    async fn a_name_that_someone_else_gave_to_our_address_gets_nothing() {
        let site = Site::open(Default::default(), Vec::new(), Vec::new()).await;
        let page = site.browser().ask(Request::get("/nothing").header(header::HOST, "rebound.example"), "").await;
        assert_eq!(page.status, StatusCode::MISDIRECTED_REQUEST);
        assert!(!page.body.contains("<html"), "{}", page.body);
    }
}
