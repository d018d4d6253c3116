//! Who did what, from where, and when.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::audit::Entry;
use crate::frame::Frame;
use crate::{Shared, format};

/// Rows that are shown.
const ROWS: usize = 200;

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    entries: Vec<(String, Entry)>,
}

/// The page.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame) -> Response {
    let entries = shared.audit.last(ROWS).into_iter().map(|entry| (format::time(entry.time), entry)).collect();
    super::render(StatusCode::OK, &Page { frame, entries })
}

#[cfg(test)]
mod tests {
    use crate::pages::testing::Site;

    #[tokio::test]
    async fn a_failed_login_is_on_the_page_with_its_address() {
        let site = Site::with_password("of many words").await;
        let mut stranger = site.browser();
        stranger.get("/login").await;
        stranger.submit("/login", &[("password", "guess")]).await;
        let page = site.administrator().get("/system/audit").await;
        assert!(page.body.contains("192.0.2.9") && page.body.contains("login") && page.body.contains("refused"), "{}", page.body);
        assert!(!page.body.contains("guess"));
    }
}
