//! What OpenSearch says to each document of a bulk request, and what it means: taken, refused for good, or try again.

use serde::Deserialize;

use super::action::Target;

/// The parts of a bulk answer that are asked for; it has a line for each document, so everything else is left away.
pub(crate) const FILTER: &str = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason";

/// The answer to a bulk request: one item for each action, in order.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) items: Vec<Item>,
}

impl Answer {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| format!("an answer that is none of OpenSearch's: {error}"))
    }
}

/// The answer to one action, under the name of its operation.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Item(std::collections::BTreeMap<String, Told>);

#[derive(Debug, Deserialize)]
struct Told {
    status: u16,
    error: Option<Reason>,
}

/// Why a document was not taken.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Reason {
    /// OpenSearch's name of the error.
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    /// Its words.
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    caused_by: Option<Cause>,
}

#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
struct Cause {
    #[serde(default)]
    reason: String,
}

impl Reason {
    pub(crate) fn new(kind: &str, reason: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), reason: reason.into(), caused_by: None }
    }

    /// Error and cause in one line.
    pub(crate) fn text(&self) -> String {
        match &self.caused_by {
            Some(cause) if !cause.reason.is_empty() => format!("{}: {}", self.reason, cause.reason),
            _ => self.reason.clone(),
        }
    }
}

/// What became of a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is there, or something newer is.
    Taken,
    /// It would be refused again and again: the document's own fault, or its index's.
    Refused(u16, Reason),
    /// It may be taken later.
    Later(u16, Reason),
}

impl Item {
    /// What it means for the document of `target`.
    pub(crate) fn outcome(self, target: Option<&Target>) -> Outcome {
        let Some(told) = self.0.into_values().next() else {
            return Outcome::Later(0, Reason::new("no_status", "an answer without a status"));
        };
        let reason = told.error.unwrap_or_default();
        let of = |operation: &str| target.is_some_and(|target| target.operation == operation);
        match told.status {
            200..=299 => Outcome::Taken,
            // Already gone.
            404 if of("delete") => Outcome::Taken,
            // A later version was faster, which is what the version is for.
            409 if target.is_some_and(|target| target.versioned) => Outcome::Taken,
            429 | 500..=599 => Outcome::Later(told.status, reason),
            // Missing permissions, a read-only index on a full disk, an index that must not be made: a person mends these, and
            // then the documents are taken.
            401 | 403 => Outcome::Later(told.status, reason),
            404 if reason.kind == "index_not_found_exception" => Outcome::Later(told.status, reason),
            // "this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum shards open" comes as 400.
            400 if reason.kind == "validation_exception" && reason.reason.contains("shards open") => Outcome::Later(told.status, reason),
            // Another request was faster in changing the same document.
            409 if of("update") => Outcome::Later(told.status, reason),
            status => Outcome::Refused(status, reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(item: &str, operation: &str, versioned: bool) -> &'static str {
        let answer = Answer::parse(format!("{{\"errors\":true,\"items\":[{item}]}}").as_bytes()).unwrap();
        let target = Target { operation: operation.to_owned(), index: "i".to_owned(), id: "1".to_owned(), versioned };
        match answer.items.into_iter().next().unwrap().outcome(Some(&target)) {
            Outcome::Taken => "taken",
            Outcome::Refused(..) => "refused",
            Outcome::Later(..) => "later",
        }
    }

    #[test]
    fn documents_that_cannot_be_helped_are_refused_and_all_others_tried_again() {
        assert_eq!(check(r#"{"index":{"status":201}}"#, "index", false), "taken");
        assert_eq!(
            check(r#"{"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"x"}}}"#, "index", false),
            "refused"
        );
        assert_eq!(check(r#"{"index":{"status":429,"error":{"type":"rejected_execution_exception"}}}"#, "index", false), "later");
        assert_eq!(check(r#"{"index":{"status":503}}"#, "index", false), "later");
        assert_eq!(check(r#"{"index":{"status":403,"error":{"type":"security_exception"}}}"#, "index", false), "later");
        let shards = r#"{"index":{"status":400,"error":{"type":"validation_exception","reason":"[1000]/[1000] maximum shards open;"}}}"#;
        assert_eq!(check(shards, "index", false), "later");
    }

    #[test]
    fn what_is_newer_or_gone_already_counts_as_taken() {
        let conflict = r#"{"index":{"status":409,"error":{"type":"version_conflict_engine_exception"}}}"#;
        assert_eq!(check(conflict, "index", true), "taken");
        assert_eq!(check(conflict, "index", false), "refused");
        assert_eq!(check(r#"{"delete":{"status":404}}"#, "delete", false), "taken");
        assert_eq!(check(r#"{"update":{"status":404,"error":{"type":"document_missing_exception"}}}"#, "update", false), "refused");
    }
}
