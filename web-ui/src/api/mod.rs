//! The same as the pages, as JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An answer that says what is wrong and what to do (RFC 9457).
pub(crate) fn problem(status: StatusCode, what: &str, to_do: &str) -> Response {
    let body = json!({ "type": "about:blank", "title": what, "status": status.as_u16(), "detail": to_do });
    (status, [(axum::http::header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
}
