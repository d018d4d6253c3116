//! Settings for a sensor that nobody sits at, as an operator would write them: `tenrec-settings.toml`.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow};
use argon2::password_hash::{PasswordHasher as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::central::{Central, PASSWORD, USER};
use crate::guest::{CAPTURE, CENTRAL};
use crate::wizard::{ADMIN, NODE};

/// Captures on [`CAPTURE`], carves everything, delivers to `central`.
pub(crate) fn settings(central: &Central) -> anyhow::Result<String> {
    let password_hash = hash(ADMIN)?;
    let mut text = format!(
        "[node]\nname = \"{NODE}\"\n\n[capture]\ninterfaces = [\"{CAPTURE}\"]\n\n[files]\ncarving = \"all\"\n\n\
         [forward]\nenabled = true\nhosts = [\"{CENTRAL}:5044\"]\nca = \"/etc/tenrec/certs/ca.crt\"\n\
         certificate = \"/etc/tenrec/certs/client.crt\"\nkey = \"/etc/tenrec/certs/client.key\"\n\n\
         [opensearch]\nenabled = true\nhosts = [\"https://{CENTRAL}:9200\"]\nca = \"/etc/tenrec/certs/ca.crt\"\n\
         password_file = \"/etc/tenrec/opensearch.curlrc\"\n\n[attached]\n"
    );
    let files = &central.files;
    for (name, path) in [("certs/ca.crt", &files.ca), ("certs/client.crt", &files.client), ("certs/client.key", &files.client_key)] {
        let pem = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        // Writing into a String does not fail.
        let _ = write!(text, "\"{name}\" = '''\n{}'''\n", pem.trim_start());
    }
    let _ = write!(text, "\"opensearch.curlrc\" = 'user: \"{USER}:{PASSWORD}\"'\n\"web.password\" = '{password_hash}'\n");
    Ok(text)
}

/// Argon2id at small costs, since the guest's processor is emulated.
fn hash(password: &str) -> anyhow::Result<String> {
    let salt = SaltString::encode_b64(b"of the iso-tests").map_err(|error| anyhow!("no salt: {error}"))?;
    let costs = Params::new(8 << 10, 1, 1, None).map_err(|error| anyhow!("no costs: {error}"))?;
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, costs).hash_password(password.as_bytes(), &salt);
    Ok(hash.map_err(|error| anyhow!("no hash: {error}"))?.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use argon2::password_hash::{PasswordHash, PasswordVerifier as _};

    use super::*;

    #[test]
    fn the_settings_are_valid_and_the_password_is_the_administrators() {
        let folder = tempfile::tempdir().expect("a folder");
        let central = Central::start(folder.path()).expect("a centre");
        let text = settings(&central).expect("settings");
        let (own, attached) = text.split_once("[attached]").expect("a table of what is attached");
        let parsed = settings::Settings::parse(own, Path::new("provision"), |_| None).expect("valid settings");
        assert_eq!(parsed.capture.interfaces, [CAPTURE]);
        let hash = attached.split("'").find(|part| part.starts_with("$argon2id$")).expect("a hash");
        let hash = PasswordHash::new(hash).expect("a PHC string");
        assert!(Argon2::default().verify_password(ADMIN.as_bytes(), &hash).is_ok());
    }
}
