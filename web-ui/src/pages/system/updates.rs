//! The two slots of the system, and new versions: uploaded, or fetched from where the settings say.

use askama::Template;
use axum::extract::{DefaultBodyLimit, Multipart};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, post};
use settings::appliance::{self, Request, Slot};

use crate::Shared;
use crate::ask::answer;
use crate::frame::Frame;
use crate::history::explain;
use crate::machine::Machine;
use crate::upload::MAX_BUNDLE;

#[derive(Template)]
#[template(path = "system/updates.html")]
struct Page {
    frame: Frame,
    error: String,
    slots: Vec<Row>,
    running: bool,
    source: String,
}

struct Row {
    name: String,
    version: String,
    words: String,
}

/// The slots, and how to fill the other one.
pub(crate) async fn page(machine: Machine) -> Response {
    show(machine, String::new()).await
}

async fn show(machine: Machine, error: String) -> Response {
    let (job, draft) = match (machine.job().await, machine.in_force().await) {
        (Ok(job), Ok(draft)) => (job, draft),
        (Err(response), _) | (_, Err(response)) => return response,
    };
    let slots = match answer!(&machine.socket, Request::Slots => appliance::Response::Slots { slots } => slots) {
        Ok(slots) => slots,
        Err(error) => return machine.down(explain(&error)),
    };
    let status = crate::wizard::step::status(!error.is_empty());
    let page = Page {
        frame: machine.frame,
        error,
        running: !job.name.is_empty() && !job.over,
        slots: slots.into_iter().map(row).collect(),
        source: draft.shown("system", "update_url"),
    };
    super::super::render(status, &page)
}

fn row(slot: Slot) -> Row {
    let mut words = Vec::new();
    if slot.running {
        words.push("runs now".to_owned());
    }
    if slot.next {
        words.push("is started next".to_owned());
    }
    words.extend(slot.tries.map(|tries| format!("on trial, with {tries} starts left to prove itself")));
    let version = if slot.version.is_empty() { "empty".to_owned() } else { slot.version };
    Row { name: slot.name.to_uppercase(), version, words: words.join(", ") }
}

/// The upload, with a limit of its own.
pub(crate) fn upload() -> MethodRouter<Shared> {
    post(receive).layer(DefaultBodyLimit::max(MAX_BUNDLE))
}

async fn receive(machine: Machine, mut form: Multipart) -> Response {
    let error = loop {
        match form.next_field().await {
            Ok(Some(field)) if field.name() == Some("bundle") => {
                match crate::upload::install(&machine.shared, &machine.socket, &machine.caller, field).await {
                    Ok(()) => return Redirect::to("/job").into_response(),
                    Err(error) => break error,
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => break "choose a file".to_owned(),
            Err(error) => break format!("the upload broke off: {error}"),
        }
    };
    show(machine, error).await
}

/// Fetches the newest bundle.
pub(crate) async fn fetch(machine: Machine) -> Response {
    match machine.order(Request::Fetch, "update fetched", "").await {
        Ok(()) => Redirect::to("/job").into_response(),
        Err(error) => show(machine, error).await,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, StatusCode};

    use crate::pages::testing::{Browser, Page, Site};

    async fn upload(browser: &mut Browser, csrf: &str, bytes: &str) -> Page {
        let body = format!("--b\r\nContent-Disposition: form-data; name=\"bundle\"; filename=\"x.tenrec\"\r\n\r\n{bytes}\r\n--b--\r\n");
        let request =
            Request::post(format!("/system/updates/upload?csrf={csrf}")).header("content-type", "multipart/form-data; boundary=b");
        browser.ask(request, body).await
    }

    #[tokio::test]
    async fn a_bundle_goes_to_disk_as_it_comes_and_is_handed_over() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        let page = browser.get("/system/updates").await.body;
        assert!(page.contains("runs now, is started next") && page.contains("0.0.9"), "{page}");
        let csrf = browser.csrf();
        assert_eq!(upload(&mut browser, "guessed", "bundle").await.status, StatusCode::FORBIDDEN);
        assert!(!site.folder().join("update.tenrec").exists());
        let bundle = "x".repeat(3 << 20);
        assert_eq!(upload(&mut browser, &csrf, &bundle).await.redirect(), "/job");
        assert_eq!(std::fs::read_to_string(site.folder().join("update.tenrec")).unwrap(), bundle);
        assert!(site.world().was_asked("\"request\":\"update\""));
        let empty = upload(&mut browser, &csrf, "").await;
        assert!(empty.status == StatusCode::UNPROCESSABLE_ENTITY && empty.body.contains("choose a file"), "{}", empty.body);
    }

    #[tokio::test]
    async fn the_newest_is_fetched_where_the_settings_say_from_where() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        assert!(!browser.get("/system/updates").await.body.contains("action=\"/system/updates/fetch\""));
        site.world().put("[system]\nupdate_url = \"https://updates.example.org/\"\n");
        assert!(browser.get("/system/updates").await.body.contains("action=\"/system/updates/fetch\""));
        assert_eq!(browser.submit("/system/updates/fetch", &[]).await.redirect(), "/job");
    }
}
