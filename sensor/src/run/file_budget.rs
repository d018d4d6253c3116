//! Carved files within their budget: the oldest name goes first, and a content with its last name.
//!
//! Names and contents are hard links of one another (see `carver`), so bytes are counted by content. Names that were
//! taken away by others, after a scan for instance, are noticed when it is their turn.

use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::carver::Finished;

/// The carved files of one folder.
#[derive(Debug)]
pub struct FileBudget {
    most: u64,
    by_hash: PathBuf,
    /// Names, oldest first, and what they name: the inode.
    names: VecDeque<(PathBuf, u64)>,
    contents: HashMap<u64, Content>,
    bytes: u64,
    deleted: u64,
}

#[derive(Debug)]
struct Content {
    path: PathBuf,
    bytes: u64,
    names: usize,
}

impl FileBudget {
    /// Takes stock of what earlier runs left. `most` 0 is no bound.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn open(folder: &Path, most: u64) -> io::Result<Self> {
        let mut budget =
            Self { most, by_hash: folder.join("by-hash"), names: VecDeque::new(), contents: HashMap::new(), bytes: 0, deleted: 0 };
        for (path, metadata) in files(&budget.by_hash)? {
            budget.bytes += metadata.len();
            budget.contents.insert(metadata.ino(), Content { path, bytes: metadata.len(), names: 0 });
        }
        let mut names = files(folder)?;
        names.sort_by_key(|(_, metadata)| (metadata.mtime(), metadata.mtime_nsec()));
        for (path, metadata) in names {
            budget.name(path, metadata.ino());
        }
        // A content whose names are gone has outlived its use.
        let nameless: Vec<u64> = budget.contents.iter().filter(|(_, content)| content.names == 0).map(|(inode, _)| *inode).collect();
        nameless.into_iter().for_each(|inode| budget.forget(inode));
        budget.keep();
        Ok(budget)
    }

    /// Counts a file that is complete, and makes room for it.
    pub fn add(&mut self, file: &Finished) {
        // A file that is gone already takes no room.
        let Ok(metadata) = fs::metadata(&file.path) else { return };
        let inode = metadata.ino();
        if !self.contents.contains_key(&inode) {
            self.bytes += metadata.len();
            let path = self.by_hash.join(&file.sha256);
            self.contents.insert(inode, Content { path, bytes: metadata.len(), names: 0 });
        }
        self.name(file.path.clone(), inode);
        self.keep();
    }

    /// Deletes the oldest names until so many bytes are free, or none is left: the bytes, and the names.
    pub fn give_up(&mut self, bytes: u64) -> (u64, u64) {
        let (held, names) = (self.bytes, self.deleted);
        while held - self.bytes < bytes && self.delete_oldest() {}
        (held - self.bytes, self.deleted - names)
    }

    /// Bytes of all contents.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Names deleted to stay within the budget.
    pub fn deleted(&self) -> u64 {
        self.deleted
    }

    fn name(&mut self, path: PathBuf, inode: u64) {
        if let Some(content) = self.contents.get_mut(&inode) {
            content.names += 1;
        }
        self.names.push_back((path, inode));
    }

    fn keep(&mut self) {
        while self.most > 0 && self.bytes > self.most && self.delete_oldest() {}
    }

    fn delete_oldest(&mut self) -> bool {
        let Some((path, inode)) = self.names.pop_front() else { return false };
        remove(&path);
        self.deleted += 1;
        let last = self.contents.get_mut(&inode).is_some_and(|content| {
            content.names = content.names.saturating_sub(1);
            content.names == 0
        });
        if last {
            self.forget(inode);
        }
        true
    }

    fn forget(&mut self, inode: u64) {
        if let Some(content) = self.contents.remove(&inode) {
            remove(&content.path);
            self.bytes = self.bytes.saturating_sub(content.bytes);
        }
    }
}

/// The plain files of a folder.
fn files(folder: &Path) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // One that is deleted while we look is none.
        if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            files.push((entry.path(), metadata));
        }
    }
    Ok(files)
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(file = %path.display(), %error, "carved file cannot be deleted");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A content under its hash, and names for it.
    fn put(folder: &Path, hash: &str, names: &[&str]) {
        fs::create_dir_all(folder.join("by-hash")).unwrap();
        let content = folder.join("by-hash").join(hash);
        fs::write(&content, vec![0; 1000]).unwrap();
        for name in names {
            fs::hard_link(&content, folder.join(name)).unwrap();
        }
    }

    #[test]
    fn a_content_goes_with_its_last_name() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "aa", &["HTTP-1", "HTTP-2"]);
        put(folder.path(), "bb", &["HTTP-3"]);
        let mut budget = FileBudget::open(folder.path(), 0).unwrap();
        assert_eq!((budget.bytes(), budget.names.len()), (2000, 3));
        budget.most = 1500;
        // Same age: by the order of the folder, so put them in ours.
        budget.names.make_contiguous().sort();
        budget.keep();
        assert_eq!((budget.bytes(), budget.deleted()), (1000, 2));
        assert!(!folder.path().join("HTTP-2").exists() && !folder.path().join("by-hash/aa").exists());
        assert!(folder.path().join("HTTP-3").exists() && folder.path().join("by-hash/bb").exists());
    }

    #[test]
    fn a_content_without_a_name_is_removed_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "aa", &[]);
        put(folder.path(), "bb", &["HTTP-3"]);
        assert_eq!(FileBudget::open(folder.path(), 0).unwrap().bytes(), 1000);
        assert!(!folder.path().join("by-hash/aa").exists());
    }
}
