//! Time servers, and how far this machine's clock is off.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use settings::Problem;
use settings::appliance::{self, Request};
use settings::edit::Draft;

use crate::ask::answer;
use crate::auth::form::Fields;
use crate::control::Control;
use crate::format;
use crate::frame::Frame;
use crate::wizard::Outline;
use crate::wizard::step::{self, Field, Visit};

/// Seconds that clocks may be apart for Arkime's central viewer to take an answer.
const TOLERANCE: f64 = 120.0;
/// Servers that are asked at once.
const MAX_ASKED: usize = 4;

const SERVERS: Field = Field {
    name: "time_servers",
    section: "system",
    key: "time_servers",
    label: "Time servers",
    help: "One name or address a line. Empty: those that DHCP names.",
    example: "",
};

#[derive(Template)]
#[template(path = "setup/time.html")]
struct Page {
    frame: Frame,
    outline: Outline,
    now: String,
    synchronized: bool,
    server: String,
    servers: Control,
    clocks: Vec<Clock>,
}

struct Clock {
    who: String,
    class: &'static str,
    words: String,
}

/// The form.
pub(crate) async fn page(visit: Visit) -> Response {
    match visit.draft().await {
        Ok(draft) => show(&visit, &draft, None, &[], Vec::new()).await,
        Err(response) => response,
    }
}

async fn show(visit: &Visit, draft: &Draft, typed: Option<&Fields>, problems: &[Problem], clocks: Vec<Clock>) -> Response {
    let state = match visit.state().await {
        Ok(state) => state,
        Err(response) => return response,
    };
    let page = Page {
        frame: visit.frame.clone(),
        outline: Outline::at("/setup/time"),
        now: format::time(state.time),
        synchronized: state.synchronized,
        server: if state.time_server.is_empty() { "a time server".to_owned() } else { state.time_server },
        servers: SERVERS.control(draft, typed, problems),
        clocks,
    };
    super::super::render(step::status(!problems.is_empty()), &page)
}

/// Asks the servers, or takes them over.
pub(crate) async fn submit(visit: Visit, fields: Fields) -> Response {
    let mut draft = match visit.draft().await {
        Ok(draft) => draft,
        Err(response) => return response,
    };
    let mut problems = step::take(&[SERVERS], &fields, &mut draft);
    problems.extend(step::wrong_with(&draft, &["system.time_servers"]));
    if !problems.is_empty() {
        return show(&visit, &draft, Some(&fields), &problems, Vec::new()).await;
    }
    if fields.get("action") == "check" {
        let clocks = ask(&visit, &draft).await;
        return show(&visit, &draft, Some(&fields), &[], clocks).await;
    }
    visit.keep(|wizard| wizard.draft = draft);
    Redirect::to("/setup/interfaces").into_response()
}

/// Asks the time servers, and the collector where it is known: what matters is that both have the same time.
async fn ask(visit: &Visit, draft: &Draft) -> Vec<Clock> {
    let servers = draft.shown("system", "time_servers");
    let mut asked: Vec<_> = servers.lines().map(|server| (server.to_owned(), server.to_owned())).take(MAX_ASKED).collect();
    if let Ok(Some(host)) = draft.check(step::PATH.as_ref()).map(|settings| settings.forward.hosts.first().cloned()) {
        asked.push((format!("the collector, {}", host.name()), host.name().to_owned()));
    }
    if asked.is_empty() {
        let words = "no time server is named: those of DHCP are used, if it names any".to_owned();
        return vec![Clock { who: "nobody".to_owned(), class: "quiet", words }];
    }
    let questions = asked.into_iter().map(|(who, server)| async move {
        let request = Request::Clock { server };
        match answer!(&visit.socket, request => appliance::Response::Clock { offset, delay, .. } => (offset, delay)) {
            Ok((offset, delay)) => clock(who, offset, delay),
            Err(error) => Clock { who, class: "bad", words: crate::history::explain(&error) },
        }
    });
    futures_util::future::join_all(questions).await
}

fn clock(who: String, offset: f64, delay: f64) -> Clock {
    let (far, direction) = (offset.abs(), if offset > 0.0 { "behind" } else { "ahead" });
    let answered = format!("answered in {:.0} ms", delay * 1000.0);
    let (class, words) = if far < 0.1 {
        ("good", format!("the same time, to a tenth of a second; {answered}"))
    } else if far < TOLERANCE {
        ("good", format!("this machine is {far:.1} seconds {direction}; {answered}"))
    } else {
        ("bad", format!("this machine is {} {direction}: it will be set right once the server is in use; {answered}", format::span(far)))
    };
    Clock { who, class, words }
}

#[cfg(test)]
mod tests {
    use crate::pages::testing::Site;

    #[tokio::test]
    async fn a_server_is_asked_and_how_far_the_clock_is_off_is_told() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        for (offset, says) in [(0.01, "the same time"), (-3.0, "3.0 seconds ahead"), (7200.0, "2 h 0 min behind")] {
            site.world().offset(offset);
            let answer = browser.submit("/setup/time", &[("time_servers", "192.0.2.1"), ("action", "check")]).await;
            assert!(answer.body.contains(says), "{says} in {}", answer.body);
        }
        let answer = browser.submit("/setup/time", &[("time_servers", "no server"), ("action", "next")]).await;
        assert!(answer.body.contains("id=\"time_servers-error\""), "{}", answer.body);
    }
}
