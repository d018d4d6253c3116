//! A new password for the administrator.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use settings::Secret;
use settings::appliance::Request;

use crate::Shared;
use crate::auth::form::Fields;
use crate::auth::password;
use crate::control::Control;
use crate::frame::Frame;
use crate::machine::Machine;

#[derive(Template)]
#[template(path = "system/password.html")]
struct Page {
    frame: Frame,
    appliance: bool,
    file: String,
    error: String,
    controls: Vec<Control>,
}

/// The form.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame) -> Response {
    show(&shared, frame, StatusCode::OK, None, String::new())
}

fn show(shared: &Shared, frame: Frame, status: StatusCode, wrong: Option<(&'static str, String)>, error: String) -> Response {
    let error_of = |name| wrong.as_ref().filter(|(field, _)| *field == name).map(|(_, what)| what.clone()).unwrap_or_default();
    let controls = vec![
        Control::password("old_password", "Present password", "current-password").error(error_of("old_password")),
        Control::password("password", "New password", "new-password")
            .help(format!("At least {} characters.", password::MIN_CHARACTERS))
            .error(error_of("password")),
        Control::password("password_again", "The same again", "new-password").error(error_of("password_again")),
    ];
    let file = shared.gate.password_file().display().to_string();
    super::super::render(status, &Page { frame, appliance: shared.appliance.is_some(), file, error, controls })
}

/// Sets it, and ends the sessions of others.
pub(crate) async fn submit(State(shared): State<Shared>, machine: Machine, fields: Fields) -> Response {
    let frame = machine.frame.clone();
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    if let Err(what) = shared.gate.check(fields.get("old_password"), machine.caller.peer).await {
        machine.note("password changed", &what, false);
        return show(&shared, frame, unprocessable, Some(("old_password", what)), String::new());
    }
    if let Some(wrong) = password::refuse(fields.get("password"), fields.get("password_again")) {
        return show(&shared, frame, unprocessable, Some(wrong), String::new());
    }
    let hash = match shared.gate.hashing.hash(fields.get("password").to_owned()).await {
        Ok(hash) => hash,
        Err(error) => return show(&shared, frame, StatusCode::INTERNAL_SERVER_ERROR, None, error.to_string()),
    };
    match machine.order(Request::SetPassword { hash: Secret::from(hash) }, "password changed", "").await {
        Ok(()) => {
            shared.gate.sessions.end_others(machine.caller.who.key());
            let text = "The new password is in force, and all other sessions are over.";
            super::super::said(frame, "The password is changed", text, "/system", false)
        }
        Err(error) => show(&shared, frame, StatusCode::CONFLICT, None, error),
    }
}

#[cfg(test)]
mod tests {
    use crate::auth::password;
    use crate::pages::testing::Site;

    #[tokio::test]
    async fn a_new_password_needs_the_old_one_and_ends_other_sessions() {
        let site = Site::appliance().await;
        let file = site.folder().join("web.password");
        std::fs::write(&file, password::hash("of many words").unwrap()).unwrap();
        let (mut browser, mut other) = (site.administrator(), site.administrator());
        browser.get("/system/password").await;
        let fields = |old: &'static str| [("old_password", old), ("password", "of other words"), ("password_again", "of other words")];
        assert!(browser.submit("/system/password", &fields("a guess")).await.body.contains("id=\"old_password-error\""));
        assert!(browser.submit("/system/password", &fields("of many words")).await.body.contains("The password is changed"));
        assert!(password::Hashing::default().verify(&file, "of other words".into()).await);
        assert_eq!(other.get("/system").await.redirect(), "/login");
        assert!(browser.get("/system").await.status.is_success());
    }

    #[tokio::test]
    async fn on_a_plain_machine_the_command_line_is_named() {
        let site = Site::with_password("of many words").await;
        let page = site.administrator().get("/system/password").await.body;
        assert!(page.contains("tenrec-web password") && !page.contains("<input type=\"password\""), "{page}");
    }
}
