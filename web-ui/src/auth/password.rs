//! The administrator's password: its hash in a file, argon2id.

use std::path::Path;
use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::random;

/// Characters that a password has at least. Length is what counts (NIST SP 800-63B §5.1.1.2).
pub(crate) const MIN_CHARACTERS: usize = 12;
/// Bytes that a password has at most, so that hashing stays cheap for us.
pub(crate) const MAX_BYTES: usize = 1024;
/// Bytes of a file with a hash.
const MAX_FILE: u64 = 1024;

/// Hashes one password at a time: each takes 19 MiB and a tenth of a second.
#[derive(Clone)]
pub(crate) struct Hashing(Arc<Semaphore>);

impl Default for Hashing {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Hashing {
    /// Whether `password` is the one whose hash is in the file.
    pub(crate) async fn verify(&self, file: &Path, password: String) -> bool {
        let Some(hash) = stored(file) else { return false };
        self.alone(move || verifies(&hash, &password)).await.unwrap_or(false)
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(crate) async fn hash(&self, password: String) -> std::io::Result<String> {
        self.alone(move || hash(&password)).await.unwrap_or_else(|| Err(std::io::Error::other("hashing broke off")))
    }

    async fn alone<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _turn = self.0.acquire().await.ok()?;
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// What is wrong with a new password that was typed twice.
pub(crate) fn refuse(password: &str, again: &str) -> Option<(&'static str, String)> {
    if password.chars().count() < MIN_CHARACTERS {
        return Some(("password", format!("at least {MIN_CHARACTERS} characters, please: a few words are fine")));
    }
    if password.len() > MAX_BYTES {
        return Some(("password", format!("at most {MAX_BYTES} bytes, please")));
    }
    (password != again).then(|| ("password_again", "this is not the same as above".to_owned()))
}

/// The hash in a file; none if it is missing, empty or no hash.
pub(crate) fn stored(file: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file).ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
    let text = text.trim();
    PasswordHash::new(text).is_ok().then(|| text.to_owned())
}

/// Hashes with argon2id.
///
/// # Errors
/// When there are no random bytes.
pub(crate) fn hash(password: &str) -> std::io::Result<String> {
    let salt = SaltString::encode_b64(&random::bytes::<16>()?).map_err(other)?;
    // OWASP's first choice: 19 MiB, two passes, one lane; also the library's default, pinned here.
    let params = Params::new(19 * 1024, 2, 1, None).map_err(other)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(argon2.hash_password(password.as_bytes(), &salt).map_err(other)?.to_string())
}

/// An error of the library, which is no `std` one.
fn other(error: impl std::fmt::Display) -> std::io::Error {
    std::io::Error::other(error.to_string())
}

fn verifies(hash: &str, password: &str) -> bool {
    // The parameters are those of the hash.
    password.len() <= MAX_BYTES
        && PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_no_other_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("web.password");
        let hashing = Hashing::default();
        assert!(!hashing.verify(&file, "of many words".into()).await, "no file, no password");
        let hash = hashing.hash("of many words".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        std::fs::write(&file, format!("{hash}\n")).unwrap();
        assert!(hashing.verify(&file, "of many words".into()).await);
        assert!(!hashing.verify(&file, "of many word".into()).await);
        std::fs::write(&file, "").unwrap();
        assert!(!hashing.verify(&file, String::new()).await, "an empty file is no password");
    }

    #[test]
    fn short_and_mistyped_passwords_are_refused_at_their_field() {
        assert_eq!(refuse("short", "short").unwrap().0, "password");
        assert_eq!(refuse("long enough it is", "long enough it i").unwrap().0, "password_again");
        assert_eq!(refuse("long enough it is", "long enough it is"), None);
    }
}
