//! Whatever is not there.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

#[derive(Template)]
#[template(path = "missing.html")]
struct Missing;

/// 404.
pub(crate) async fn page() -> Response {
    super::render(StatusCode::NOT_FOUND, &Missing)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::{get, get_as};

    #[tokio::test]
    async fn an_unknown_page_is_said_to_be_missing() {
        let (status, policy, body) = get(std::path::Path::new("/nonexistent"), "/nothing").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(policy.starts_with("default-src 'none'"));
        assert!(body.contains("no such page"));
    }

    #[tokio::test]
    async fn a_name_that_someone_else_gave_to_our_address_gets_nothing() {
        let (status, _, body) = get_as(std::path::Path::new("/nonexistent"), "/nothing", "rebound.example").await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
        assert!(!body.contains("Tenrec"), "{body}");
    }
}
