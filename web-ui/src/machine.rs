//! What pages of the appliance share: whom they ask, who asks, and what goes into the audit log.

use std::path::{Path, PathBuf};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use settings::appliance::{self, Job, Request, State};
use settings::edit::Draft;

use crate::Shared;
use crate::ask::answer;
use crate::auth::Caller;
use crate::frame::Frame;
use crate::history::explain;
use crate::wizard::step::PATH;

/// A request on a machine that is an appliance.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) shared: Shared,
    pub(crate) frame: Frame,
    pub(crate) caller: Caller,
    /// The appliance's socket.
    pub(crate) socket: PathBuf,
}

impl FromRequestParts<Shared> for Machine {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let frame = Frame::from_request_parts(parts, shared).await.map_err(IntoResponse::into_response)?;
        let caller = Caller::from_request_parts(parts, shared).await.map_err(IntoResponse::into_response)?;
        let Some(socket) = shared.appliance.clone() else { return Err(crate::pages::no_appliance(frame)) };
        Ok(Self { shared: shared.clone(), frame, caller, socket })
    }
}

impl Machine {
    /// The page that says that the appliance does not answer, or refuses.
    pub(crate) fn down(&self, why: String) -> Response {
        crate::pages::appliance_down(self.frame.clone(), why)
    }

    /// Asks the appliance what it is.
    ///
    /// # Errors
    /// The page to show in its place.
    pub(crate) async fn state(&self) -> Result<State, Response> {
        let answer = answer!(&self.socket, Request::State => appliance::Response::State(state) => *state);
        answer.map_err(|error| self.down(explain(&error)))
    }

    /// The network interfaces.
    ///
    /// # Errors
    /// The page to show in their place.
    pub(crate) async fn interfaces(&self) -> Result<Vec<appliance::Interface>, Response> {
        let answer = answer!(&self.socket, Request::Interfaces => appliance::Response::Interfaces { interfaces } => interfaces);
        answer.map_err(|error| self.down(explain(&error)))
    }

    /// How the job that runs, or ran last, is doing.
    ///
    /// # Errors
    /// The page to show in its place.
    pub(crate) async fn job(&self) -> Result<Job, Response> {
        let answer = answer!(&self.socket, Request::Job => appliance::Response::Job(job) => job);
        answer.map_err(|error| self.down(explain(&error)))
    }

    /// The settings in force. What is attached to them stays at the appliance.
    ///
    /// # Errors
    /// The page to show in their place.
    pub(crate) async fn in_force(&self) -> Result<Draft, Response> {
        in_force(&self.socket).await.map_err(|why| self.down(why))
    }

    /// Has the appliance do something, and notes it in the audit log.
    ///
    /// # Errors
    /// What it said, for whoever asked.
    pub(crate) async fn order(&self, request: Request, what: &str, detail: &str) -> Result<(), String> {
        order(&self.shared, &self.socket, &self.caller, request, what, detail).await
    }

    /// Notes in the audit log what was done.
    pub(crate) fn note(&self, what: &str, detail: &str, done: bool) {
        self.shared.audit.note(self.caller.peer.address, &self.caller.who.name(), what, detail, done);
    }
}

/// Has the appliance do something, and notes it in the audit log.
///
/// # Errors
/// What it said, for whoever asked.
pub(crate) async fn order(
    shared: &Shared,
    socket: &Path,
    caller: &Caller,
    request: Request,
    what: &str,
    detail: &str,
) -> Result<(), String> {
    let done = answer!(socket, request => appliance::Response::Done => ()).map_err(|error| explain(&error));
    let detail = done.as_ref().err().map_or(detail.to_owned(), |error| format!("{detail} {error}"));
    shared.audit.note(caller.peer.address, &caller.who.name(), what, detail.trim(), done.is_ok());
    done
}

/// The settings in force as a draft, with the secrets that are in them and without what is attached.
///
/// # Errors
/// In words.
pub(crate) async fn in_force(socket: &Path) -> Result<Draft, String> {
    let text = answer!(socket, Request::Settings { secrets: true } => appliance::Response::Settings { text } => text);
    let text = text.map_err(|error| explain(&error))?;
    let mut draft = Draft::parse(&text, Path::new(PATH)).map_err(|problem| problem.to_string())?;
    let attached: Vec<_> = draft.attached().keys().cloned().collect();
    attached.iter().for_each(|name| draft.detach(name));
    Ok(draft)
}
