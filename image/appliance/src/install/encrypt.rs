//! LUKS2 for the data partition: made, opened for the installer, bound to the TPM.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use settings::appliance::Encryption;

use crate::program::Program;

/// Name of the opened device while installing.
const NAME: &str = "tenrec-install";
/// Characters of a passphrase at least, as the request says.
const SHORTEST: usize = 12;
/// Argon2id is to take about two seconds of the machine that will ask for the passphrase.
const KEY_TIME_MS: &str = "2000";
/// Making a key slot takes those seconds, and many more on a slow machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// An opened device, closed when it is gone.
#[derive(Debug)]
pub(crate) struct Opened;

impl Opened {
    /// Where its plain text is.
    pub(crate) fn device(&self) -> PathBuf {
        Path::new("/dev/mapper").join(NAME)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Err(error) = Program::new("cryptsetup").args(["close", NAME]).within(PATIENCE).run() {
            tracing::warn!(%error, "the encrypted partition stays open until the restart");
        }
    }
}

/// Checks what is asked for before anything is erased.
///
/// # Errors
/// When the passphrase is too short, or there is no TPM.
pub(crate) fn check(encryption: Encryption, passphrase: &str) -> anyhow::Result<()> {
    match encryption {
        Encryption::None => {}
        Encryption::Passphrase if passphrase.chars().count() < SHORTEST => {
            bail!("the passphrase is too short: {SHORTEST} characters at least")
        }
        Encryption::Passphrase if passphrase.chars().any(char::is_control) => bail!("the passphrase has characters that no keyboard types"),
        Encryption::Passphrase => {}
        Encryption::Tpm2 if !Path::new("/sys/class/tpmrm/tpmrm0").exists() => {
            bail!("this machine has no TPM 2.0, or it is switched off in the firmware: choose a passphrase")
        }
        Encryption::Tpm2 => {}
    }
    Ok(())
}

/// Makes the encrypted device and opens it. With a TPM, gives the recovery key that is to be shown once.
///
/// # Errors
/// When the device cannot be written, or the TPM refuses.
pub(crate) fn make(device: &Path, encryption: Encryption, passphrase: &str) -> anyhow::Result<(Opened, Option<String>)> {
    let device = device.to_string_lossy();
    let work = tempfile::tempdir().context("no temporary folder")?;
    let key_file = work.path().join("key");
    let key = if encryption == Encryption::Tpm2 { random_key()? } else { passphrase.to_owned() };
    // In memory: the unit's /tmp is, and nobody else sees it.
    std::fs::write(&key_file, &key)?;
    let key_path = key_file.to_string_lossy().into_owned();

    Program::new("cryptsetup")
        .args([
            "luksFormat",
            "--batch-mode",
            "--type",
            "luks2",
            "--pbkdf",
            "argon2id",
            "--iter-time",
            KEY_TIME_MS,
            "--key-file",
            &key_path,
            &device,
        ])
        .within(PATIENCE)
        .run()
        .context("the data partition cannot be encrypted")?;
    Program::new("cryptsetup")
        .args(["open", "--type", "luks2", "--key-file", &key_path, &device, NAME])
        .within(PATIENCE)
        .run()
        .context("the encrypted data partition cannot be opened")?;
    let opened = Opened;
    let recovery = if encryption == Encryption::Tpm2 { Some(enroll(&device, &key_path)?) } else { None };
    Ok((opened, recovery))
}

/// Binds the device to this machine's TPM and its Secure Boot state (PCR 7), adds a recovery key, and takes the first key away.
fn enroll(device: &str, key_path: &str) -> anyhow::Result<String> {
    let unlock = format!("--unlock-key-file={key_path}");
    let enroll = |arguments: &[&str]| {
        Program::new("systemd-cryptenroll").args([unlock.as_str()]).args(arguments.iter().copied()).arg(device).within(PATIENCE).run()
    };
    enroll(&["--tpm2-device=auto", "--tpm2-pcrs=7"]).context("the TPM does not take the key")?;
    let printed = enroll(&["--recovery-key"]).context("no recovery key can be made")?;
    enroll(&["--wipe-slot=password"]).context("the first key cannot be taken away")?;
    recovery_key(&printed).context("systemd-cryptenroll shows no recovery key")
}

/// The line of eight groups of eight letters, of which a recovery key consists.
fn recovery_key(printed: &str) -> Option<String> {
    let is_key = |word: &&str| {
        word.split('-').count() == 8 && word.split('-').all(|group| group.len() == 8 && group.bytes().all(|byte| byte.is_ascii_lowercase()))
    };
    printed.split_whitespace().find(is_key).map(str::to_owned)
}

fn random_key() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("no randomness to be had"))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_passphrase_is_refused_before_anything_is_erased() {
        assert!(check(Encryption::Passphrase, "elevenchars").is_err());
        assert!(check(Encryption::Passphrase, "twelve chars").is_ok());
        assert!(check(Encryption::Passphrase, "twelve\nchars").is_err());
        assert!(check(Encryption::None, "").is_ok());
    }

    #[test]
    fn the_recovery_key_is_found_among_the_words_around_it() {
        let key = ["bcdefghi"; 8].join("-");
        assert_eq!(
            recovery_key(&format!("A secret recovery key has been generated\n\n    {key}\n\nPlease save")).as_deref(),
            Some(key.as_str())
        );
        assert_eq!(recovery_key("no key"), None);
    }
}
