//! One index: a file of changes, and where in it each document stands.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::Refusal;
use super::mapping::Mapping;

/// Documents of one index at most: some 200 bytes of memory each.
const MAX_DOCUMENTS: usize = 10_000_000;

/// An index.
#[derive(Debug)]
pub(crate) struct Index {
    name: String,
    file: File,
    /// Bytes of the file.
    length: u64,
    /// Lines that are not in the file yet.
    pending: Vec<u8>,
    documents: HashMap<String, Place>,
    mapping: Mapping,
    /// Documents that are not deleted.
    count: u64,
}

/// Where the last change of a document stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    version: u64,
    offset: u64,
    length: u32,
    deleted: bool,
}

/// How a write's version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// One higher than what is there.
    Internal,
    /// This one, which must be higher than what is there.
    External(u64),
    /// This one, which must not be lower than what is there.
    ExternalOrEqual(u64),
}

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) version: u64,
    pub(crate) source: Value,
}

#[derive(Deserialize)]
struct Line {
    _id: String,
    _version: u64,
    #[serde(default)]
    _source: Option<Value>,
    #[serde(default)]
    deleted: bool,
}

impl Index {
    /// Opens the index's file, or makes it. A line that was being written when the process died is cut off.
    pub(crate) fn open(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(format!("{name}.ndjson"));
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut index = Self {
            name: name.to_owned(),
            length: 0,
            pending: Vec::new(),
            documents: HashMap::new(),
            mapping: Mapping::of(name),
            count: 0,
            file,
        };
        let mut reader = BufReader::new(index.file.try_clone()?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            let Ok(change) = serde_json::from_slice::<Line>(&line) else { break };
            if let Some(source) = &change._source
                && let Ok(added) = index.mapping.check(&change._id, source)
            {
                index.mapping.add(added);
            }
            let length = line.len() as u32;
            index.place(change._id, Place { version: change._version, offset: index.length, length, deleted: change.deleted });
            index.length += line.len() as u64;
            line.clear();
        }
        index.file.set_len(index.length)?;
        Ok(index)
    }

    /// Documents in it.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Puts a document in; whether it is a new one, and its version.
    pub(crate) fn put(&mut self, id: &str, source: Value, version: Version, only_new: bool) -> Result<(bool, u64), Refusal> {
        let there = self.documents.get(id).copied();
        let exists = there.is_some_and(|place| !place.deleted);
        if only_new && exists {
            let current = there.map_or(0, |place| place.version);
            return Err(conflict(id, format!("document already exists (current version [{current}])")));
        }
        if there.is_none() && self.documents.len() >= MAX_DOCUMENTS {
            return Err(Refusal::new(429, "circuit_breaking_exception", format!("index [{}] holds {MAX_DOCUMENTS} documents", self.name)));
        }
        let version = next(id, there, version)?;
        let added = self.mapping.check(id, &source)?;
        self.mapping.add(added);
        self.append(id, version, Some(source));
        Ok((!exists, version))
    }

    /// Deletes a document; whether it was there, and the version of its absence.
    pub(crate) fn delete(&mut self, id: &str, version: Version) -> Result<(bool, u64), Refusal> {
        let there = self.documents.get(id).copied();
        let version = next(id, there, version)?;
        let existed = there.is_some_and(|place| !place.deleted);
        if there.is_some() {
            self.append(id, version, None);
        }
        Ok((existed, version))
    }

    /// A document by its id.
    pub(crate) fn get(&self, id: &str) -> io::Result<Option<Found>> {
        match self.documents.get(id) {
            Some(place) if !place.deleted => self.read(place).map(Some),
            _ => Ok(None),
        }
    }

    /// All documents, in no order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.documents.iter().filter(|(_, place)| !place.deleted).map(|(id, _)| id.as_str())
    }

    /// Writes what is pending and waits until the disk holds it.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.file.write_all_at(&self.pending, self.length)?;
        self.file.sync_data()?;
        self.length += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    fn append(&mut self, id: &str, version: u64, source: Option<Value>) {
        let line = match source {
            Some(source) => json!({"_id": id, "_version": version, "_source": source}),
            None => json!({"_id": id, "_version": version, "deleted": true}),
        };
        let deleted = line.get("deleted").is_some();
        let offset = self.length + self.pending.len() as u64;
        let before = self.pending.len();
        // Writing a Value into a Vec does not fail.
        let _ = serde_json::to_writer(&mut self.pending, &line);
        self.pending.push(b'\n');
        let length = (self.pending.len() - before) as u32;
        self.place(id.to_owned(), Place { version, offset, length, deleted });
    }

    fn place(&mut self, id: String, place: Place) {
        let existed = self.documents.insert(id, place).is_some_and(|before| !before.deleted);
        match (existed, place.deleted) {
            (false, false) => self.count += 1,
            (true, true) => self.count -= 1,
            _ => {}
        }
    }

    fn read(&self, place: &Place) -> io::Result<Found> {
        let length = place.length as usize;
        let line = match place.offset.checked_sub(self.length) {
            // Of the same request: not in the file yet.
            Some(start) => self.pending.get(start as usize..start as usize + length).unwrap_or_default().to_vec(),
            None => {
                let mut line = vec![0; length];
                self.file.read_exact_at(&mut line, place.offset)?;
                line
            }
        };
        let line: Line = serde_json::from_slice(&line)?;
        Ok(Found { version: line._version, source: line._source.unwrap_or_default() })
    }
}

/// The version that a change gets.
fn next(id: &str, there: Option<Place>, wanted: Version) -> Result<u64, Refusal> {
    let current = there.map(|place| place.version);
    let fits = match (wanted, current) {
        (Version::Internal, current) => return Ok(current.map_or(1, |current| current.saturating_add(1))),
        (Version::External(wanted), Some(current)) => wanted > current,
        (Version::ExternalOrEqual(wanted), Some(current)) => wanted >= current,
        (_, None) => true,
    };
    let (Version::External(wanted) | Version::ExternalOrEqual(wanted)) = wanted else { return Ok(1) };
    if fits {
        return Ok(wanted);
    }
    let current = current.unwrap_or(0);
    Err(conflict(id, format!("current version [{current}] is higher or equal to the one provided [{wanted}]")))
}

fn conflict(id: &str, reason: String) -> Refusal {
    Refusal::new(409, "version_conflict_engine_exception", format!("[{id}]: version conflict, {reason}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn index(folder: &Path) -> Index {
        Index::open(folder, "arkime_x").unwrap()
    }

    #[test]
    fn what_is_synced_is_found_again_after_a_kill_and_a_torn_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = index(folder.path());
        first.put("a", json!({"n": 1}), Version::Internal, false).unwrap();
        first.put("b", json!({"n": 2}), Version::External(7), false).unwrap();
        first.delete("a", Version::Internal).unwrap();
        first.sync().unwrap();
        let path = folder.path().join("arkime_x.ndjson");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"_id\":\"c\",\"_ver").unwrap();
        let again = index(folder.path());
        assert_eq!(again.count(), 1);
        assert_eq!(again.get("b").unwrap(), Some(Found { version: 7, source: json!({"n": 2}) }));
        assert_eq!(again.get("a").unwrap(), None);
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("\n"));
    }

    #[test]
    fn external_versions_must_rise_also_after_a_deletion() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = index(folder.path());
        let mut put = |version| index.put("a", json!({}), version, false).map(|(_, version)| version).map_err(|refusal| refusal.status);
        assert_eq!(put(Version::External(5)), Ok(5));
        assert_eq!(put(Version::External(5)), Err(409));
        assert_eq!(put(Version::ExternalOrEqual(5)), Ok(5));
        assert_eq!(put(Version::Internal), Ok(6));
        assert_eq!(index.delete("a", Version::External(6)).unwrap_err().status, 409);
        assert_eq!(index.delete("a", Version::External(9)).unwrap(), (true, 9));
        assert_eq!(index.put("a", json!({}), Version::External(9), false).unwrap_err().status, 409);
    }

    #[test]
    fn a_document_of_the_same_request_is_found_before_it_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = index(folder.path());
        index.put("a", json!({"n": 1}), Version::Internal, false).unwrap();
        assert_eq!(index.get("a").unwrap().unwrap().source, json!({"n": 1}));
        index.sync().unwrap();
        index.put("b", json!({"n": 2}), Version::Internal, true).unwrap();
        assert_eq!(index.get("b").unwrap().unwrap().source, json!({"n": 2}));
        assert_eq!(index.put("b", json!({}), Version::Internal, true).unwrap_err().status, 409);
    }
}
