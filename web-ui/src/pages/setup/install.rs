//! Installation to a disk of this machine, from the system that runs from its medium.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use settings::Secret;
use settings::appliance::{self, DiskFound, Encryption, Install, Request};

use crate::ask::answer;
use crate::auth::form::Fields;
use crate::control::Control;
use crate::format;
use crate::frame::Frame;
use crate::pages::job::{self, View};
use crate::wizard::step::{self, Visit};

/// Characters of a passphrase at least, as `tenrec-appliance` wants it.
const MIN_PASSPHRASE: usize = 12;

#[derive(Template)]
#[template(path = "setup/install.html")]
struct Page {
    frame: Frame,
    error: String,
    disks: Vec<Disk>,
    controls: Vec<Control>,
}

struct Disk {
    id: String,
    size: String,
    model: String,
    serial: String,
    contents: Vec<String>,
    refused: String,
    chosen: bool,
}

/// The disks.
pub(crate) async fn page(visit: Visit) -> Response {
    show(&visit, None, Vec::new(), String::new()).await
}

async fn show(visit: &Visit, typed: Option<&Fields>, wrong: Vec<(&'static str, String)>, error: String) -> Response {
    match visit.state().await {
        Ok(state) if state.mode == "live" => {}
        Ok(_) => {
            return crate::pages::said(
                visit.frame.clone(),
                "This system is installed",
                "It runs from the disk of this machine.",
                "/",
                false,
            );
        }
        Err(response) => return response,
    }
    let answer = answer!(&visit.socket, Request::Disks => appliance::Response::Disks { disks } => disks);
    let disks = match answer {
        Ok(disks) => disks,
        Err(error) => return crate::pages::appliance_down(visit.frame.clone(), crate::history::explain(&error)),
    };
    let get = |name: &str| typed.map(|typed| typed.get(name)).unwrap_or_default();
    let error_of = |name| wrong.iter().filter(|(field, _)| *field == name).map(|(_, what)| what.clone()).next().unwrap_or_default();
    let encryption = [
        ("none", "not encrypted"),
        ("passphrase", "encrypted: a passphrase is typed on the console at each start"),
        ("tpm2", "encrypted: unlocked by this machine's TPM"),
    ];
    let controls = vec![
        Control::choice("encryption", "Data on the disk", encryption).value(get("encryption")).error(error_of("encryption")),
        Control::password("passphrase", "Passphrase", "new-password")
            .help(format!("For the encryption with a passphrase: at least {MIN_PASSPHRASE} characters. Without it the data is lost."))
            .error(error_of("passphrase")),
        Control::password("passphrase_again", "The same again", "new-password").error(error_of("passphrase_again")),
        Control::tick("confirm", "What is on the disk may be lost").error(error_of("confirm")),
    ];
    let status = step::status(!wrong.is_empty() || !error.is_empty());
    let chosen = get("disk");
    let disks = disks.into_iter().map(|disk| row(disk, chosen)).collect();
    let error = error_of("disk") + &error;
    super::super::render(status, &Page { frame: visit.frame.clone(), error, disks, controls })
}

fn row(disk: DiskFound, chosen: &str) -> Disk {
    Disk {
        chosen: disk.id == chosen,
        size: format::bytes(disk.bytes),
        id: disk.id,
        model: disk.model,
        serial: disk.serial,
        contents: disk.contents,
        refused: disk.refused,
    }
}

/// Begins it.
pub(crate) async fn submit(visit: Visit, fields: Fields) -> Response {
    let encryption = match fields.get("encryption") {
        "passphrase" => Encryption::Passphrase,
        "tpm2" => Encryption::Tpm2,
        _ => Encryption::None,
    };
    let (disk, passphrase) = (fields.get("disk"), fields.get("passphrase"));
    let mut wrong = Vec::new();
    if disk.is_empty() {
        wrong.push(("disk", "choose a disk".to_owned()));
    }
    if encryption == Encryption::Passphrase {
        if passphrase.chars().count() < MIN_PASSPHRASE {
            wrong.push(("passphrase", format!("at least {MIN_PASSPHRASE} characters, please")));
        } else if passphrase != fields.get("passphrase_again") {
            wrong.push(("passphrase_again", "this is not the same as above".to_owned()));
        }
    }
    if fields.get("confirm") != "true" {
        wrong.push(("confirm", "say that what is on the disk may be lost".to_owned()));
    }
    if !wrong.is_empty() {
        return show(&visit, Some(&fields), wrong, String::new()).await;
    }
    let passphrase = if encryption == Encryption::Passphrase { passphrase } else { "" };
    let install = Install { disk: disk.to_owned(), encryption, passphrase: Secret::from(passphrase.to_owned()) };
    let ordered = visit.order(Request::Install(install), "installation begun", disk).await;
    match ordered {
        Ok(()) => Redirect::to("/setup/installing").into_response(),
        Err(error) => show(&visit, Some(&fields), Vec::new(), error).await,
    }
}

#[derive(Template)]
#[template(path = "setup/installed.html")]
struct Installed {
    frame: Frame,
    job: View,
}

/// How far it is.
pub(crate) async fn installing(visit: Visit) -> Response {
    let job = match visit.job().await {
        Ok(job) => View::of(job),
        Err(response) => return response,
    };
    if job.over && job.error.is_empty() {
        return super::super::render(StatusCode::OK, &Installed { frame: visit.frame.clone(), job });
    }
    let links = vec![("/setup/install", "Back to the disks")];
    super::super::render(StatusCode::OK, &job::Page { frame: visit.frame.clone(), title: "Installation", job, note: String::new(), links })
}

/// Starts the machine again, once it is installed.
pub(crate) async fn reboot(visit: Visit) -> Response {
    let job = visit.job().await;
    if !job.is_ok_and(|job| job.name == "install" && job.over && job.error.is_empty()) {
        return Redirect::to("/setup/install").into_response();
    }
    let ordered = visit.order(Request::Reboot, "reboot", "after the installation").await;
    match ordered {
        Ok(()) => crate::pages::said(
            visit.frame.clone(),
            "The machine starts again",
            "Remove the medium. The console shows the address when it is up.",
            "/",
            false,
        ),
        Err(error) => crate::pages::said(visit.frame.clone(), "The machine does not start again", &error, "/setup/installing", true),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn a_disk_is_chosen_confirmed_and_installed_to() {
        let site = Site::appliance().await;
        site.world().state(|state| state.mode = "live".into());
        let mut browser = site.setup().await;
        let page = browser.get("/setup/install").await;
        for text in ["vda", "serial number S7", "ext4", "too small"] {
            assert!(page.body.contains(text), "{text} in {}", page.body);
        }
        let answer = browser.submit("/setup/install", &[("encryption", "passphrase"), ("passphrase", "short")]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        for text in ["choose a disk", "id=\"passphrase-error\"", "id=\"confirm-error\""] {
            assert!(answer.body.contains(text), "{text} in {}", answer.body);
        }
        assert_eq!(browser.submit("/setup/reboot", &[]).await.redirect(), "/setup/install", "nothing is installed yet");
        let typed = [
            ("disk", "vda"),
            ("encryption", "passphrase"),
            ("passphrase", "of many words"),
            ("passphrase_again", "of many words"),
            ("confirm", "true"),
        ];
        assert_eq!(browser.submit("/setup/install", &typed).await.redirect(), "/setup/installing");
        let done = browser.until("/setup/installing", |page| page.body.contains("is installed")).await;
        assert!(done.body.contains("action=\"/setup/reboot\""));
        browser.submit("/setup/reboot", &[]).await;
        assert!(site.world().was_asked("\"request\":\"reboot\"") && site.world().was_asked("of many words"));
    }

    #[tokio::test]
    async fn an_installed_system_is_not_installed_again() {
        let site = Site::appliance().await;
        assert!(site.administrator().get("/setup/install").await.body.contains("This system is installed"));
    }
}
