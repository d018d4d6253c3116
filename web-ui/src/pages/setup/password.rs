//! The administrator's first password. With it the setup code is worth nothing any more.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use settings::Secret;
use settings::appliance::Request;

use crate::auth::form::Fields;
use crate::auth::{Who, enter, password};
use crate::control::Control;
use crate::frame::Frame;
use crate::wizard::Outline;
use crate::wizard::step::Visit;

#[derive(Template)]
#[template(path = "setup/password.html")]
struct Page {
    frame: Frame,
    outline: Outline,
    live: bool,
    error: String,
    password: Control,
    again: Control,
}

/// The form.
pub(crate) async fn page(visit: Visit) -> Response {
    show(visit, StatusCode::OK, None, String::new()).await
}

async fn show(visit: Visit, status: StatusCode, wrong: Option<(&'static str, String)>, error: String) -> Response {
    // Whoever has the password is past this.
    if matches!(visit.caller.who, Who::Administrator(_)) {
        return Redirect::to("/setup/network").into_response();
    }
    let state = match visit.state().await {
        Ok(state) => state,
        Err(response) => return response,
    };
    let error_of = |name| wrong.as_ref().filter(|(field, _)| *field == name).map(|(_, what)| what.clone()).unwrap_or_default();
    let page = Page {
        frame: visit.frame.clone(),
        outline: Outline::at("/setup/password"),
        live: state.mode == "live",
        error,
        password: Control::password("password", "Password", "new-password")
            .help(format!("At least {} characters. Several words are easier to keep in mind than signs.", password::MIN_CHARACTERS))
            .error(error_of("password")),
        again: Control::password("password_again", "The same again", "new-password").error(error_of("password_again")),
    };
    super::super::render(status, &page)
}

/// Sets it; who did is the administrator from here on.
pub(crate) async fn submit(visit: Visit, fields: Fields) -> Response {
    if visit.shared.gate.has_password() {
        return Redirect::to("/login").into_response();
    }
    if let Some(wrong) = password::refuse(fields.get("password"), fields.get("password_again")) {
        return show(visit, StatusCode::UNPROCESSABLE_ENTITY, Some(wrong), String::new()).await;
    }
    let hash = match visit.shared.gate.hashing.hash(fields.get("password").to_owned()).await {
        Ok(hash) => hash,
        Err(error) => return show(visit, StatusCode::INTERNAL_SERVER_ERROR, None, error.to_string()).await,
    };
    let set = visit.order(Request::SetPassword { hash: Secret::from(hash) }, "password set", "").await;
    if let Err(error) = set {
        return show(visit, StatusCode::SERVICE_UNAVAILABLE, None, error).await;
    }
    let to = if visit.look(|wizard| wizard.imported) { "/setup/summary" } else { "/setup/network" };
    match visit.shared.gate.admit(&visit.caller) {
        Ok(id) => enter(&id, &visit.caller, to),
        Err(error) => show(visit, StatusCode::INTERNAL_SERVER_ERROR, None, error.to_string()).await,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn a_password_is_long_and_typed_twice_and_never_shown() {
        let site = Site::appliance().await;
        let mut browser = site.setup().await;
        for (password, again, says) in [("short", "short", "at least 12"), ("of many words", "of many word", "not the same")] {
            let answer = browser.submit("/setup/password", &[("password", password), ("password_again", again)]).await;
            assert!(answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.body.contains(says), "{}", answer.body);
            assert!(!answer.body.contains(&format!("\"{password}\"")));
        }
        assert!(!site.folder().join("web.password").exists());
    }

    #[tokio::test]
    async fn the_hash_is_set_and_the_session_goes_on_as_the_administrators() {
        let site = Site::appliance().await;
        let mut browser = site.setup().await;
        let before = browser.cookies.clone();
        browser.submit("/setup/password", &[("password", "of many words"), ("password_again", "of many words")]).await;
        assert!(std::fs::read_to_string(site.folder().join("web.password")).unwrap().starts_with("$argon2id$"));
        assert_eq!(browser.get("/system/audit").await.status, StatusCode::OK);
        assert_ne!(before["tenrec"], browser.cookies["tenrec"], "the session has a new id");
        browser.cookies = before;
        assert_eq!(browser.get("/setup/network").await.redirect(), "/login");
    }

    #[tokio::test]
    async fn a_system_that_runs_from_its_medium_offers_to_be_installed() {
        let site = Site::appliance().await;
        assert!(!site.setup().await.get("/setup/password").await.body.contains("/setup/install"));
        site.world().state(|state| state.mode = "live".into());
        assert!(site.setup().await.get("/setup/password").await.body.contains("/setup/install"));
    }
}
