//! A document on its way: the action line that says where it goes, and the document's own line.
//!
//! ```text
//! {"index":{"_index":"arkime_sessions3-261124","_id":"261124-…"}}\n
//! {"firstPacket":…}\n                                                     none for a deletion
//! ```
//! That is one record of the spool, and exactly what goes over the wire.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Intake;

/// What is to be done with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Put it there, in place of one of the same id.
    Index,
    /// Put it there if its version is higher than that of the one there.
    IndexVersion(u64),
    /// Change the fields that it names: `{"doc":{…}}`, with `"doc_as_upsert":true` also where there is none yet.
    Update,
    /// Remove it.
    Delete,
}

/// A document as one record: what the spool and [`super::Delivery::with_latest`] take.
#[must_use]
pub fn record(operation: Operation, index: &str, id: &str, document: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write(operation, index, id, document, &mut out);
    out
}

/// Appends the action line and, unless it is a deletion, the document's line. `document` is one line of JSON, with or
/// without its line break.
pub(crate) fn write(operation: Operation, index: &str, id: &str, document: &[u8], out: &mut Vec<u8>) {
    let mut target = json!({"_index": index, "_id": id});
    let name = match operation {
        Operation::Index => "index",
        Operation::IndexVersion(version) => {
            if let Some(target) = target.as_object_mut() {
                target.insert("version".to_owned(), json!(version));
                target.insert("version_type".to_owned(), json!("external"));
            }
            "index"
        }
        Operation::Update => "update",
        Operation::Delete => "delete",
    };
    // Writing a Value into a Vec does not fail.
    let _ = serde_json::to_writer(&mut *out, &json!({name: target}));
    out.push(b'\n');
    if operation != Operation::Delete {
        out.extend_from_slice(document.trim_ascii_end());
        out.push(b'\n');
    }
}

/// What an action line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// `index`, `update` or `delete`.
    pub(crate) operation: String,
    /// The index.
    pub(crate) index: String,
    /// The document's id.
    pub(crate) id: String,
    /// Whether an older version gives way to the one there.
    pub(crate) versioned: bool,
}

/// Splits a record into what its action says and its document.
pub(crate) fn parse(record: &[u8]) -> Option<(Target, &[u8])> {
    #[derive(Deserialize)]
    struct Line {
        _index: String,
        _id: String,
        #[serde(default)]
        version_type: String,
    }
    let end = record.iter().position(|byte| *byte == b'\n')?;
    let (line, document) = (record.get(..end)?, record.get(end + 1..)?);
    let Value::Object(action) = serde_json::from_slice(line).ok()? else { return None };
    let (operation, target) = action.into_iter().next()?;
    let target: Line = serde_json::from_value(target).ok()?;
    let versioned = target.version_type == "external";
    Some((Target { operation, index: target._index, id: target._id, versioned }, document.trim_ascii_end()))
}

impl Intake {
    /// Takes one document, a line of JSON; see [`Operation`].
    pub fn put(&mut self, operation: Operation, index: &str, id: &str, document: &[u8]) {
        self.append(&record(operation, index, id, document));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(operation: Operation, document: &str) -> String {
        let mut out = Vec::new();
        write(operation, "arkime_files", "s-1", document.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_operation_is_written_as_bulk_wants_it() {
        assert_eq!(written(Operation::Index, "{\"a\":1}\n"), "{\"index\":{\"_index\":\"arkime_files\",\"_id\":\"s-1\"}}\n{\"a\":1}\n");
        assert_eq!(
            written(Operation::IndexVersion(7), "{}"),
            "{\"index\":{\"_index\":\"arkime_files\",\"_id\":\"s-1\",\"version\":7,\"version_type\":\"external\"}}\n{}\n"
        );
        assert_eq!(written(Operation::Delete, ""), "{\"delete\":{\"_index\":\"arkime_files\",\"_id\":\"s-1\"}}\n");
    }

    #[test]
    fn what_was_written_is_read_back() {
        let record = written(Operation::IndexVersion(7), "{\"a\":1}");
        let (target, document) = parse(record.as_bytes()).unwrap();
        assert_eq!((target.operation.as_str(), target.index.as_str(), target.id.as_str()), ("index", "arkime_files", "s-1"));
        assert!(target.versioned);
        assert_eq!(document, b"{\"a\":1}");
        let deletion = written(Operation::Delete, "");
        assert_eq!(parse(deletion.as_bytes()).unwrap().1, b"");
        assert_eq!(parse(b"{}"), None);
    }
}
