//! Update bundles: read once, front to back, and believed only after the signature.
//!
//! ```text
//! tenrec-VERSION.tenrec, a plain tar, in this order:
//!   manifest.json           format, version, oldest version that can take it, size and SHA-256 of each file
//!   manifest.json.minisig   minisign's signature of it, pre-hashed
//!   vmlinuz  initrd.img  filesystem.squashfs
//! ```
//!
//! Nothing else may be in it, and nothing in another order: what is not understood is refused.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, bail};
use minisign_verify::{PublicKey, Signature};
use serde::Deserialize;

use crate::install::SYSTEM_FILES;
use crate::places::Places;

/// The format that is known here.
const FORMAT: u32 = 1;
/// Bytes of the manifest and of its signature at most: they have a few hundred.
const MAX_TEXT: u64 = 64 << 10;
/// Bytes of a system at most: a slot has 1 GiB, less its own bookkeeping.
pub(crate) const MAX_SYSTEM: u64 = 960 << 20;
/// Keys that were built in.
const KEYS: &str = "/usr/share/tenrec/update-keys";

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    /// Version of the system in it.
    pub(crate) version: String,
    /// Oldest version that can take it.
    pub(crate) minimum: String,
    files: Vec<Part>,
}

/// A file of the system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) size: u64,
    sha256: String,
}

impl Part {
    /// Its hash.
    pub(crate) fn hash(&self) -> Option<[u8; 32]> {
        hex::decode(&self.sha256).ok()?.try_into().ok()
    }
}

impl Manifest {
    /// Whether a system of `running` may become this one.
    ///
    /// # Errors
    /// When this one is older, or the running one too old.
    pub(crate) fn may_follow(&self, running: &str) -> anyhow::Result<()> {
        let (new, least, now) = (Version::parse(&self.version)?, Version::parse(&self.minimum)?, Version::parse(running)?);
        if new < now {
            bail!("the bundle has version {}, and {running} runs: an older system is not taken", self.version);
        }
        if now < least {
            bail!("version {} takes over from {} on, and {running} runs: install one in between first", self.version, self.minimum);
        }
        Ok(())
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.format != FORMAT {
            bail!("the bundle has format {}, and {FORMAT} is known here: install a version in between first", self.format);
        }
        let names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        if names != SYSTEM_FILES {
            bail!("the bundle has {}, and not {}", names.join(", "), SYSTEM_FILES.join(", "));
        }
        if self.files.iter().any(|file| file.hash().is_none()) {
            bail!("the bundle has a hash that is none");
        }
        let sum = self.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.size));
        if sum.is_none_or(|sum| sum > MAX_SYSTEM) {
            bail!("the bundle is larger than a slot");
        }
        Ok(())
    }
}

/// A version by its numbers, which count one after the other; what follows them (`-rc1`, `+g123`) is earlier than nothing after a
/// `-`, and does not count after a `+`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    numbers: Vec<u64>,
    /// False for a pre-release, which sorts before its release.
    released: bool,
    pre: String,
}

impl Version {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let plain = text.split('+').next().unwrap_or_default();
        let (numbers, pre) = plain.split_once('-').unwrap_or((plain, ""));
        let numbers: Result<Vec<u64>, _> = numbers.split('.').map(str::parse).collect();
        match numbers {
            Ok(numbers) if numbers.len() <= 4 => Ok(Self { numbers, released: pre.is_empty(), pre: pre.to_owned() }),
            _ => bail!("{text:?} is not a version"),
        }
    }
}

/// Whether `a` is a later version than `b`.
///
/// # Errors
/// When one of them is no version.
pub(crate) fn is_later(a: &str, b: &str) -> anyhow::Result<bool> {
    Ok(Version::parse(a)? > Version::parse(b)?)
}

/// Keys that may sign updates: those that were built in, and those that the settings add.
pub(crate) fn keys(places: &Places, more: &[String]) -> anyhow::Result<Vec<PublicKey>> {
    let mut keys = Vec::new();
    let built_in = fs::read_dir(places.at(KEYS)).into_iter().flatten().flatten();
    for path in built_in.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ends| ends == "pub")) {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        keys.push(key(&text).with_context(|| path.display().to_string())?);
    }
    for text in more {
        keys.push(key(text).with_context(|| format!("system.update_keys: {text:?}"))?);
    }
    if keys.is_empty() {
        bail!("there is no key to check updates with: set system.update_keys");
    }
    Ok(keys)
}

/// minisign's file of two lines, or the second alone.
fn key(text: &str) -> anyhow::Result<PublicKey> {
    let key = if text.trim().contains('\n') { PublicKey::decode(text) } else { PublicKey::from_base64(text.trim()) };
    key.map_err(|error| anyhow::anyhow!("this is no public key of minisign: {error}"))
}

/// What a bundle says of itself, once its signature is found good.
///
/// # Errors
/// As [`read`].
pub(crate) fn manifest(bundle: impl Read, keys: &[PublicKey]) -> anyhow::Result<Manifest> {
    let mut archive = tar::Archive::new(bundle);
    head(&mut archive.entries().context(NO_BUNDLE)?, keys)
}

/// Reads a bundle: `take` has each file in turn, and must read all of it.
///
/// # Errors
/// When the bundle is not signed by one of the keys, is not what its manifest says, or `take` fails.
pub(crate) fn read(
    bundle: impl Read,
    keys: &[PublicKey],
    mut take: impl FnMut(&Part, &mut dyn Read) -> anyhow::Result<()>,
) -> anyhow::Result<Manifest> {
    let mut archive = tar::Archive::new(bundle);
    let mut entries = archive.entries().context(NO_BUNDLE)?;
    let manifest = head(&mut entries, keys)?;
    for part in &manifest.files {
        let mut entry = next(&mut entries, &part.name)?;
        if entry.size() != part.size {
            bail!("{} has {} bytes, and {} by the manifest", part.name, entry.size(), part.size);
        }
        take(part, &mut entry)?;
    }
    if entries.next().is_some() {
        bail!("the bundle has more in it than a system");
    }
    Ok(manifest)
}

const NO_BUNDLE: &str = "this is no update bundle";

fn head<R: Read>(entries: &mut tar::Entries<'_, R>, keys: &[PublicKey]) -> anyhow::Result<Manifest> {
    let manifest_text = text(next(entries, "manifest.json")?)?;
    let signature = text(next(entries, "manifest.json.minisig")?)?;
    verify(&manifest_text, &signature, keys)?;
    let manifest: Manifest = serde_json::from_slice(&manifest_text).context("the bundle's manifest is not understood")?;
    manifest.check()?;
    Ok(manifest)
}

fn next<'a, R: Read>(entries: &mut tar::Entries<'a, R>, name: &str) -> anyhow::Result<tar::Entry<'a, R>> {
    let entry = entries.next().with_context(|| format!("the bundle ends before {name}"))?.context(NO_BUNDLE)?;
    let is_it = entry.header().entry_type().is_file() && entry.path_bytes().as_ref() == name.as_bytes();
    if is_it { Ok(entry) } else { bail!("{NO_BUNDLE}: {name} is not where it belongs") }
}

fn text(entry: tar::Entry<'_, impl Read>) -> anyhow::Result<Vec<u8>> {
    if entry.size() > MAX_TEXT {
        bail!("the bundle's manifest is too large");
    }
    let mut text = Vec::new();
    entry.take(MAX_TEXT).read_to_end(&mut text).context("the bundle cannot be read")?;
    Ok(text)
}

fn verify(manifest: &[u8], signature: &[u8], keys: &[PublicKey]) -> anyhow::Result<()> {
    let signature = Signature::decode(&String::from_utf8_lossy(signature))
        .map_err(|error| anyhow::anyhow!("the bundle's signature is none: {error}"))?;
    if keys.iter().any(|key| key.verify(manifest, &signature, false).is_ok()) {
        return Ok(());
    }
    bail!("the bundle is not signed by a key that is known here (built in, or in system.update_keys)")
}

/// What a bundle says, for people: `tenrec-appliance bundle-info`.
pub(crate) fn info(path: &Path, keys: &[PublicKey]) -> anyhow::Result<String> {
    let mut lines = String::new();
    let file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest = read(file, keys, |part, from| {
        let (size, hash) = digest(from)?;
        let is_whole = size == part.size && Some(hash) == part.hash();
        lines.push_str(&format!("  {:<20} {:>12}  {}\n", part.name, part.size, if is_whole { "good" } else { "DAMAGED" }));
        Ok(())
    })?;
    Ok(format!("version {}, takes over from {} on, signature good\n{lines}", manifest.version, manifest.minimum))
}

fn digest(from: &mut dyn Read) -> anyhow::Result<(u64, [u8; 32])> {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    let size = std::io::copy(from, &mut hash)?;
    Ok((size, hash.finalize().into()))
}

#[cfg(test)]
pub(crate) mod testing {
    use std::io::Cursor;

    use minisign::KeyPair;
    use sha2::{Digest as _, Sha256};

    /// A bundle that is made here, with its key.
    pub(crate) fn make(version: &str, minimum: &str, files: &[(&str, &[u8])]) -> (Vec<u8>, String) {
        let parts: Vec<serde_json::Value> = files
            .iter()
            .map(|(name, bytes)| serde_json::json!({"name": name, "size": bytes.len(), "sha256": hex::encode(Sha256::digest(bytes))}))
            .collect();
        signed(&serde_json::json!({"format": 1, "version": version, "minimum": minimum, "files": parts}).to_string(), files)
    }

    pub(crate) fn signed(manifest: &str, files: &[(&str, &[u8])]) -> (Vec<u8>, String) {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let signature = minisign::sign(Some(&pair.pk), &pair.sk, Cursor::new(manifest), None, None).unwrap().into_string();
        let mut tar = tar::Builder::new(Vec::new());
        let head = [("manifest.json", manifest.as_bytes()), ("manifest.json.minisig", signature.as_bytes())];
        for (name, bytes) in head.iter().chain(files) {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        (tar.into_inner().unwrap(), pair.pk.to_base64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(&str, &[u8]); 3] = [("vmlinuz", b"kernel"), ("initrd.img", b"initrd"), ("filesystem.squashfs", b"system")];

    fn try_read(bundle: &[u8], key_text: &str) -> anyhow::Result<(Manifest, Vec<Vec<u8>>)> {
        let mut taken = Vec::new();
        let manifest = read(bundle, &[key(key_text)?], |_, from| {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes)?;
            taken.push(bytes);
            Ok(())
        })?;
        Ok((manifest, taken))
    }

    #[test]
    fn a_signed_bundle_gives_its_files_in_order() {
        let (bundle, key) = testing::make("1.2.0", "1.0", &FILES);
        let (manifest, taken) = try_read(&bundle, &key).unwrap();
        assert_eq!((manifest.version.as_str(), manifest.bytes()), ("1.2.0", 18));
        assert_eq!(taken, FILES.map(|(_, bytes)| bytes.to_vec()));
    }

    #[test]
    fn no_file_is_taken_of_a_bundle_that_someone_else_signed() {
        let (bundle, _) = testing::make("1.2.0", "1.0", &FILES);
        let (_, another) = testing::make("1.2.0", "1.0", &FILES);
        assert!(try_read(&bundle, &another).unwrap_err().to_string().contains("not signed"));
        let mut changed = bundle.clone();
        let at = changed.windows(5).position(|bytes| bytes == b"1.2.0").unwrap();
        changed[at] = b'9';
        let key = testing::make("1", "1", &FILES).1;
        assert!(try_read(&changed, &key).is_err());
    }

    #[test]
    fn what_is_not_a_bundle_is_refused_and_never_panics() {
        let (bundle, key) = testing::make("1.2.0", "1.0", &FILES);
        for length in (0..bundle.len() - 1024).step_by(97) {
            assert!(try_read(&bundle[..length], &key).is_err(), "{length}");
        }
        for text in [
            r#"{"format":2,"version":"1","minimum":"1","files":[]}"#,
            r#"{"format":1,"version":"1","minimum":"1","files":[]}"#,
            r#"{"format":1,"version":"1","minimum":"1","files":[{"name":"vmlinuz","size":1,"sha256":"x"},{"name":"initrd.img","size":1,"sha256":"x"},{"name":"filesystem.squashfs","size":1,"sha256":"x"}]}"#,
            "not json",
        ] {
            let (bundle, key) = testing::signed(text, &[]);
            assert!(try_read(&bundle, &key).is_err(), "{text}");
        }
        let swapped = [FILES[1], FILES[0], FILES[2]];
        let (bundle, key) = testing::make("1", "1", &swapped);
        assert!(try_read(&bundle, &key).unwrap_err().to_string().contains("and not"));
        let more = [FILES[0], FILES[1], FILES[2], ("extra", b"x" as &[u8])];
        let (bundle, key) = testing::make("1", "1", &more);
        assert!(try_read(&bundle, &key).is_err());
    }

    #[test]
    fn an_older_system_and_too_long_a_step_are_refused() {
        let manifest = |version: &str, minimum: &str| Manifest {
            format: 1,
            version: version.to_owned(),
            minimum: minimum.to_owned(),
            files: Vec::new(),
        };
        assert!(manifest("1.10.0", "1.0").may_follow("1.9.3").is_ok());
        assert!(manifest("1.9.3", "1.0").may_follow("1.9.3").is_ok());
        assert!(manifest("1.9.2", "1.0").may_follow("1.9.3").unwrap_err().to_string().contains("older"));
        assert!(manifest("2.0.0", "1.5").may_follow("1.4.9").unwrap_err().to_string().contains("in between"));
        assert!(manifest("2.0.0-rc1", "1.5").may_follow("2.0.0").is_err());
        assert!(manifest("2.0.0", "1.5").may_follow("2.0.0-rc1").is_ok());
        assert!(manifest("x", "1").may_follow("1").is_err());
        assert!(is_later("0.1.0+g2", "0.1.0+g1").is_ok_and(|later| !later));
    }
}
