//! `/healthz`: for whatever watches the sensor from outside.

use axum::extract::State;
use axum::http::StatusCode;

use crate::Shared;

/// 200 while the daemon answers, 503 otherwise.
pub(crate) async fn page(State(shared): State<Shared>) -> (StatusCode, String) {
    match crate::ask::status(&shared.socket).await {
        Ok(_) => (StatusCode::OK, "ok\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", crate::history::explain(&error))),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::{daemon, get};

    #[tokio::test]
    async fn health_follows_the_daemon() {
        let (folder, socket) = daemon(Default::default(), Vec::new(), Vec::new());
        assert_eq!(get(&socket, "/healthz").await.0, StatusCode::OK);
        drop(folder);
        let (status, _, body) = get(std::path::Path::new("/nonexistent"), "/healthz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("not running"), "{body}");
    }
}
