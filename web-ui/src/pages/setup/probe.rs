//! The links to the collector, tried one after the other, in plain words.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use settings::appliance::{self, Link, Outcome, Request};

use crate::ask::answer;
use crate::frame::Frame;
use crate::wizard::step::Visit;
use crate::wizard::{Outline, Probe};

#[derive(Template)]
#[template(path = "setup/probe.html")]
struct Page {
    frame: Frame,
    outline: Outline,
    running: bool,
    failed: bool,
    good: bool,
    error: String,
    links: Vec<LinkRow>,
}

/// A link that was tried, as a page shows it.
pub(crate) struct LinkRow {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) steps: Vec<StepRow>,
}

/// A step of it.
pub(crate) struct StepRow {
    pub(crate) name: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) class: &'static str,
    pub(crate) words: String,
}

/// Begins to try what the draft says; the page shows how it goes.
pub(crate) fn begin(visit: &Visit) {
    let text = visit.look(|wizard| wizard.draft.text());
    visit.keep(|wizard| wizard.probe = Probe::Running);
    let visit = visit.clone();
    tokio::spawn(async move {
        let answer = answer!(&visit.socket, Request::Probe { text } => appliance::Response::Probe { links } => links);
        let probe = answer.map_or_else(|error| Probe::Failed(crate::history::explain(&error)), Probe::Done);
        visit.keep(|wizard| wizard.probe = probe);
    });
}

/// How the links are.
pub(crate) async fn page(visit: Visit) -> Response {
    if let Err(response) = visit.draft().await {
        return response;
    }
    let probe = visit.look(|wizard| wizard.probe.clone());
    let mut page = Page {
        frame: visit.frame.clone(),
        outline: Outline::at("/setup/collector"),
        running: false,
        failed: false,
        good: false,
        error: String::new(),
        links: Vec::new(),
    };
    match probe {
        Probe::None => return Redirect::to("/setup/collector").into_response(),
        Probe::Running => page.running = true,
        Probe::Failed(error) => {
            page.failed = true;
            page.error = format!("The links could not be tried: {error}");
        }
        Probe::Done(links) => {
            page.failed = !links.iter().all(Link::works);
            page.good = !page.failed && !links.is_empty();
            page.links = links.into_iter().map(row).collect();
        }
    }
    super::super::render(StatusCode::OK, &page)
}

/// A link for a page.
pub(crate) fn row(link: Link) -> LinkRow {
    let steps = link.steps.into_iter().map(|step| {
        let (outcome, class) = match step.outcome {
            Outcome::Good => ("good", "good"),
            Outcome::Doubtful => ("look at it", "doubtful"),
            Outcome::Failed => ("failed", "bad"),
            Outcome::Skipped => ("not tried", "quiet"),
        };
        StepRow { name: called(&step.name), outcome, class, words: step.words }
    });
    let name = match link.name.as_str() {
        "logs" => "Logs".to_owned(),
        "sessions" => "Sessions".to_owned(),
        "packets" => "Packets".to_owned(),
        _ => link.name,
    };
    LinkRow { name, address: link.address, steps: steps.collect() }
}

fn called(step: &str) -> &'static str {
    match step {
        "settings" => "Settings",
        "name" => "Name",
        "port" => "Port",
        "tls" => "TLS",
        "credentials" => "User and password",
        "clock" => "Clock",
        "record" => "Test record",
        _ => "Other",
    }
}

/// Tries again.
pub(crate) async fn submit(visit: Visit) -> Response {
    if let Err(response) = visit.draft().await {
        return response;
    }
    if !visit.look(|wizard| matches!(wizard.probe, Probe::Running)) {
        begin(&visit);
    }
    Redirect::to("/setup/probe").into_response()
}

#[cfg(test)]
mod tests {
    use settings::appliance::{Link, Outcome, Step};

    use crate::pages::testing::{Site, certificate};

    #[tokio::test]
    async fn what_fails_is_told_in_its_own_words_and_one_can_go_on_or_try_again() {
        let site = Site::appliance().await;
        let step = |name: &str, outcome, words: &str| Step { name: name.to_owned(), outcome, words: words.to_owned() };
        let steps = vec![
            step("port", Outcome::Good, "192.0.2.9 answers on port 5044"),
            step("tls", Outcome::Failed, "the certificate is signed by another CA: <give the right one>"),
            step("record", Outcome::Skipped, ""),
        ];
        site.world().links(vec![Link { name: "logs".into(), address: "192.0.2.9:5044".into(), steps }]);
        let mut browser = site.administrator();
        let ca = certificate();
        browser.submit("/setup/collector", &[("hosts", "192.0.2.9"), ("ca", &ca), ("verify", "chain")]).await;
        let page = browser.until("/setup/probe", |page| !page.body.contains("http-equiv=\"refresh\"")).await;
        for text in [
            "Not every link works",
            "TLS: failed",
            "signed by another CA: &#60;give",
            "Test record: not tried",
            "href=\"/setup/summary\"",
            "Try again",
        ] {
            assert!(page.body.contains(text), "{text} in {}", page.body);
        }
        site.world().links(Vec::new());
        assert_eq!(browser.submit("/setup/probe", &[]).await.redirect(), "/setup/probe");
        let page = browser.until("/setup/probe", |page| !page.body.contains("http-equiv=\"refresh\"")).await;
        assert!(!page.body.contains("Not every link works"));
    }

    #[tokio::test]
    async fn without_a_collector_there_is_nothing_to_try() {
        let site = Site::appliance().await;
        assert_eq!(site.administrator().get("/setup/probe").await.redirect(), "/setup/collector");
    }
}
