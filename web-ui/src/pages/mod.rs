//! One file a page: its template, its handler, its tests.

pub(crate) mod assets;
pub(crate) mod audit;
pub(crate) mod connections;
pub(crate) mod export;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod interfaces;
pub(crate) mod job;
pub(crate) mod login;
pub(crate) mod missing;
pub(crate) mod packets;
pub(crate) mod settings;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod system;
#[cfg(test)]
pub(crate) mod testing;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::frame::Frame;

/// A page from its template.
fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What is shown in place of a page while whom it asks does not answer.
#[derive(Template)]
#[template(path = "down.html")]
struct Down {
    frame: Frame,
    title: &'static str,
    unit: &'static str,
    why: String,
}

/// While the daemon does not answer.
fn down(frame: Frame, why: String) -> Response {
    render(StatusCode::SERVICE_UNAVAILABLE, &Down { frame, title: "The sensor does not answer", unit: "tenrec", why })
}

/// While the appliance does not answer.
pub(crate) fn appliance_down(frame: Frame, why: String) -> Response {
    render(StatusCode::SERVICE_UNAVAILABLE, &Down { frame, title: "The appliance does not answer", unit: "tenrec-appliance", why })
}

#[derive(Template)]
#[template(path = "said.html")]
struct Said<'a> {
    frame: Frame,
    title: &'a str,
    text: &'a str,
    back: &'a str,
    bad: bool,
}

/// A page that says one thing.
pub(crate) fn said(frame: Frame, title: &str, text: &str, back: &str, bad: bool) -> Response {
    let status = if bad { StatusCode::CONFLICT } else { StatusCode::OK };
    render(status, &Said { frame, title, text, back, bad })
}

/// Where there is no appliance, and so nothing to set up.
pub(crate) fn no_appliance(frame: Frame) -> Response {
    let text = "Tenrec was not installed from its image here, so this is done on the machine itself: in /etc/tenrec/tenrec.toml, and with systemctl.";
    said(frame, "This machine is no appliance", text, "/", false)
}
