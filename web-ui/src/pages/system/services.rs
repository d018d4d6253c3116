//! The services: their state, their journal, and starting them again.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use settings::appliance::{self, Request, Service, UNITS};

use crate::ask::answer;
use crate::format;
use crate::frame::Frame;
use crate::history::explain;
use crate::machine::Machine;

/// Lines of the journal that are shown.
const LINES: u32 = 200;

/// Whose end is the end of the conversation about it: nothing is left to answer.
const ENDS_THE_CONVERSATION: &[&str] = &["tenrec-web.service", "tenrec-appliance.service"];

#[derive(Template)]
#[template(path = "system/services.html")]
struct Page {
    frame: Frame,
    said: String,
    services: Vec<Row>,
}

struct Row {
    unit: String,
    description: String,
    state: String,
    class: &'static str,
    since: String,
    memory: String,
    restarts: u32,
}

/// What was done, to be said on the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Done {
    restarted: String,
}

/// The list.
pub(crate) async fn page(machine: Machine, Query(done): Query<Done>) -> Response {
    match answer!(&machine.socket, Request::Services => appliance::Response::Services { services } => services) {
        Ok(services) => {
            let said =
                if UNITS.contains(&done.restarted.as_str()) { format!("{} was started again.", done.restarted) } else { String::new() };
            let page = Page { frame: machine.frame, said, services: services.into_iter().map(row).collect() };
            super::super::render(StatusCode::OK, &page)
        }
        Err(error) => machine.down(explain(&error)),
    }
}

fn row(service: Service) -> Row {
    let class = match service.state.as_str() {
        "active" | "activating" | "reloading" => "good",
        "failed" => "bad",
        _ => "quiet",
    };
    Row {
        state: format!("{} ({})", service.state, service.substate),
        class,
        since: if service.since > 0.0 { format::time(service.since) } else { "–".to_owned() },
        memory: service.memory.map_or_else(|| "–".to_owned(), format::bytes),
        restarts: service.restarts,
        unit: service.unit,
        description: service.description,
    }
}

#[derive(Template)]
#[template(path = "system/journal.html")]
struct Journal {
    frame: Frame,
    unit: String,
    lines: Vec<String>,
}

/// The journal of one.
pub(crate) async fn journal(machine: Machine, Path(unit): Path<String>) -> Response {
    if !UNITS.contains(&unit.as_str()) {
        return super::super::missing::page(machine.frame).await;
    }
    let request = Request::Journal { unit: unit.clone(), lines: LINES };
    match answer!(&machine.socket, request => appliance::Response::Journal { lines } => lines) {
        Ok(lines) => super::super::render(StatusCode::OK, &Journal { frame: machine.frame, unit, lines }),
        Err(error) => machine.down(explain(&error)),
    }
}

/// Starts one again.
pub(crate) async fn restart(machine: Machine, Path(unit): Path<String>) -> Response {
    if !UNITS.contains(&unit.as_str()) {
        return super::super::missing::page(machine.frame).await;
    }
    let request = Request::RestartService { unit: unit.clone() };
    if ENDS_THE_CONVERSATION.contains(&unit.as_str()) {
        let frame = machine.frame.clone();
        tokio::spawn(async move { machine.order(request, "service started again", &unit).await });
        let text = "It takes a moment, and sessions are over if it is the web UI.";
        return super::super::said(frame, "The service is started again", text, "/system/services", false);
    }
    match machine.order(request, "service started again", &unit).await {
        Ok(()) => Redirect::to(&format!("/system/services?restarted={unit}")).into_response(),
        Err(error) => super::super::said(machine.frame, "The service was not started again", &error, "/system/services", true),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn services_are_listed_restarted_and_their_journal_is_read() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        let page = browser.get("/system/services").await.body;
        assert!(page.contains("active (running)") && page.contains("inactive (dead)"), "{page}");
        let journal = browser.get("/system/services/tenrec.service").await.body;
        assert!(journal.contains("tenrec.service &#60;started&#62;"), "{journal}");
        let to = browser.submit("/system/services/tenrec.service/restart", &[]).await;
        assert_eq!(to.redirect(), "/system/services?restarted=tenrec.service");
        assert!(browser.get("/system/services?restarted=tenrec.service").await.body.contains("was started again"));
        assert!(site.world().was_asked("\"request\":\"restart_service\",\"unit\":\"tenrec.service\""));
        assert!(browser.submit("/system/services/tenrec-web.service/restart", &[]).await.body.contains("is started again"));
        assert_eq!(browser.get("/system/services/sshd.service").await.status, StatusCode::NOT_FOUND);
        assert_eq!(browser.submit("/system/services/cron.service/restart", &[]).await.status, StatusCode::NOT_FOUND);
    }
}
