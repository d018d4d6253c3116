//! All indices in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

use super::answers::Refusal;
use super::filter::matches;
use super::index::{Found, Index, Version};

/// Indices at most: a node of OpenSearch refuses more shards than this, and each index has one.
const MAX_INDICES: usize = 1000;
/// Bytes of an index's name at most, and of a document's id.
const MAX_NAME: usize = 255;
const MAX_ID: usize = 512;
/// What a sensor may write: the role that Malcolm gives to sensors.
const WRITABLE: &str = "arkime_*";

/// The indices.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    indices: BTreeMap<String, Index>,
    /// Those that have changed since the last sync.
    changed: BTreeSet<String>,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// Put in, in place of what is there.
    Index(Value, Version),
    /// Put in, if there is none.
    Create(Value),
    /// Change the fields that are named; if there is none, make it of them when the flag says so.
    Update(Value, bool),
    /// Take out.
    Delete(Version),
}

/// What a write did: OpenSearch's word, the status, the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) result: &'static str,
    pub(crate) status: u16,
    pub(crate) version: u64,
}

impl Store {
    /// Opens all indices of the folder.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut indices = BTreeMap::new();
        for entry in fs::read_dir(&folder)? {
            let name = entry?.file_name();
            if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".ndjson")).filter(|name| is_name(name)) {
                indices.insert(name.to_owned(), Index::open(&folder, name)?);
            }
        }
        Ok(Self { folder, indices, changed: BTreeSet::new() })
    }

    /// Names of the indices that a comma-separated list of names and patterns means.
    pub(crate) fn names(&self, pattern: &str) -> Vec<String> {
        let all = |pattern: &str| pattern == "_all" || pattern.is_empty();
        let wanted = |name: &str| pattern.split(',').any(|pattern| all(pattern) || matches(pattern, name));
        self.indices.keys().filter(|name| wanted(name)).cloned().collect()
    }

    /// An index.
    pub(crate) fn index(&self, name: &str) -> Option<&Index> {
        self.indices.get(name)
    }

    /// Documents of all indices.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.indices.iter().map(|(name, index)| (name.clone(), index.count())).collect()
    }

    /// A document.
    pub(crate) fn get(&self, index: &str, id: &str) -> Result<Option<Found>, Refusal> {
        let index =
            self.indices.get(index).ok_or_else(|| Refusal::new(404, "index_not_found_exception", format!("no such index [{index}]")))?;
        index.get(id).map_err(|error| Refusal::disk(&error))
    }

    /// Makes a change, which is on disk after [`Store::sync`].
    pub(crate) fn apply(&mut self, index: &str, id: &str, change: Change) -> Result<Done, Refusal> {
        if id.is_empty() || id.len() > MAX_ID {
            let reason = format!("id [{id}] is too long, must be no longer than {MAX_ID} bytes but was: {}", id.len());
            return Err(Refusal::illegal(if id.is_empty() { "if _id is specified it must not be empty".to_owned() } else { reason }));
        }
        let index = self.writable(index)?;
        match change {
            Change::Index(source, version) => index.put(id, source, version, false).map(written),
            Change::Create(source) => index.put(id, source, Version::Internal, true).map(written),
            Change::Update(fields, upsert) => update(index, id, fields, upsert),
            Change::Delete(version) => index.delete(id, version).map(|(existed, version)| match existed {
                true => Done { result: "deleted", status: 200, version },
                false => Done { result: "not_found", status: 404, version },
            }),
        }
    }

    /// Waits until the disk holds all changes. An index whose file fails is read again from what the disk has.
    pub(crate) fn sync(&mut self) -> Result<(), Refusal> {
        let mut outcome = Ok(());
        for name in std::mem::take(&mut self.changed) {
            let Some(index) = self.indices.get_mut(&name) else { continue };
            if let Err(error) = index.sync() {
                outcome = Err(Refusal::disk(&error));
                match Index::open(&self.folder, &name) {
                    Ok(again) => *index = again,
                    Err(_) => drop(self.indices.remove(&name)),
                }
            }
        }
        outcome
    }

    /// The index, made where it is missing.
    fn writable(&mut self, name: &str) -> Result<&mut Index, Refusal> {
        if !is_name(name) {
            return Err(Refusal::new(
                400,
                "invalid_index_name_exception",
                format!(
                    "Invalid index name [{name}], must be lowercase, not begin with '_', '-' or '+', and have none of \\ / * ? \" < > | , # :"
                ),
            ));
        }
        if !matches(WRITABLE, name) {
            let reason = format!("no permissions for [indices:data/write/bulk[s]] on index [{name}]: a sensor may write {WRITABLE}");
            return Err(Refusal::new(403, "security_exception", reason));
        }
        if !self.indices.contains_key(name) {
            if self.indices.len() >= MAX_INDICES {
                let reason = format!(
                    "Validation Failed: 1: this action would add [1] shards, but this cluster currently has [{MAX_INDICES}]/[{MAX_INDICES}] maximum shards open;"
                );
                return Err(Refusal::new(400, "validation_exception", reason));
            }
            let index = Index::open(&self.folder, name).map_err(|error| Refusal::disk(&error))?;
            self.indices.insert(name.to_owned(), index);
        }
        self.changed.insert(name.to_owned());
        self.indices.get_mut(name).ok_or_else(|| Refusal::new(500, "index_not_found_exception", "it was there a moment ago"))
    }
}

fn written((created, version): (bool, u64)) -> Done {
    if created { Done { result: "created", status: 201, version } } else { Done { result: "updated", status: 200, version } }
}

fn update(index: &mut Index, id: &str, fields: Value, upsert: bool) -> Result<Done, Refusal> {
    let Some(found) = index.get(id).map_err(|error| Refusal::disk(&error))? else {
        if upsert {
            return index.put(id, fields, Version::Internal, false).map(written);
        }
        return Err(Refusal::new(404, "document_missing_exception", format!("[{id}]: document missing")));
    };
    let mut merged = found.source.clone();
    merge(&mut merged, fields);
    if merged == found.source {
        return Ok(Done { result: "noop", status: 200, version: found.version });
    }
    index.put(id, merged, Version::Internal, false).map(written)
}

/// Objects member by member, everything else as a whole.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// OpenSearch's rules for the name of an index; such a name is safe to be a file name.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.starts_with(['_', '-', '+', '.'])
        && !name.chars().any(|c| c.is_uppercase() || c.is_whitespace() || c.is_control() || "\\/*?\"<>|,#:".contains(c))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        (folder, store)
    }

    #[test]
    fn a_sensor_writes_arkimes_indices_and_no_others() {
        let (_folder, mut store) = store();
        let mut write = |index: &str| store.apply(index, "1", Change::Create(json!({}))).map(|done| done.status).map_err(|it| it.kind);
        assert_eq!(write("arkime_files"), Ok(201));
        assert_eq!(write("malcolm_beats_cpu_261124"), Err("security_exception"));
        for name in ["Arkime_files", "arkime_a/b", "arkime_*", "_arkime", "..", "", "arkime_a b"] {
            assert_eq!(write(name), Err("invalid_index_name_exception"), "{name}");
        }
    }

    #[test]
    fn an_update_changes_the_fields_that_it_names() {
        let (_folder, mut store) = store();
        let update = |fields: Value| Change::Update(fields, false);
        assert_eq!(store.apply("arkime_files", "1", update(json!({"a": 1}))).unwrap_err().kind, "document_missing_exception");
        store.apply("arkime_files", "1", Change::Create(json!({"a": 1, "o": {"x": 1}}))).unwrap();
        assert_eq!(store.apply("arkime_files", "1", update(json!({"b": 2, "o": {"y": 2}}))).unwrap().version, 2);
        assert_eq!(store.apply("arkime_files", "1", update(json!({"b": 2}))).unwrap().result, "noop");
        assert_eq!(store.get("arkime_files", "1").unwrap().unwrap().source, json!({"a": 1, "o": {"x": 1, "y": 2}, "b": 2}));
        assert_eq!(store.apply("arkime_files", "1", Change::Delete(Version::Internal)).unwrap().status, 200);
        assert_eq!(store.apply("arkime_files", "1", Change::Delete(Version::Internal)).unwrap().status, 404);
    }
}
