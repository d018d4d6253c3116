//! The first boot's secret: a code on the console that shows that whoever sets the first password stands at the machine.
//!
//! There is one exactly while there is no password. It is another at each start, and gone with the first password.

use std::fs;
use std::io;

use anyhow::{Context as _, bail};
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, SaltString};

use crate::attached;
use crate::files::{self, Access};
use crate::places::Places;

/// Characters that are not taken for each other on a bad screen: no 0 and O, no 1, I and L.
const ALPHABET: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
/// Characters of the code: 49 bits, which nobody guesses over a rate-limited form.
const LENGTH: usize = 10;
/// The name of the file in the run-time folder.
const FILE: &str = "setup-code";

/// Makes a code if there is no password, and takes it away if there is one.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn ensure(places: &Places) -> io::Result<()> {
    let path = places.run(FILE);
    if places.password().exists() {
        return fs::remove_file(path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) });
    }
    if path.exists() {
        return Ok(());
    }
    files::write(places, &path, new_code()?.as_bytes(), Access::group("tenrec-web"))
}

/// The code; empty if setup is done.
pub(crate) fn code(places: &Places) -> String {
    crate::places::read_trimmed(&places.run(FILE))
}

/// Keeps the hash of the administrator's password, and ends setup.
///
/// # Errors
/// When it is no hash of argon2id, or cannot be written.
pub(crate) fn set_password(places: &Places, hash: &str) -> anyhow::Result<()> {
    check_hash(hash)?;
    attached::write(places, "web.password", &format!("{}\n", hash.trim())).context("cannot write the password's hash")?;
    ensure(places).context("cannot take the setup code away")
}

/// Whether this is a hash that the web UI can check.
pub(crate) fn check_hash(hash: &str) -> anyhow::Result<()> {
    match PasswordHash::new(hash.trim()) {
        Ok(hash) if hash.algorithm == argon2::ARGON2ID_IDENT && hash.hash.is_some() => Ok(()),
        Ok(_) => bail!("the password's hash is not of argon2id"),
        Err(error) => bail!("this is not the hash of a password: {error}"),
    }
}

/// The hash of a password, for provisioning files.
pub(crate) fn hash(password: &str) -> anyhow::Result<String> {
    let mut salt = [0; 16];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| anyhow::anyhow!("no randomness to be had"))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| anyhow::anyhow!("no salt: {error}"))?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(|error| anyhow::anyhow!("cannot hash: {error}"))?;
    Ok(hash.to_string())
}

fn new_code() -> io::Result<String> {
    let mut code = String::new();
    while code.len() < LENGTH + 1 {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no randomness to be had"))?;
        // 248 is the largest multiple of 31 in a byte: beyond it, some characters would be likelier.
        for letter in bytes.iter().filter(|byte| **byte < 248).filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len())) {
            if code.len() == LENGTH / 2 {
                code.push('-');
            }
            if code.len() < LENGTH + 1 {
                code.push(char::from(*letter));
            }
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_two_groups_of_five_and_never_the_same() {
        let codes: std::collections::HashSet<String> = (0..100).map(|_| new_code().unwrap()).collect();
        assert_eq!(codes.len(), 100);
        for code in codes {
            let (left, right) = code.split_once('-').unwrap();
            assert_eq!((left.len(), right.len()), (5, 5), "{code}");
            assert!(code.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)), "{code}");
        }
    }

    #[test]
    fn the_first_password_ends_the_setup() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        ensure(&places).unwrap();
        let first = code(&places);
        ensure(&places).unwrap();
        assert_eq!((first.len(), code(&places)), (11, first));
        assert!(set_password(&places, "plain").is_err());
        assert!(set_password(&places, "$argon2i$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ").is_err());
        assert!(!places.password().exists());
        set_password(&places, &hash("correct horse").unwrap()).unwrap();
        assert_eq!(code(&places), "");
        assert!(places.password().exists());
    }
}
