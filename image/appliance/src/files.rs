//! Files that are there whole or not at all, with the owner and mode that they are to have from the first byte on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{Gid, Mode, Uid, fchmod, fchown};

use crate::places::Places;

/// Who may read a file beside root, who owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// Group, by name; none is root's.
    pub(crate) group: Option<&'static str>,
    /// Mode.
    pub(crate) mode: u32,
}

impl Access {
    /// For everyone to read.
    pub(crate) const PUBLIC: Self = Self { group: None, mode: 0o644 };
    /// For root alone.
    pub(crate) const PRIVATE: Self = Self { group: None, mode: 0o600 };

    /// For root and a group to read.
    pub(crate) const fn group(name: &'static str) -> Self {
        Self { group: Some(name), mode: 0o640 }
    }
}

/// Writes a file: beside its place first, on disk before it takes it.
///
/// # Errors
/// As the file system says.
pub(crate) fn write(places: &Places, path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    let beside = folder.join(format!(".{name}.new"));
    drop(fs::remove_file(&beside));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    give(places, &file, access)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

/// Sets group and mode. A group that this machine does not have leaves the file to root alone, and is told.
pub(crate) fn give(places: &Places, file: &File, access: Access) -> io::Result<()> {
    let mut mode = access.mode;
    if let Some(name) = access.group {
        match group_id(places, name) {
            Some(group) => fchown(file, Some(Uid::ROOT), Some(group))?,
            None => {
                tracing::warn!(group = name, "no such group: the file is for root alone");
                mode &= 0o700;
            }
        }
    }
    Ok(fchmod(file, Mode::from_raw_mode(mode))?)
}

/// The number of a group, from /etc/group: the image has no other source of groups.
pub(crate) fn group_id(places: &Places, name: &str) -> Option<Gid> {
    id(&places.read("/etc/group"), name).map(Gid::from_raw)
}

/// The number of a user.
pub(crate) fn user_id(places: &Places, name: &str) -> Option<Uid> {
    id(&places.read("/etc/passwd"), name).map(Uid::from_raw)
}

fn id(table: &str, name: &str) -> Option<u32> {
    let line = table.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_takes_its_place_with_its_mode_and_nothing_stays_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        write(&places, &places.password(), b"hash", Access { group: None, mode: 0o640 }).unwrap();
        write(&places, &places.password(), b"another", Access::PRIVATE).unwrap();
        assert_eq!(fs::read(places.password()).unwrap(), b"another");
        assert_eq!(fs::metadata(places.password()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(places.etc()).unwrap().count(), 1);
    }

    #[test]
    fn without_its_group_a_file_is_for_root_alone() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        write(&places, &places.password(), b"hash", Access::group("tenrec-web")).unwrap();
        assert_eq!(fs::metadata(places.password()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn groups_are_found_by_their_whole_name() {
        let table = "tenrec-web:x:804:\ntenrec:x:801:tenrec-admin\n";
        assert_eq!((id(table, "tenrec"), id(table, "tenrec-web"), id(table, "ten")), (Some(801), Some(804), None));
    }
}
