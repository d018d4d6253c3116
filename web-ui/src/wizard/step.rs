//! What the pages of the setup share: the session's draft, and forms over keys of the settings.

use std::ops::Deref;
use std::path::Path;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use settings::Problem;
use settings::edit::{Draft, Kind};

use super::Wizard;
use crate::Shared;
use crate::auth::Who;
use crate::auth::form::Fields;
use crate::auth::session::Key;
use crate::control::Control;
use crate::machine::Machine;

/// Path that problems name.
pub(crate) const PATH: &str = "tenrec.toml";

/// A visit to a page of the setup: there is an appliance and a session.
#[derive(Clone)]
pub(crate) struct Visit {
    machine: Machine,
    key: Key,
}

impl Deref for Visit {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl FromRequestParts<Shared> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let machine = Machine::from_request_parts(parts, shared).await?;
        let Some(key) = machine.caller.who.key() else { return Err(Redirect::to("/login").into_response()) };
        Ok(Self { machine, key })
    }
}

impl Visit {
    /// The draft of this session; at first what is in force.
    ///
    /// # Errors
    /// The page to show in its place: the password comes first, or the appliance does not answer.
    pub(crate) async fn draft(&self) -> Result<Draft, Response> {
        let known = self.wizard(|wizard| wizard.as_ref().map(|wizard| wizard.draft.clone()));
        if !self.may_go_on(known.as_ref()) {
            return Err(Redirect::to("/setup/password").into_response());
        }
        if let Some(draft) = known {
            return Ok(draft);
        }
        let draft = self.in_force().await?;
        self.keep(|wizard| wizard.draft = draft.clone());
        Ok(draft)
    }

    /// Who has only the code sets a password first, or imports one.
    fn may_go_on(&self, draft: Option<&Draft>) -> bool {
        matches!(self.caller.who, Who::Administrator(_)) || draft.is_some_and(|draft| draft.attached().contains_key("web.password"))
    }

    fn wizard<T: Default>(&self, with: impl FnOnce(&mut Option<Box<Wizard>>) -> T) -> T {
        self.shared.gate.sessions.wizard(self.key, with).unwrap_or_default()
    }

    /// Looks at what is being set up.
    pub(crate) fn look<T: Default>(&self, at: impl FnOnce(&Wizard) -> T) -> T {
        self.wizard(|wizard| wizard.as_deref().map(at).unwrap_or_default())
    }

    /// Changes what is being set up.
    pub(crate) fn keep(&self, change: impl FnOnce(&mut Wizard)) {
        self.wizard(|wizard| change(wizard.get_or_insert_default()));
    }

    /// Forgets it: it is in force.
    pub(crate) fn forget(&self) {
        self.wizard(|wizard| *wizard = None);
    }
}

/// A field of a form that is a key of the settings.
pub(crate) struct Field {
    /// Name of the field.
    pub(crate) name: &'static str,
    pub(crate) section: &'static str,
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    pub(crate) help: &'static str,
    pub(crate) example: &'static str,
}

impl Field {
    fn path(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    fn kind(&self) -> Kind {
        settings::edit::key(self.section, self.key).map_or(Kind::Text, |(section, key)| Kind::of(section.name, key))
    }

    /// Its control: with what was typed, else with what the draft says.
    pub(crate) fn control(&self, draft: &Draft, typed: Option<&Fields>, problems: &[Problem]) -> Control {
        let value = typed.map_or_else(|| draft.shown(self.section, self.key), |typed| typed.get(self.name).to_owned());
        Control::of(self.kind(), self.name, self.label)
            .help(self.help)
            .placeholder(self.example)
            .value(value)
            .error(error_of(&self.path(), problems))
    }
}

/// What is wrong with a key.
pub(crate) fn error_of(key: &str, problems: &[Problem]) -> String {
    problems.iter().filter(|problem| problem.key == key).map(|problem| problem.what.as_str()).collect::<Vec<_>>().join("; ")
}

/// Takes what was typed over into the draft.
pub(crate) fn take(fields: &[Field], typed: &Fields, draft: &mut Draft) -> Vec<Problem> {
    fields.iter().filter_map(|field| draft.put(field.section, field.key, typed.get(field.name)).err()).collect()
}

/// What is wrong with these keys, and what else is wrong with the settings: a step looks to its own keys alone, the summary
/// to all of them.
pub(crate) fn wrong_with(draft: &Draft, keys: &[&str]) -> Vec<Problem> {
    let problems = draft.check(Path::new(PATH)).err().unwrap_or_default();
    problems.into_iter().filter(|problem| keys.contains(&problem.key.as_str())).collect()
}

/// Status of a page: 422 when something is wrong with what was sent.
pub(crate) fn status(wrong: bool) -> StatusCode {
    if wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
}
