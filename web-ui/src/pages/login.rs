//! Log in with the password, and out.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::Shared;
use crate::auth::form::Fields;
use crate::auth::{Caller, Who, enter, leave};
use crate::control::Control;
use crate::frame::Frame;

#[derive(Template)]
#[template(path = "login.html")]
struct Page {
    frame: Frame,
    has_password: bool,
    appliance: bool,
    file: String,
    password: Control,
}

/// The form, or how there comes to be a password.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame, caller: Caller) -> Response {
    match caller.who {
        Who::Administrator(_) | Who::Open => Redirect::to("/").into_response(),
        _ if shared.gate.wants_code() => Redirect::to("/setup/code").into_response(),
        _ => show(&shared, frame, StatusCode::OK, String::new()),
    }
}

fn show(shared: &Shared, frame: Frame, status: StatusCode, error: String) -> Response {
    let page = Page {
        frame,
        has_password: shared.gate.has_password(),
        appliance: shared.appliance.is_some(),
        file: shared.gate.password_file().display().to_string(),
        password: Control::password("password", "Password", "current-password").error(error),
    };
    super::render(status, &page)
}

/// Begins a session.
pub(crate) async fn submit(State(shared): State<Shared>, frame: Frame, caller: Caller, fields: Fields) -> Response {
    match shared.gate.check(fields.get("password"), caller.peer).await {
        Ok(()) => match shared.gate.admit(&caller) {
            Ok(id) => {
                shared.audit.note(caller.peer.address, "administrator", "login", "", true);
                enter(&id, &caller, "/")
            }
            Err(error) => show(&shared, frame, StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        Err(error) => {
            shared.audit.note(caller.peer.address, "nobody", "login", &error, false);
            let status = if error.starts_with("too many") { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::FORBIDDEN };
            show(&shared, frame, status, error)
        }
    }
}

/// Ends it.
pub(crate) async fn logout(State(shared): State<Shared>, caller: Caller) -> Response {
    shared.audit.note(caller.peer.address, &caller.who.name(), "logout", "", true);
    leave(&shared.gate, &caller)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn the_password_opens_every_page_and_logging_out_closes_them() {
        let site = Site::with_password("of many words").await;
        let mut browser = site.browser();
        assert_eq!(browser.get("/files").await.redirect(), "/login");
        let page = browser.get("/login").await;
        let wrong = browser.submit("/login", &[("password", "of few words")]).await;
        assert!(
            page.status == StatusCode::OK && wrong.status == StatusCode::FORBIDDEN && wrong.body.contains("not the password"),
            "{}",
            wrong.body
        );
        assert!(!wrong.body.contains("of few words"));
        assert_eq!(browser.submit("/login", &[("password", "of many words")]).await.redirect(), "/");
        assert!(browser.cookies.contains_key("tenrec") && browser.last_cookie.contains("HttpOnly; SameSite=Strict"));
        assert_eq!(browser.get("/system/audit").await.status, StatusCode::OK);
        let stolen = browser.cookies.clone();
        browser.get("/system/audit").await;
        assert_eq!(browser.submit("/logout", &[]).await.redirect(), "/login");
        browser.cookies = stolen;
        assert_eq!(browser.get("/system/audit").await.redirect(), "/login", "the session is over on this side too");
    }

    #[tokio::test]
    async fn guessing_is_slowed_down() {
        let site = Site::with_password("of many words").await;
        let mut browser = site.browser();
        browser.get("/login").await;
        for _ in 0..5 {
            assert_eq!(browser.submit("/login", &[("password", "x")]).await.status, StatusCode::FORBIDDEN);
        }
        let answer = browser.submit("/login", &[("password", "of many words")]).await;
        assert!(answer.status == StatusCode::TOO_MANY_REQUESTS && answer.body.contains("seconds"), "{}", answer.body);
    }

    #[tokio::test]
    async fn without_a_password_the_page_says_how_to_set_one() {
        let site = Site::plain().await;
        let page = site.browser().get("/login").await;
        assert!(page.body.contains("tenrec-web password") && !page.body.contains("<input type=\"password\""), "{}", page.body);
    }
}
