//! Tokens by which programs ask /metrics and /api.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::auth::Caller;
use crate::auth::form::Fields;
use crate::control::Control;
use crate::frame::Frame;
use crate::{Shared, format};

#[derive(Template)]
#[template(path = "system/access.html")]
struct Page {
    frame: Frame,
    error: String,
    made: String,
    tokens: Vec<Row>,
    controls: Vec<Control>,
}

struct Row {
    name: String,
    changes: bool,
    made: String,
}

/// The tokens there are, and the form for another.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame) -> Response {
    show(&shared, frame, StatusCode::OK, "", String::new(), String::new())
}

fn show(shared: &Shared, frame: Frame, status: StatusCode, name: &str, error: String, made: String) -> Response {
    let tokens = shared.gate.tokens.list().into_iter();
    let page = Page {
        frame,
        made,
        tokens: tokens.map(|token| Row { name: token.name, changes: token.changes, made: format::time(token.made) }).collect(),
        controls: vec![
            Control::line("name", "Name").help("What it is for.").placeholder("prometheus").value(name),
            Control::tick("changes", "It may also change settings and start services again"),
        ],
        error,
    };
    super::super::render(status, &page)
}

/// Makes one; its text is on this page and never again.
pub(crate) async fn make(State(shared): State<Shared>, frame: Frame, caller: Caller, fields: Fields) -> Response {
    let (name, changes) = (fields.get("name"), fields.get("changes") == "true");
    let made = shared.gate.tokens.make(name, changes);
    shared.audit.note(caller.peer.address, &caller.who.name(), "token made", name, made.is_ok());
    match made {
        Ok(text) => show(&shared, frame, StatusCode::OK, "", String::new(), text),
        Err(error) => show(&shared, frame, StatusCode::UNPROCESSABLE_ENTITY, name, error, String::new()),
    }
}

/// Revokes one.
pub(crate) async fn revoke(State(shared): State<Shared>, frame: Frame, caller: Caller, fields: Fields) -> Response {
    let name = fields.get("name");
    let revoked = shared.gate.tokens.revoke(name);
    shared.audit.note(caller.peer.address, &caller.who.name(), "token revoked", name, revoked.is_ok());
    match revoked {
        Ok(_) => Redirect::to("/system/access").into_response(),
        Err(error) => show(&shared, frame, StatusCode::INTERNAL_SERVER_ERROR, "", error, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, StatusCode};

    use crate::pages::testing::{Browser, Site};

    async fn ask(browser: &mut Browser, token: &str, method: &str, path: &str) -> StatusCode {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        browser.ask(request, "").await.status
    }

    #[tokio::test]
    async fn a_token_opens_metrics_and_api_until_it_is_revoked_and_nothing_else() {
        let site = Site::with_password("of many words").await;
        let mut browser = site.administrator();
        let page = browser.submit("/system/access", &[("name", "prometheus")]).await.body;
        let at = page.find("tenrec_").unwrap();
        let token = page[at..].split(['<', '"']).next().unwrap().to_owned();
        assert!(!browser.get("/system/access").await.body.contains(&token), "it is shown once");
        let mut program = site.browser();
        assert_eq!(ask(&mut program, &token, "GET", "/metrics").await, StatusCode::OK);
        assert_eq!(ask(&mut program, &token, "GET", "/api/status").await, StatusCode::OK);
        assert_eq!(ask(&mut program, &token, "GET", "/system/audit").await, StatusCode::FORBIDDEN);
        assert_eq!(ask(&mut program, &token, "PUT", "/api/settings").await, StatusCode::FORBIDDEN, "it may read alone");
        assert_eq!(ask(&mut program, "tenrec_guess", "GET", "/metrics").await, StatusCode::UNAUTHORIZED);
        browser.submit("/system/access/revoke", &[("name", "prometheus")]).await;
        assert_eq!(ask(&mut program, &token, "GET", "/metrics").await, StatusCode::UNAUTHORIZED);
    }
}
