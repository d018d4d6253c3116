//! `tenrec-web password`: sets the administrator's password on a machine that is no appliance.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::auth::password;

/// Asks for a password twice, or reads one line where nobody types, and writes its hash to the file.
///
/// # Errors
/// When the password will not do, or the file cannot be written.
pub fn set_password(file: &Path) -> anyhow::Result<()> {
    let (first, again) = if io::stdin().is_terminal() {
        (ask("new password: ")?, ask("the same again: ")?)
    } else {
        let line = read_line()?;
        (line.clone(), line)
    };
    if let Some((_, what)) = password::refuse(&first, &again) {
        bail!("{what}");
    }
    write(file, &password::hash(&first)?)
        .with_context(|| format!("cannot write {}: run this as root, or choose another place with --file", file.display()))?;
    println!("the password is set; its hash is in {}", file.display());
    Ok(())
}

fn ask(prompt: &str) -> anyhow::Result<String> {
    let stdin = io::stdin();
    print!("{prompt}");
    io::stdout().flush()?;
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let line = read_line();
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    println!();
    line
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// As a new file that takes the place of the old one, and belongs to the folder's group so that the web UI may read it.
fn write(file: &Path, hash: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut out = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o640).open(&new)?;
    writeln!(out, "{hash}")?;
    out.sync_all()?;
    let group = fs::metadata(file).or_else(|_| fs::metadata(file.parent().unwrap_or(Path::new("/"))))?.gid();
    // Who may not give it away keeps it: that is for whoever runs this as themselves.
    drop(std::os::unix::fs::chown(&new, None, Some(group)));
    fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_hash_takes_the_place_of_the_old_one_and_is_not_for_everyone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("web.password");
        for password in ["of many words", "of other words"] {
            write(&file, &password::hash(password).unwrap()).unwrap();
            assert!(password::stored(&file).is_some());
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
