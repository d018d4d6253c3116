//! Whom the pages answer: who asked for this machine by its address, by its own name, or for localhost.
//!
//! A page of someone else could give our address a name of its own (DNS rebinding) and read what we show; a browser tells
//! that name in `Host`.

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::Shared;

/// Passes on requests with a good `Host`, or none (no browser leaves it out); others get 421.
pub(crate) async fn check(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    if host.is_none_or(|host| is_ours(host, &settings::host_name(), &shared.names)) {
        next.run(request).await
    } else {
        let help = "ask for the sensor by its address or its own name; web.names in the settings has what other names it may have\n";
        (StatusCode::MISDIRECTED_REQUEST, help).into_response()
    }
}

/// `machine` is this machine's name: it is asked for by it, by it in `.local` (mDNS), and by its first part alone.
fn is_ours(host: &str, machine: &str, names: &[String]) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    if name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let machine = machine.to_ascii_lowercase();
    let short = machine.split('.').next().unwrap_or_default();
    !name.is_empty()
        && (name == machine
            || name == short
            || name == format!("{short}.local")
            || names.iter().any(|known| known.eq_ignore_ascii_case(&name)))
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn addresses_own_names_and_localhost_are_ours_and_no_other_name_is() {
        let names = ["sensor.example.net".to_owned()];
        for host in [
            "127.0.0.1:8080",
            "192.0.2.7",
            "[::1]:8080",
            "localhost:8080",
            "LOCALHOST",
            "tenrec-1:8443",
            "tenrec-1.local",
            "TENREC-1.site.example",
            "sensor.example.net:8443",
        ] {
            assert!(is_ours(host, "tenrec-1.site.example", &names), "{host}");
        }
        for host in [
            "",
            "example.org",
            "example.org:8080",
            "127.0.0.1.example.org",
            "[example.org]",
            "localhost.example.org:80",
            "tenrec-1.example.org",
        ] {
            assert!(!is_ours(host, "tenrec-1.site.example", &names), "{host}");
        }
    }
}
