//! Answers in OpenSearch's shape.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

/// What is refused: the status, OpenSearch's name of the error, its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Self {
        Self { status, kind, reason: reason.into() }
    }

    pub(crate) fn illegal(reason: impl Into<String>) -> Self {
        Self::new(400, "illegal_argument_exception", reason)
    }

    pub(crate) fn parsing(reason: impl Into<String>) -> Self {
        Self::new(400, "parsing_exception", reason)
    }

    /// The disk does not take it.
    pub(crate) fn disk(error: &std::io::Error) -> Self {
        Self::new(500, "translog_exception", format!("cannot be written: {error}"))
    }

    /// The error of one item of a bulk request.
    pub(crate) fn error(&self) -> Value {
        json!({"type": self.kind, "reason": self.reason})
    }

    /// The answer to a whole request.
    pub(crate) fn answer(&self) -> (u16, Value) {
        let cause = self.error();
        (self.status, json!({"error": {"root_cause": [cause], "type": self.kind, "reason": self.reason}, "status": self.status}))
    }
}

/// JSON with a status.
pub(crate) fn json_response(status: u16, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    response
}

/// What the proxy in front of OpenSearch says: no JSON.
pub(crate) fn proxy_response(status: u16, reason: &str) -> Response {
    let mut response = Response::new(Body::from(format!("<html><head><title>{status} {reason}</title></head></html>\r\n")));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}
