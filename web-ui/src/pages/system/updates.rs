//! The two slots of the system, and new versions: uploaded, or fetched from where the settings say.
//!
//! A bundle goes to disk as it comes. Whether it is signed is found out by `tenrec-appliance`, which trusts no one here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use askama::Template;
use axum::extract::{DefaultBodyLimit, Multipart, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, post};
use settings::appliance::{self, Request, Slot};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use crate::Shared;
use crate::ask::answer;
use crate::frame::Frame;
use crate::history::explain;
use crate::machine::Machine;

/// Bytes of a bundle: more than three times an image of today.
const MAX_BUNDLE: usize = 1 << 30;
/// How long the next piece of an upload may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One upload at a time: there is one place for it.
static UPLOADING: Mutex<()> = Mutex::const_new(());

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

async fn receive(State(shared): State<Shared>, machine: Machine, form: Multipart) -> Response {
    let Some(folder) = &shared.state else {
        return show(machine, "there is no folder for uploads: start tenrec-web with --state".to_owned()).await;
    };
    let Ok(_turn) = UPLOADING.try_lock() else {
        return show(machine, "another upload is under way: wait for its end".to_owned()).await;
    };
    let place = folder.join(Path::new(appliance::UPLOAD).file_name().unwrap_or_default());
    if let Err(error) = store(form, &place).await {
        drop(tokio::fs::remove_file(&place).await);
        machine.note("update uploaded", &error, false);
        return show(machine, error).await;
    }
    match machine.order(Request::Update, "update uploaded", "").await {
        Ok(()) => Redirect::to("/job").into_response(),
        Err(error) => {
            drop(tokio::fs::remove_file(&place).await);
            show(machine, error).await
        }
    }
}

/// Writes the first file of a form to its place.
async fn store(mut form: Multipart, place: &PathBuf) -> Result<(), String> {
    let lost = |error: &dyn std::fmt::Display| format!("the upload broke off: {error}");
    let disk = |error: std::io::Error| format!("the upload cannot be written: {error}");
    let late = |_| "the upload broke off: nothing came for a minute".to_owned();
    let mut file = loop {
        match tokio::time::timeout(PATIENCE, form.next_field()).await.map_err(late)?.map_err(|error| lost(&error))? {
            Some(field) if field.name() == Some("bundle") => break field,
            Some(_) => {}
            None => return Err("choose a file".to_owned()),
        }
    };
    let mut out = tokio::fs::File::create(place).await.map_err(disk)?;
    let mut bytes = 0_usize;
    while let Some(piece) = tokio::time::timeout(PATIENCE, file.chunk()).await.map_err(late)?.map_err(|error| lost(&error))? {
        bytes += piece.len();
        if bytes > MAX_BUNDLE {
            return Err(format!("this is longer than a bundle can be ({MAX_BUNDLE} bytes)"));
        }
        out.write_all(&piece).await.map_err(disk)?;
    }
    if bytes == 0 {
        return Err("choose a file".to_owned());
    }
    out.sync_all().await.map_err(disk)
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
