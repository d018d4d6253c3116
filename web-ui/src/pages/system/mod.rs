//! The machine under the sensor, one file a page.

pub(crate) mod access;
pub(crate) mod password;
pub(crate) mod power;
pub(crate) mod services;
pub(crate) mod support;
pub(crate) mod updates;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use settings::appliance::{self, Encryption, Request};

use crate::ask::answer;
use crate::frame::Frame;
use crate::history::explain;
use crate::{Shared, format};

#[derive(Template)]
#[template(path = "system/overview.html")]
struct Page {
    frame: Frame,
    appliance: bool,
    error: String,
    live: bool,
    rows: Vec<(&'static str, String)>,
}

/// What the machine is, and where the other pages are.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame) -> Response {
    let mut page = Page { frame, appliance: shared.appliance.is_some(), error: String::new(), live: false, rows: Vec::new() };
    if let Some(socket) = &shared.appliance {
        match answer!(socket, Request::State => appliance::Response::State(state) => *state) {
            Ok(state) => {
                page.live = state.mode == "live";
                page.rows = rows(state);
            }
            Err(error) => page.error = explain(&error),
        }
    }
    super::render(StatusCode::OK, &page)
}

fn rows(state: appliance::State) -> Vec<(&'static str, String)> {
    let data = match (state.data, state.encryption) {
        (false, _) => "nowhere: all is lost when the machine is switched off".to_owned(),
        (true, Encryption::None) => "on disk, not encrypted".to_owned(),
        (true, Encryption::Passphrase) => "on disk, encrypted with a passphrase".to_owned(),
        (true, Encryption::Tpm2) => "on disk, encrypted by the TPM".to_owned(),
    };
    let clock = match (state.synchronized, state.time_server.is_empty()) {
        (true, false) => format!("{} UTC, follows {}", format::time(state.time), state.time_server),
        (true, true) => format!("{} UTC, follows a time server", format::time(state.time)),
        (false, _) => format!("{} UTC, follows no time server", format::time(state.time)),
    };
    let system = if state.slot.is_empty() { "runs from its medium".to_owned() } else { format!("installed, slot {}", state.slot) };
    let mut rows = vec![
        ("Name", state.host_name),
        ("Version", state.version),
        ("System", system),
        ("Management", format!("{}, {}", state.management, state.addresses.join(", "))),
        ("Certificate (SHA-256)", state.fingerprint),
        ("Clock", clock),
        ("Up for", format::span(state.uptime)),
        ("Data", data),
        ("Disk", format!("{} free of {}", format::bytes(state.data_free), format::bytes(state.data_bytes))),
        ("Memory", format!("{} used of {}", format::bytes(state.memory_used), format::bytes(state.memory_bytes))),
        ("Processors", format!("{:.0} % in use", state.cpu * 100.0)),
    ];
    rows.extend(state.temperature.map(|degrees| ("Temperature", format!("{degrees:.0} °C"))));
    rows
}

#[cfg(test)]
mod tests {
    use crate::pages::testing::Site;

    #[tokio::test]
    async fn the_machine_is_described_and_a_plain_one_has_the_pages_that_it_can_have() {
        let site = Site::appliance().await;
        let page = site.administrator().get("/system").await.body;
        for text in ["12:34:56", "192.0.2.50/24", "follows 192.0.2.1", "/system/updates", "/system/power"] {
            assert!(page.contains(text), "{text} in {page}");
        }
        let site = Site::with_password("of many words").await;
        let page = site.administrator().get("/system").await.body;
        assert!(page.contains("/system/audit") && !page.contains("/system/updates"), "{page}");
    }
}
