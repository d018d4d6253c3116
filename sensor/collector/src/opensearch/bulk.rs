//! `POST /_bulk`: lines of actions and documents, each obeyed and answered for by itself.
//!
//! What breaks the request as a whole refuses it whole, before anything is written: no line break at the end, an action that
//! is none, an unknown parameter of one. What is wrong with one document is answered in its place, and the others are
//! written.

use serde_json::{Map, Value, json};

use super::answers::Refusal;
use super::index::Version;
use super::store::{Change, Store};

/// One action of a request.
#[derive(Debug, PartialEq)]
pub(crate) struct Action {
    operation: &'static str,
    index: String,
    id: Option<String>,
    /// What is to be written, or why it cannot be.
    change: Result<Change, Refusal>,
}

/// Reads a request; `default_index` is that of its path.
///
/// # Errors
/// What refuses it whole.
pub(crate) fn parse(body: &[u8], default_index: Option<&str>) -> Result<Vec<Action>, Refusal> {
    if body.is_empty() {
        return Err(Refusal::new(400, "parse_exception", "request body is required"));
    }
    if body.last() != Some(&b'\n') {
        return Err(Refusal::illegal("The bulk request must be terminated by a newline [\\n]"));
    }
    let mut lines = (1..).zip(body.split(|byte| *byte == b'\n'));
    let mut actions = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (operation, parameters) = action(line, number)?;
        let text = |name: &str| parameters.get(name).and_then(Value::as_str).map(str::to_owned);
        let index = text("_index").or_else(|| default_index.map(str::to_owned));
        let index =
            index.ok_or_else(|| Refusal::new(400, "action_request_validation_exception", "Validation Failed: 1: index is missing;"))?;
        let version = version(&parameters, number)?;
        let change = if operation == "delete" {
            Ok(Change::Delete(version))
        } else {
            let (_, source) = lines.next().filter(|(_, source)| !source.trim_ascii().is_empty()).ok_or_else(|| {
                Refusal::illegal(format!("Malformed action/metadata line [{number}], expected a document in the line after it"))
            })?;
            change(operation, source, version)
        };
        actions.push(Action { operation, index, id: text("_id"), change });
    }
    if actions.is_empty() {
        return Err(Refusal::new(400, "action_request_validation_exception", "Validation Failed: 1: no requests added;"));
    }
    Ok(actions)
}

/// Obeys a request: the answer's items, and whether one of them is an error. `interrupt` may answer in place of an action's
/// own outcome; then nothing is done.
pub(crate) fn apply(
    store: &mut Store,
    actions: Vec<Action>,
    interrupt: impl Fn(usize) -> Option<Refusal>,
) -> Result<(Vec<Value>, bool), Refusal> {
    let mut errors = false;
    let mut items = Vec::with_capacity(actions.len());
    for (at, action) in actions.into_iter().enumerate() {
        let Action { operation, index, id, change } = action;
        let id = id.unwrap_or_else(generated);
        let done = match interrupt(at) {
            Some(refusal) => Err(refusal),
            None => change.and_then(|change| store.apply(&index, &id, change)),
        };
        let told = match done {
            Ok(done) => json!({"_index": index, "_id": id, "_version": done.version, "result": done.result, "status": done.status}),
            Err(refusal) => {
                errors = true;
                json!({"_index": index, "_id": id, "status": refusal.status, "error": refusal.error()})
            }
        };
        items.push(json!({operation: told}));
    }
    store.sync()?;
    Ok((items, errors))
}

fn action(line: &[u8], number: usize) -> Result<(&'static str, Map<String, Value>), Refusal> {
    let malformed = |what: &str| Refusal::illegal(format!("Malformed action/metadata line [{number}], {what}"));
    let Ok(Value::Object(action)) = serde_json::from_slice(line) else { return Err(malformed("expected START_OBJECT")) };
    if action.len() != 1 {
        return Err(malformed("expected one action"));
    }
    let Some((name, Value::Object(parameters))) = action.into_iter().next() else { return Err(malformed("expected START_OBJECT")) };
    let operation = ["index", "create", "update", "delete"].into_iter().find(|known| *known == name);
    let operation = operation.ok_or_else(|| malformed(&format!("expected one of [create, delete, index, update] but found [{name}]")))?;
    const KNOWN: [&str; 11] = [
        "_index",
        "_id",
        "routing",
        "version",
        "version_type",
        "retry_on_conflict",
        "pipeline",
        "require_alias",
        "if_seq_no",
        "if_primary_term",
        "_source",
    ];
    match parameters.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        Some(unknown) => Err(Refusal::illegal(format!("Action/metadata line [{number}] contains an unknown parameter [{unknown}]"))),
        None => Ok((operation, parameters)),
    }
}

fn version(parameters: &Map<String, Value>, number: usize) -> Result<Version, Refusal> {
    let given = match parameters.get("version") {
        None => None,
        Some(value) => Some(
            value
                .as_u64()
                .or_else(|| value.as_str()?.parse().ok())
                .ok_or_else(|| Refusal::illegal(format!("Malformed action/metadata line [{number}], a version that is no number")))?,
        ),
    };
    version_of(given, parameters.get("version_type").and_then(Value::as_str))
}

/// How a version and its type are meant.
pub(crate) fn version_of(version: Option<u64>, kind: Option<&str>) -> Result<Version, Refusal> {
    let invalid = |reason: &str| Err(Refusal::new(400, "action_request_validation_exception", format!("Validation Failed: 1: {reason};")));
    match (kind, version) {
        (None | Some("internal"), None) => Ok(Version::Internal),
        (None | Some("internal"), Some(_)) => invalid(
            "internal versioning can not be used for optimistic concurrency control. Please use `if_seq_no` and `if_primary_term` instead",
        ),
        (Some("external" | "external_gt"), Some(version)) => Ok(Version::External(version)),
        (Some("external_gte"), Some(version)) => Ok(Version::ExternalOrEqual(version)),
        (Some(kind @ ("external" | "external_gt" | "external_gte")), None) => {
            invalid(&format!("illegal version value [-3] for version type [{}]", kind.to_uppercase()))
        }
        (Some(other), _) => Err(Refusal::illegal(format!("No version type match [{other}]"))),
    }
}

fn change(operation: &str, source: &[u8], version: Version) -> Result<Change, Refusal> {
    let source = match serde_json::from_slice(source) {
        Ok(source @ Value::Object(_)) => source,
        Ok(_) => return Err(Refusal::new(400, "mapper_parsing_exception", "failed to parse: not an object")),
        Err(error) => return Err(Refusal::new(400, "mapper_parsing_exception", format!("failed to parse: {error}"))),
    };
    match operation {
        "index" => Ok(Change::Index(source, version)),
        "create" => Ok(Change::Create(source)),
        _ => update(source),
    }
}

/// The body of an update.
pub(crate) fn update(source: Value) -> Result<Change, Refusal> {
    let Value::Object(mut body) = source else { return Err(Refusal::parsing("an update is an object")) };
    if let Some(unknown) = body.keys().find(|name| !["doc", "doc_as_upsert", "detect_noop", "_source"].contains(&name.as_str())) {
        return Err(Refusal::new(400, "x_content_parse_exception", format!("[UpdateRequest] unknown field [{unknown}]")));
    }
    let upsert = body.get("doc_as_upsert").and_then(Value::as_bool).unwrap_or(false);
    match body.remove("doc") {
        Some(doc @ Value::Object(_)) => Ok(Change::Update(doc, upsert)),
        _ => Err(Refusal::new(400, "action_request_validation_exception", "Validation Failed: 1: script or doc is missing;")),
    }
}

/// An id for a document that came without one.
pub(crate) fn generated() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    // A new RandomState differs from every other one of this process, and from those of others by its seed.
    format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        parse(body.as_bytes(), None).unwrap_err().reason
    }

    fn statuses(bodies: &[&str]) -> Vec<u64> {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().to_owned()).unwrap();
        let mut all = Vec::new();
        for body in bodies {
            let (items, _) = apply(&mut store, parse(body.as_bytes(), Some("arkime_x")).unwrap(), |_| None).unwrap();
            all.extend(items.iter().map(|item| item.as_object().unwrap().values().next().unwrap()["status"].as_u64().unwrap()));
        }
        all
    }

    #[test]
    fn a_request_that_is_no_bulk_request_is_refused_whole() {
        assert!(refused("").contains("required"));
        assert!(refused("{\"index\":{\"_index\":\"arkime_x\"}}\n{}").contains("newline"));
        assert!(refused("{\"put\":{\"_index\":\"arkime_x\"}}\n{}\n").contains("[put]"));
        assert!(refused("{\"index\":{\"_index\":\"arkime_x\",\"_type\":\"doc\"}}\n{}\n").contains("[_type]"));
        assert!(refused("{\"index\":{}}\n{}\n").contains("index is missing"));
        assert!(refused("{\"index\":{\"_index\":\"arkime_x\"}}\n").contains("document"));
        assert!(refused("{\"index\":{\"_index\":\"arkime_x\",\"version\":1}}\n{}\n").contains("internal versioning"));
        assert!(refused("\n").contains("no requests"));
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_answered(bytes in proptest::collection::vec(0_u8..=255, 0..200), lines in proptest::collection::vec("[{}\\[\\]\":,a-z_0-9 ]{0,40}", 0..8)) {
            let folder = tempfile::tempdir().unwrap();
            let mut store = Store::open(folder.path().to_owned()).unwrap();
            let text = lines.join("\n") + "\n";
            let mixed = format!("{{\"index\":{{\"_index\":\"arkime_x\"}}}}\n{text}");
            for body in [&bytes, text.as_bytes(), mixed.as_bytes()] {
                if let Ok(actions) = parse(body, Some("arkime_x")) {
                    let asked = actions.len();
                    let (items, _) = apply(&mut store, actions, |_| None).unwrap();
                    proptest::prop_assert_eq!(items.len(), asked);
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_with_one_document_is_answered_in_its_place() {
        let body = concat!(
            "{\"index\":{\"_id\":\"1\"}}\n{\"a\":1}\n",
            "{\"index\":{\"_id\":\"2\"}}\n{\"a\":\"x\"}\n",
            "{\"index\":{\"_id\":\"3\"}}\n{\"a\":\n",
            "{\"index\":{\"_id\":\"4\",\"_index\":\"other\"}}\n{}\n",
            "{\"create\":{\"_id\":\"1\"}}\n{}\n",
            "{\"update\":{\"_id\":\"9\"}}\n{\"doc\":{}}\n",
            "{\"update\":{\"_id\":\"9\"}}\n{\"doc\":{\"a\":2},\"doc_as_upsert\":true}\n",
            "{\"delete\":{\"_id\":\"1\"}}\n",
            "{\"index\":{\"_id\":\"6\",\"version\":3,\"version_type\":\"external\"}}\n{}\n",
            "{\"index\":{\"_id\":\"6\",\"version\":3,\"version_type\":\"external\"}}\n{}\n",
        );
        assert_eq!(statuses(&[body]), [201, 400, 400, 403, 409, 404, 201, 200, 201, 409]);
    }
}
