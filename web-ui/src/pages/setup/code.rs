//! The first step: the one-time code that the console shows.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::Shared;
use crate::auth::form::Fields;
use crate::auth::{Caller, Who, enter};
use crate::control::Control;
use crate::frame::Frame;
use crate::wizard::Outline;

#[derive(Template)]
#[template(path = "setup/code.html")]
struct Page {
    frame: Frame,
    outline: Outline,
    code: Control,
}

/// The form.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame, caller: Caller) -> Response {
    match caller.who {
        Who::Setup(_) => Redirect::to("/setup/password").into_response(),
        Who::Administrator(_) => Redirect::to("/setup/network").into_response(),
        _ if !shared.gate.wants_code() => Redirect::to("/login").into_response(),
        _ => show(frame, StatusCode::OK, "", String::new()),
    }
}

fn show(frame: Frame, status: StatusCode, typed: &str, error: String) -> Response {
    let code = Control::line("code", "Setup code")
        .help("Ten characters in two groups; upper or lower case, with or without the space.")
        .value(typed)
        .error(error);
    super::super::render(status, &Page { frame, outline: Outline::at("/setup/code"), code })
}

/// Begins the session of the setup.
pub(crate) async fn submit(State(shared): State<Shared>, frame: Frame, caller: Caller, fields: Fields) -> Response {
    let typed = fields.get("code");
    match shared.gate.setup(typed, &caller) {
        Ok(id) => {
            shared.audit.note(caller.peer.address, "setup", "setup code given", "", true);
            enter(&id, &caller, "/setup/password")
        }
        Err(error) => {
            shared.audit.note(caller.peer.address, "nobody", "setup code given", &error, false);
            let shown = typed.chars().take(32).collect::<String>();
            show(frame, StatusCode::FORBIDDEN, &shown, error)
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn a_wrong_code_is_refused_and_guessing_is_slowed_down() {
        let site = Site::appliance().await;
        let mut browser = site.browser();
        browser.get("/setup/code").await;
        for _ in 0..5 {
            let answer = browser.submit("/setup/code", &[("code", "ABCDE-FGHJL")]).await;
            assert!(answer.status == StatusCode::FORBIDDEN && answer.body.contains("not the code"), "{}", answer.body);
        }
        assert!(browser.submit("/setup/code", &[("code", "ABCDE-FGHJK")]).await.body.contains("too many attempts"));
    }

    #[tokio::test]
    async fn the_code_is_worth_nothing_once_there_is_a_password() {
        let site = Site::appliance().await;
        let mut browser = site.browser();
        browser.get("/setup/code").await;
        std::fs::write(site.folder().join("web.password"), crate::auth::password::hash("of many words").unwrap()).unwrap();
        assert_eq!(browser.submit("/setup/code", &[("code", "ABCDE-FGHJK")]).await.status, StatusCode::FORBIDDEN);
        assert_eq!(browser.get("/setup/code").await.redirect(), "/login");
    }
}
