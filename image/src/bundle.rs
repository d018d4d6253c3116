//! Update bundles: what an appliance writes into its other slot, in one signed file.
//!
//! ```text
//! tenrec-VERSION.tenrec     a plain tar, in this order:
//!   manifest.json           version, lowest version that can take it, size and SHA-256 of each file
//!   manifest.json.minisig   minisign's signature of it
//!   vmlinuz  initrd.img  filesystem.squashfs
//! ```
//! An appliance reads it once from front to end: nothing is written before the signature has been looked at, and each file is
//! held against the manifest as it passes.

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Files of a system, in the order in which a bundle holds them.
pub(crate) const FILES: &[&str] = &["vmlinuz", "initrd.img", "filesystem.squashfs"];

/// Version of the manifest's format.
const FORMAT: u32 = 1;

/// Lowest version of a system that can take this one: it reads this bundle, and its settings can be migrated from there.
const MINIMUM: &str = "0.1.0";

#[derive(Serialize)]
struct Manifest<'a> {
    format: u32,
    version: &'a str,
    minimum: &'a str,
    files: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    size: u64,
    sha256: String,
}

/// The pair of keys that bundles are signed and verified with.
pub(crate) struct Keys {
    secret: SecretKey,
    public: PublicKey,
}

impl Keys {
    /// The key in the file that TENREC_UPDATE_KEY names (minisign's format; TENREC_UPDATE_PASSWORD if it has one), else the pair
    /// in `out`, which is made at the first build: images that were built in one folder can update each other.
    ///
    /// # Errors
    /// When the key cannot be read or made.
    pub(crate) fn find(out: &Path) -> anyhow::Result<Self> {
        let given = std::env::var_os("TENREC_UPDATE_KEY").map(PathBuf::from);
        let own = out.join("update.key");
        if given.is_none() && !own.exists() {
            return Self::make(out, &own);
        }
        let path = given.unwrap_or(own);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read the update key {}", path.display()))?;
        let sealed = SecretKeyBox::from_string(&text).with_context(|| format!("{} is no secret key of minisign", path.display()))?;
        let password = std::env::var("TENREC_UPDATE_PASSWORD").ok();
        let secret = match password {
            Some(password) => sealed.into_secret_key(Some(password)),
            None => sealed.into_unencrypted_secret_key(),
        }
        .with_context(|| format!("cannot open the update key {}: set TENREC_UPDATE_PASSWORD if it has a password", path.display()))?;
        let public = PublicKey::from_secret_key(&secret).context("the update key has no public half")?;
        Ok(Self { secret, public })
    }

    fn make(out: &Path, path: &Path) -> anyhow::Result<Self> {
        let KeyPair { pk: public, sk: secret } = KeyPair::generate_unencrypted_keypair().context("cannot make an update key")?;
        let sealed = secret.to_box(Some("Tenrec updates")).context("cannot write the update key")?.into_string();
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path);
        if let Ok(file) = &mut file {
            std::io::Write::write_all(file, sealed.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        } else {
            bail!("cannot write {}", path.display());
        }
        let keys = Self { secret, public };
        let public = out.join("update.pub");
        fs::write(&public, keys.public_text()?).with_context(|| format!("cannot write {}", public.display()))?;
        println!("image: made a key for updates, {}: keep it, it signs what this image will take", path.display());
        Ok(keys)
    }

    /// The public key, as minisign writes it.
    ///
    /// # Errors
    /// When it cannot be written out.
    pub(crate) fn public_text(&self) -> anyhow::Result<String> {
        Ok(self.public.to_box().context("cannot write the public key")?.into_string())
    }
}

/// Writes the bundle of the system files in `parts` to `to`.
///
/// # Errors
/// When a file is missing or the bundle cannot be written.
pub(crate) fn write(to: &Path, parts: &Path, version: &str, keys: &Keys, epoch: u64) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for name in FILES {
        let path = parts.join(name);
        let size = fs::metadata(&path).with_context(|| format!("cannot look at {}", path.display()))?.len();
        files.push(Entry { name, size, sha256: sha256(&path)? });
    }
    let manifest = Manifest { format: FORMAT, version, minimum: MINIMUM, files };
    let manifest = serde_json::to_vec_pretty(&manifest).context("cannot write the manifest")?;
    let comment = format!("tenrec {version}");
    let signature = minisign::sign(Some(&keys.public), &keys.secret, Cursor::new(&manifest), Some(&comment), Some(&comment))
        .context("cannot sign the manifest")?
        .into_string();

    let file = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    let mut tar = tar::Builder::new(file);
    let failed = || format!("cannot write {}", to.display());
    append(&mut tar, "manifest.json", manifest.len() as u64, epoch, &manifest[..]).with_context(failed)?;
    append(&mut tar, "manifest.json.minisig", signature.len() as u64, epoch, signature.as_bytes()).with_context(failed)?;
    for name in FILES {
        let path = parts.join(name);
        let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let size = file.metadata().with_context(|| format!("cannot look at {}", path.display()))?.len();
        append(&mut tar, name, size, epoch, file).with_context(failed)?;
    }
    tar.finish().with_context(failed)
}

fn append(tar: &mut tar::Builder<File>, name: &str, size: u64, epoch: u64, bytes: impl Read) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(epoch);
    tar.append_data(&mut header, name, bytes)
}

/// SHA-256 of a file, in hexadecimal digits.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn sha256(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut block).with_context(|| format!("cannot read {}", path.display()))?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(block.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_begins_with_its_signed_manifest_and_names_every_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in FILES {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let keys = Keys::make(folder.path(), &folder.path().join("update.key")).unwrap();
        let bundle = folder.path().join("x.tenrec");
        write(&bundle, folder.path(), "1.2.3", &keys, 1_700_000_000).unwrap();

        let mut archive = tar::Archive::new(File::open(&bundle).unwrap());
        let mut read = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            read.push((entry.path().unwrap().display().to_string(), bytes));
        }
        let names: Vec<&str> = read.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["manifest.json", "manifest.json.minisig", "vmlinuz", "initrd.img", "filesystem.squashfs"]);
        let signature = minisign::SignatureBox::from_string(&String::from_utf8(read[1].1.clone()).unwrap()).unwrap();
        minisign::verify(&keys.public, &signature, Cursor::new(&read[0].1), true, false, false).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&read[0].1).unwrap();
        assert_eq!(manifest["version"], "1.2.3");
        assert_eq!(manifest["files"][0]["sha256"], sha256(&folder.path().join("vmlinuz")).unwrap());
    }

    #[test]
    fn the_key_that_was_made_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let made = Keys::find(folder.path()).unwrap().public_text().unwrap();
        assert_eq!(Keys::find(folder.path()).unwrap().public_text().unwrap(), made);
        assert_eq!(fs::read_to_string(folder.path().join("update.pub")).unwrap(), made);
    }
}
