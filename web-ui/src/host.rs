//! Whom the pages answer: who asked for this machine by its address, or for localhost.
//!
//! A page of someone else could give our address a name of its own (DNS rebinding) and read what we show; a browser tells
//! that name in `Host`.

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Passes on requests with a good `Host`, or none (no browser leaves it out); others get 421.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    if host.is_none_or(is_ours) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "ask for the sensor by its address, or for localhost\n").into_response()
    }
}

fn is_ours(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn addresses_and_localhost_are_ours_and_no_other_name_is() {
        for host in ["127.0.0.1:8080", "192.0.2.7", "[::1]:8080", "localhost:8080", "LOCALHOST"] {
            assert!(is_ours(host), "{host}");
        }
        for host in ["", "example.org", "example.org:8080", "127.0.0.1.example.org", "[example.org]", "localhost.example.org:80"] {
            assert!(!is_ours(host), "{host}");
        }
    }
}
