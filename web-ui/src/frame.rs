//! What every page has around it: who sees it, where one can go from there, and the token for its forms.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use crate::Shared;
use crate::auth::{Caller, Who};

/// A place that one can go to.
pub(crate) struct Place {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
}

const PLACES: &[Place] = &[
    Place { path: "/", name: "Status" },
    Place { path: "/interfaces", name: "Interfaces" },
    Place { path: "/connections", name: "Connections" },
    Place { path: "/files", name: "Files" },
    Place { path: "/packets", name: "Packets" },
    Place { path: "/settings", name: "Settings" },
    Place { path: "/system", name: "System" },
];

/// The frame of a page.
#[derive(Clone)]
pub(crate) struct Frame {
    /// Token of the forms.
    pub(crate) csrf: String,
    /// Whether there is a session that can be ended.
    pub(crate) session: bool,
    /// Whether the way to the other pages is shown.
    pub(crate) inside: bool,
    /// This machine.
    pub(crate) host: String,
    path: String,
}

impl Frame {
    /// Where one can go.
    pub(crate) fn places(&self) -> &'static [Place] {
        if self.inside { PLACES } else { &[] }
    }

    /// Whether the page belongs to a place.
    pub(crate) fn is_at(&self, place: &Place) -> bool {
        if place.path == "/" { self.path == "/" } else { self.is_beneath(place.path) }
    }

    /// Whether the path is this one, or in it.
    pub(crate) fn is_beneath(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromRequestParts<Shared> for Frame {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, StatusCode> {
        let caller = Caller::from_request_parts(parts, shared).await?;
        Ok(Self {
            csrf: caller.csrf,
            session: caller.who.key().is_some(),
            // The setup is a path of its own, with a beginning and an end.
            inside: matches!(caller.who, Who::Open | Who::Administrator(_)) && !parts.uri.path().starts_with("/setup/"),
            host: settings::host_name(),
            path: parts.uri.path().to_owned(),
        })
    }
}
