//! What an image must keep to, looked up in the finished one: whoever builds it is not to be found in it, nobody can log in, no
//! file mode gives privileges, and it is no larger than promised.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use memchr::memmem::Finder;

use crate::program::{Log, whole};

/// Largest ISO, bytes: 300 MB.
pub(crate) const MAX_ISO: u64 = 300_000_000;

/// Looks the finished parts of an image over. `leaks` are strings that must not occur in any file.
///
/// # Errors
/// When something is not as promised; all of it is told at once.
pub(crate) fn check(iso: &Path, squashfs: &Path, leaks: &[String], scratch: &Path, log: &mut Log) -> anyhow::Result<()> {
    let size = fs::metadata(iso).with_context(|| format!("cannot look at {}", iso.display()))?.len();
    ensure!(size <= MAX_ISO, "the image has {size} bytes, more than the {MAX_ISO} that it may have");
    let root = scratch.join("root");
    log.run(Command::new("unsquashfs").args(["-no-progress", "-no-xattrs", "-dest"]).arg(&root).arg(squashfs), whole)?;

    let mut wrong = Vec::new();
    let finders: Vec<Finder<'_>> = leaks.iter().map(|leak| Finder::new(leak.as_bytes())).collect();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
            let data = path.symlink_metadata().with_context(|| format!("cannot look at {}", path.display()))?;
            if data.is_dir() {
                folders.push(path);
            } else if data.is_file() {
                if data.permissions().mode() & 0o6000 != 0 {
                    wrong.push(format!("{} is setuid or setgid", inside(&root, &path)));
                }
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                for (finder, leak) in finders.iter().zip(leaks) {
                    if finder.find(&bytes).is_some() {
                        wrong.push(format!("{} holds {leak:?}, which is this machine's", inside(&root, &path)));
                    }
                }
            }
        }
    }
    let shadow = fs::read_to_string(root.join("etc/shadow")).context("the image has no /etc/shadow")?;
    wrong.extend(logins(&shadow).map(|name| format!("/etc/shadow lets {name} log in with a password, or without one")));
    for gone in ["etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_rsa_key", "etc/tenrec/web.key"] {
        if root.join(gone).exists() {
            wrong.push(format!("/{gone} is in the image: every appliance would have the same"));
        }
    }
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.sort();
    bail!("the image is not as it must be:\n    {}", wrong.join("\n    "))
}

/// Accounts of a shadow(5) file whose second field a password could match.
fn logins(shadow: &str) -> impl Iterator<Item = &str> {
    shadow.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, password) = (fields.next()?, fields.next()?);
        (!password.starts_with(['*', '!'])).then_some(name)
    })
}

fn inside(root: &Path, path: &Path) -> String {
    PathBuf::from("/").join(path.strip_prefix(root).unwrap_or(path)).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_with_a_hash_or_without_a_password_is_named() {
        let shadow = "root:*:20000:0:::::\ndaemon:!:1::::::\nada:$y$j9T$abc:1::::::\nempty::1::::::\nlocked:!*:1::::::\n";
        assert_eq!(logins(shadow).collect::<Vec<_>>(), ["ada", "empty"]);
    }
}
