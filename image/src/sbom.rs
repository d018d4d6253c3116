//! The bill of materials: Debian's packages in the image and the crates that its programs were locked to, as CycloneDX 1.5.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::place::{Place, VERSION};

#[derive(Deserialize)]
struct Lock {
    package: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// Writes it to `to`. `packages` is dpkg-query's list: name, tab, version.
///
/// # Errors
/// When a lock file cannot be read or the bill not be written.
pub(crate) fn write(to: &Path, place: &Place, packages: &str) -> anyhow::Result<()> {
    let mut components: Vec<Value> = packages.lines().filter_map(package).collect();
    for lock in ["Cargo.lock", "ebpf/Cargo.lock"] {
        let path = place.tree.join(lock);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let lock: Lock = toml::from_str(&text).with_context(|| format!("{} is no lock file", path.display()))?;
        components.extend(lock.package.iter().filter_map(krate));
    }
    components.sort_by_key(|component| component.get("purl").map(Value::to_string));
    components.dedup();
    let time = jiff::Timestamp::from_second(i64::try_from(place.epoch).unwrap_or_default()).context("SOURCE_DATE_EPOCH is no time")?;
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time.to_string(),
            "component": { "type": "operating-system", "name": "tenrec", "version": VERSION },
        },
        "components": components,
    });
    let text = serde_json::to_string_pretty(&bill).context("cannot write the bill of materials")?;
    fs::write(to, text + "\n").with_context(|| format!("cannot write {}", to.display()))
}

fn package(line: &str) -> Option<Value> {
    let (name, version) = line.split_once('\t')?;
    // dpkg-query qualifies names of packages that can be had for several machines.
    let name = name.split(':').next()?;
    let quoted = version.replace('%', "%25").replace(':', "%3A").replace('+', "%2B").replace('~', "%7E");
    Some(json!({
        "type": "library",
        "name": name,
        "version": version,
        "purl": format!("pkg:deb/debian/{name}@{quoted}?distro=trixie"),
    }))
}

/// Crates from a registry; the workspace's own are the image's version.
fn krate(krate: &Crate) -> Option<Value> {
    krate.source.as_ref()?;
    let mut component = json!({
        "type": "library",
        "name": krate.name,
        "version": krate.version,
        "purl": format!("pkg:cargo/{}@{}", krate.name, krate.version),
    });
    if let (Some(checksum), Some(fields)) = (&krate.checksum, component.as_object_mut()) {
        fields.insert("hashes".to_owned(), json!([{ "alg": "SHA-256", "content": checksum }]));
    }
    Some(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_crates_have_package_urls() {
        assert_eq!(
            package("libssl3t64:amd64\t3.5.1-1+deb13u1").unwrap()["purl"],
            "pkg:deb/debian/libssl3t64@3.5.1-1%2Bdeb13u1?distro=trixie"
        );
        let lock: Lock = toml::from_str(
            "version = 4\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"registry\"\nchecksum = \"ab\"\n[[package]]\nname = \"tenrec\"\nversion = \"0.1.0\"\n",
        )
        .unwrap();
        let crates: Vec<Value> = lock.package.iter().filter_map(krate).collect();
        assert_eq!(crates.len(), 1);
        assert_eq!(crates[0]["purl"], "pkg:cargo/serde@1.0.1");
        assert_eq!(crates[0]["hashes"][0]["content"], "ab");
    }
}
