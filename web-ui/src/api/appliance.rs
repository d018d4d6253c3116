//! What the appliance knows and does.

use std::path::{Path as FilePath, PathBuf};

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use settings::appliance::{self, Job, JobStep, Link, Outcome, Request, Service, Slot, Step, UNITS};
use settings::control::ClientError;
use settings::edit::Draft;

use super::{Params, answer, example, problem, problems};
use crate::Shared;
use crate::ask::answer as ask;
use crate::audit::Entry;
use crate::auth::Caller;
use crate::history::explain;
use crate::pages::export::without_secrets;
use crate::wizard::step::PATH;

/// Rows of the audit log.
const ROWS: usize = 1000;

/// A request to a machine that is an appliance.
pub(super) struct Appliance {
    shared: Shared,
    caller: Caller,
    socket: PathBuf,
}

impl FromRequestParts<Shared> for Appliance {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let caller = Caller::from_request_parts(parts, shared).await.map_err(IntoResponse::into_response)?;
        let help = "change /etc/tenrec/tenrec.toml on the machine itself, and use systemctl";
        let Some(socket) = shared.appliance.clone() else {
            return Err(problem(StatusCode::NOT_IMPLEMENTED, "this machine is no appliance", help));
        };
        Ok(Self { shared: shared.clone(), caller, socket })
    }
}

impl Appliance {
    async fn order(&self, request: Request, what: &str, detail: &str) -> Result<(), Response> {
        let ordered = crate::machine::order(&self.shared, &self.socket, &self.caller, request, what, detail).await;
        ordered.map_err(|why| problem(StatusCode::CONFLICT, &why, "see /api/job for what is under way, and /api/system"))
    }
}

/// While the appliance does not answer, or refuses.
pub(super) fn down(error: &ClientError) -> Response {
    let status = if matches!(error, ClientError::Refused(_)) { StatusCode::CONFLICT } else { StatusCode::SERVICE_UNAVAILABLE };
    problem(status, &explain(error), "`journalctl -u tenrec-appliance` has more")
}

fn begun() -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "job": "/api/job" }))).into_response()
}

/// A text of settings.
#[derive(Debug, Deserialize)]
pub(super) struct Text {
    text: String,
}

/// The text that was sent, checked.
async fn checked(shared: &Shared, sent: Result<Json<Text>, JsonRejection>) -> Result<Draft, Response> {
    let Json(Text { text }) = sent.map_err(|error| problem(error.status(), &error.body_text(), "send {\"text\": \"…\"}"))?;
    let wrong = |all: &[settings::Problem]| {
        problems(StatusCode::UNPROCESSABLE_ENTITY, "these settings are wrong", "each problem names its key", all)
    };
    let draft = Draft::parse(&text, FilePath::new(PATH)).map_err(|problem| wrong(&[problem]))?;
    let mut problems = draft.check(FilePath::new(PATH)).err().unwrap_or_default();
    problems.extend(crate::filter::problem(&shared.viewer, &draft).await);
    if problems.is_empty() { Ok(draft) } else { Err(wrong(&problems)) }
}

pub(super) async fn settings(asked: Appliance) -> Response {
    match ask!(&asked.socket, Request::Settings { secrets: false } => appliance::Response::Settings { text } => text) {
        Ok(text) => answer(json!({ "text": without_secrets(text) })),
        Err(error) => down(&error),
    }
}

pub(super) async fn apply(asked: Appliance, sent: Result<Json<Text>, JsonRejection>) -> Response {
    let mut draft = match checked(&asked.shared, sent).await {
        Ok(draft) => draft,
        Err(response) => return response,
    };
    match crate::machine::in_force(&asked.socket).await {
        Ok(before) => draft.keep_secrets(&before),
        Err(why) => return problem(StatusCode::SERVICE_UNAVAILABLE, &why, "`journalctl -u tenrec-appliance` has more"),
    }
    match asked.order(Request::Apply { text: draft.text() }, "settings applied", "by the API").await {
        Ok(()) => begun(),
        Err(response) => response,
    }
}

pub(super) fn problems_example() -> Value {
    json!({ "good": true })
}

pub(super) async fn check(asked: Appliance, sent: Result<Json<Text>, JsonRejection>) -> Response {
    checked(&asked.shared, sent).await.map_or_else(|response| response, |_| answer(json!({ "good": true })))
}

pub(super) fn links_example() -> Value {
    let step = Step { name: String::new(), outcome: Outcome::Good, words: String::new() };
    json!({ "links": [Link { steps: vec![step], ..Link::default() }] })
}

pub(super) async fn probe(asked: Appliance) -> Response {
    let text = match crate::machine::in_force(&asked.socket).await {
        Ok(draft) => draft.text(),
        Err(why) => return problem(StatusCode::SERVICE_UNAVAILABLE, &why, "`journalctl -u tenrec-appliance` has more"),
    };
    match ask!(&asked.socket, Request::Probe { text } => appliance::Response::Probe { links } => links) {
        Ok(links) => answer(json!({ "links": links })),
        Err(error) => down(&error),
    }
}

pub(super) fn state_example() -> Value {
    example(appliance::State { addresses: vec![String::new()], temperature: Some(0.5), ..appliance::State::default() })
}

pub(super) async fn state(asked: Appliance) -> Response {
    match ask!(&asked.socket, Request::State => appliance::Response::State(state) => *state) {
        Ok(state) => answer(state),
        Err(error) => down(&error),
    }
}

pub(super) fn services_example() -> Value {
    json!({ "services": [Service { memory: Some(1), ..Service::default() }] })
}

pub(super) async fn services(asked: Appliance) -> Response {
    match ask!(&asked.socket, Request::Services => appliance::Response::Services { services } => services) {
        Ok(services) => answer(json!({ "services": services })),
        Err(error) => down(&error),
    }
}

/// How much of a journal.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Lines {
    lines: Option<u32>,
}

#[expect(clippy::result_large_err, reason = "the error is the answer, made once a request")]
fn known(unit: &str) -> Result<(), Response> {
    let help = || format!("there are {}", UNITS.join(", "));
    if UNITS.contains(&unit) { Ok(()) } else { Err(problem(StatusCode::NOT_FOUND, "there is no such service here", &help())) }
}

pub(super) fn journal_example() -> Value {
    json!({ "lines": [""] })
}

pub(super) async fn journal(asked: Appliance, Path(unit): Path<String>, Params(Lines { lines }): Params<Lines>) -> Response {
    if let Err(response) = known(&unit) {
        return response;
    }
    let lines = lines.unwrap_or(100).clamp(1, 1000);
    match ask!(&asked.socket, Request::Journal { unit, lines } => appliance::Response::Journal { lines } => lines) {
        Ok(lines) => answer(json!({ "lines": lines })),
        Err(error) => down(&error),
    }
}

pub(super) fn done_example() -> Value {
    json!({ "done": true })
}

pub(super) async fn restart(asked: Appliance, Path(unit): Path<String>) -> Response {
    if let Err(response) = known(&unit) {
        return response;
    }
    let ordered = asked.order(Request::RestartService { unit: unit.clone() }, "service started again", &unit).await;
    ordered.map_or_else(|response| response, |()| answer(done_example()))
}

pub(super) fn slots_example() -> Value {
    json!({ "slots": [Slot { tries: Some(3), ..Slot::default() }] })
}

pub(super) async fn slots(asked: Appliance) -> Response {
    match ask!(&asked.socket, Request::Slots => appliance::Response::Slots { slots } => slots) {
        Ok(slots) => answer(json!({ "slots": slots })),
        Err(error) => down(&error),
    }
}

pub(super) async fn install(asked: Appliance, body: Body) -> Response {
    match crate::upload::install(&asked.shared, &asked.socket, &asked.caller, body.into_data_stream()).await {
        Ok(()) => begun(),
        Err(why) => problem(StatusCode::CONFLICT, &why, "send the bundle as it is, and see /api/job for what is under way"),
    }
}

pub(super) async fn fetch(asked: Appliance) -> Response {
    asked.order(Request::Fetch, "update fetched", "by the API").await.map_or_else(|response| response, |()| begun())
}

pub(super) fn job_example() -> Value {
    example(Job { steps: vec![JobStep::default()], fraction: Some(0.5), ..Job::default() })
}

pub(super) async fn job(asked: Appliance) -> Response {
    match ask!(&asked.socket, Request::Job => appliance::Response::Job(job) => job) {
        Ok(job) => answer(job),
        Err(error) => down(&error),
    }
}

pub(super) fn audit_example() -> Value {
    json!({ "acts": [Entry::default()] })
}

pub(super) async fn audit(State(shared): State<Shared>) -> Response {
    answer(json!({ "acts": shared.audit.last(ROWS) }))
}

pub(super) async fn reboot(asked: Appliance) -> Response {
    asked.order(Request::Reboot, "reboot", "by the API").await.map_or_else(|response| response, |()| answer(done_example()))
}
