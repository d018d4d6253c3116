//! The settings as one file, to keep or to set another machine up with.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use settings::appliance::{self, Request};
use settings::edit::Draft;

use crate::ask::answer;
use crate::auth::form::Fields;
use crate::control::Control;
use crate::frame::Frame;
use crate::history::explain;
use crate::machine::Machine;
use crate::wizard::step::PATH;

#[derive(Template)]
#[template(path = "export.html")]
struct Page {
    frame: Frame,
    secrets: Control,
}

/// The form.
pub(crate) async fn page(machine: Machine) -> Response {
    let secrets = Control::tick("secrets", "With secrets")
        .help("Private keys, passwords and the hash of the administrator's password. Whoever has the file has them: keep it as a key.");
    super::render(StatusCode::OK, &Page { frame: machine.frame, secrets })
}

/// The file.
pub(crate) async fn submit(machine: Machine, fields: Fields) -> Response {
    let secrets = fields.get("secrets") == "true";
    let text = answer!(&machine.socket, Request::Settings { secrets } => appliance::Response::Settings { text } => text);
    machine.note("settings exported", if secrets { "with secrets" } else { "without secrets" }, text.is_ok());
    match text.map(|text| if secrets { text } else { without_secrets(text) }) {
        Ok(text) => {
            let name = format!("attachment; filename=\"{}-settings.toml\"", machine.frame.host);
            ([(header::CONTENT_TYPE, "application/toml"), (header::CONTENT_DISPOSITION, &name)], text).into_response()
        }
        Err(error) => machine.down(explain(&error)),
    }
}

/// Leaves out the secrets that the text itself has; what was attached without them is left as it came.
pub(crate) fn without_secrets(text: String) -> String {
    match Draft::parse(&text, PATH.as_ref()) {
        Ok(mut draft) => {
            draft.remove_secrets();
            draft.text()
        }
        // It cannot be told what in it is secret.
        Err(problem) => format!("# These settings cannot be read, so they are left out here: {problem}\n"),
    }
}

#[cfg(test)]
mod tests {
    use crate::pages::testing::Site;

    #[tokio::test]
    async fn secrets_are_in_the_file_only_when_they_are_asked_for() {
        let site = Site::appliance().await;
        site.world().put("[node]\nname = \"s7\"\n[viewer]\nsecret = \"hunter2\"\n");
        let mut browser = site.administrator();
        browser.get("/settings/export").await;
        let file = browser.submit("/settings/export", &[]).await;
        assert!(!file.body.contains("hunter2"), "{}", file.body);
        assert!(file.body.contains("s7") && file.headers["content-disposition"].to_str().unwrap().ends_with("-settings.toml\""));
        assert!(site.world().was_asked("\"secrets\":false") && !site.world().was_asked("\"secrets\":true"));
        assert!(browser.submit("/settings/export", &[("secrets", "true")]).await.body.contains("hunter2"));
        assert!(site.world().was_asked("\"secrets\":true"));
    }
}
