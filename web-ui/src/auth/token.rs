//! Tokens by which programs ask /metrics and /api. Only their digests are kept, in a file of the web UI's own folder.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::random;

/// Tokens at most.
const MAX_TOKENS: usize = 32;
/// Characters of a token's name.
const MAX_NAME: usize = 64;
/// What a token begins with, so that it is known where it turns up.
const PREFIX: &str = "tenrec_";

/// What is kept of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Token {
    /// What it is for.
    pub(crate) name: String,
    /// SHA-256 in hexadecimal.
    digest: String,
    /// Whether it may change anything.
    pub(crate) changes: bool,
    /// Seconds since 1970 when it was made.
    pub(crate) made: f64,
}

/// All tokens.
pub(crate) struct Tokens {
    file: Option<PathBuf>,
    all: Mutex<Vec<Token>>,
}

impl Tokens {
    /// Reads them from the folder; without one there are none.
    pub(crate) fn load(folder: Option<&Path>) -> Self {
        let file = folder.map(|folder| folder.join("tokens.json"));
        let all = match file.as_ref().map(fs::read) {
            Some(Ok(bytes)) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(%error, "the file of tokens is not readable; no token is known");
                Vec::new()
            }),
            _ => Vec::new(),
        };
        Self { file, all: Mutex::new(all) }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Token>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that someone shows.
    pub(crate) fn find(&self, shown: &str) -> Option<Token> {
        let digest = hex::encode(random::digest("token", shown));
        self.all().iter().find(|token| random::same(&token.digest, &digest)).cloned()
    }

    /// What there is.
    pub(crate) fn list(&self) -> Vec<Token> {
        self.all().clone()
    }

    /// Makes one and gives its text, which is not to be had again.
    ///
    /// # Errors
    /// In words for whoever asked for it.
    pub(crate) fn make(&self, name: &str, changes: bool) -> Result<String, String> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(format!("a token needs a name, 1 to {MAX_NAME} characters"));
        }
        let mut all = self.all();
        if all.iter().any(|token| token.name == name) {
            return Err("there is a token of this name already: revoke it first, or choose another".to_owned());
        }
        if all.len() >= MAX_TOKENS {
            return Err(format!("there are {MAX_TOKENS} tokens already, the most there can be: revoke one first"));
        }
        let text = random::text().map(|text| format!("{PREFIX}{text}")).map_err(|error| error.to_string())?;
        let made = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
        all.push(Token { name: name.to_owned(), digest: hex::encode(random::digest("token", &text)), changes, made });
        self.save(&all).map_err(|error| {
            all.pop();
            format!("the token could not be kept ({error}): see whether the state folder can be written")
        })?;
        Ok(text)
    }

    /// Revokes one; whether there was one.
    ///
    /// # Errors
    /// In words for whoever asked for it.
    pub(crate) fn revoke(&self, name: &str) -> Result<bool, String> {
        let mut all = self.all();
        let before = all.len();
        all.retain(|token| token.name != name);
        self.save(&all).map_err(|error| format!("it is revoked until the next start alone, since it could not be written: {error}"))?;
        Ok(all.len() < before)
    }

    fn save(&self, all: &[Token]) -> io::Result<()> {
        let Some(file) = &self.file else { return Err(io::Error::other("there is no state folder, see --state")) };
        let new = file.with_extension("new");
        let mut out = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        out.write_all(&serde_json::to_vec_pretty(all).map_err(io::Error::other)?)?;
        out.sync_all()?;
        fs::rename(&new, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_until_it_is_revoked_and_its_text_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::load(Some(folder.path()));
        let text = tokens.make("prometheus", false).unwrap();
        assert!(tokens.make("prometheus", true).is_err(), "names are unique");
        assert!(!fs::read_to_string(folder.path().join("tokens.json")).unwrap().contains(&text));
        let again = Tokens::load(Some(folder.path()));
        assert!(again.find(&text).is_some_and(|token| token.name == "prometheus" && !token.changes));
        assert!(again.find("tenrec_other").is_none());
        assert_eq!(again.revoke("prometheus"), Ok(true));
        assert!(again.find(&text).is_none() && Tokens::load(Some(folder.path())).find(&text).is_none());
    }
}
