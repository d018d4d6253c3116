//! SSH: off unless [system] says otherwise, keys alone, and its host keys on the data partition.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

use crate::files::{self, Access};
use crate::places::Places;
use crate::program::Program;

/// Names the keys that may log in; sshd_config.d/tenrec.conf points here.
const AUTHORIZED_KEYS: &str = "/etc/tenrec/ssh/authorized_keys";
const HOST_KEY: &str = "/etc/tenrec/ssh/ssh_host_ed25519_key";
const UNIT: &str = "ssh.service";

/// Starts or stops it. `wait` for it to be up, except at the machine's start, when it waits for the network, which waits for us.
///
/// # Errors
/// When keys cannot be written, or sshd does not start.
pub(crate) fn apply(places: &Places, on: bool, keys: &[String], wait: bool) -> anyhow::Result<()> {
    if !on {
        let is_there = Program::new("systemctl").args(["is-active", "--quiet", UNIT]).run().is_ok();
        if is_there {
            Program::new("systemctl").args(["stop", UNIT]).within(Duration::from_secs(30)).run().context("SSH cannot be stopped")?;
        }
        drop(fs::remove_file(places.at(AUTHORIZED_KEYS)));
        return Ok(());
    }
    // sshd reads it as the user who logs in.
    files::write(places, &places.at(AUTHORIZED_KEYS), authorized_keys(keys).as_bytes(), Access::PUBLIC)
        .context("cannot write the SSH keys")?;
    if !places.at(HOST_KEY).exists() {
        Program::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
            .arg(places.at(HOST_KEY).to_string_lossy())
            .run()
            .context("cannot make the SSH host key")?;
    }
    let how: &[&str] = if wait { &[] } else { &["--no-block"] };
    Program::new("systemctl")
        .args(how.iter().copied())
        .args(["start", UNIT])
        .within(Duration::from_secs(30))
        .run()
        .context("SSH does not start")?;
    Ok(())
}

/// One key a line, without room for forwarding or other extras, whatever sshd_config says.
fn authorized_keys(keys: &[String]) -> String {
    keys.iter().map(|key| format!("restrict,pty {}\n", key.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_do_nothing_but_open_a_terminal() {
        let keys = ["ssh-ed25519 AAAA me@here".to_owned(), "ssh-rsa BBBB ".to_owned()];
        assert_eq!(authorized_keys(&keys), "restrict,pty ssh-ed25519 AAAA me@here\nrestrict,pty ssh-rsa BBBB\n");
    }
}
