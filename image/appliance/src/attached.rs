//! The settings as one text: `tenrec.toml`, and behind it what it refers to, for export, import and provisioning.
//!
//! ```text
//! [forward]
//! ca = "/etc/tenrec/certs/ca.crt"
//! …
//! [attached]                      always the last table
//! "certs/ca.crt" = """
//! -----BEGIN CERTIFICATE-----
//! …"""
//! ```
//!
//! Names are relative to /etc/tenrec and of the kinds in [`KINDS`] alone, each with its owner, mode and size: whoever hands a
//! file in cannot choose where it goes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use toml::de::DeTable;

use crate::files::{self, Access};
use crate::places::Places;

/// Files that may be attached at most.
const MAX_FILES: usize = 64;
/// Bytes of a name at most, without its folder.
const MAX_NAME: usize = 64;

/// A kind of file that settings refer to.
#[derive(Debug)]
struct Kind {
    /// Folder with its slash, or nothing.
    folder: &'static str,
    /// What a name ends with; the whole name where there is no folder.
    ends: &'static str,
    access: Access,
    /// Whether it is left out of an export without secrets.
    secret: bool,
    /// Bytes at most.
    limit: usize,
    /// Units that read it when they start.
    units: &'static [&'static str],
}

const SENSOR: &[&str] = &["tenrec.service"];
const SCANNER: &[&str] = &["tenrec-scan.service", "tenrec.service"];
const VIEWER: &[&str] = &["tenrec-viewer.service"];
/// The web UI looks for itself whether its certificate, key and password changed.
const NONE: &[&str] = &[];

/// Certificates and keys are a few kilobytes, rules may be many.
#[rustfmt::skip]
const KINDS: &[Kind] = &[
    Kind { folder: "certs/", ends: ".crt", access: Access::PUBLIC, secret: false, limit: 256 << 10, units: SENSOR },
    Kind { folder: "certs/", ends: ".pem", access: Access::PUBLIC, secret: false, limit: 256 << 10, units: SENSOR },
    Kind { folder: "certs/", ends: ".key", access: Access::group("tenrec"), secret: true, limit: 64 << 10, units: SENSOR },
    Kind { folder: "rules/", ends: ".yar", access: Access::PUBLIC, secret: false, limit: 1 << 20, units: SCANNER },
    Kind { folder: "rules/", ends: ".yara", access: Access::PUBLIC, secret: false, limit: 1 << 20, units: SCANNER },
    Kind { folder: "rules/", ends: ".rules", access: Access::PUBLIC, secret: false, limit: 1 << 20, units: SENSOR },
    Kind { folder: "", ends: "opensearch.curlrc", access: Access::group("tenrec"), secret: true, limit: 4 << 10, units: SENSOR },
    Kind { folder: "", ends: "opensearch.password", access: Access::group("tenrec"), secret: true, limit: 4 << 10, units: SENSOR },
    Kind { folder: "", ends: "viewer.secret", access: Access::group("tenrec-viewer"), secret: true, limit: 4 << 10, units: VIEWER },
    Kind { folder: "", ends: "web.password", access: Access::group("tenrec-web"), secret: true, limit: 1 << 10, units: NONE },
    Kind { folder: "", ends: "web.crt", access: Access::PUBLIC, secret: false, limit: 256 << 10, units: NONE },
    Kind { folder: "", ends: "web.key", access: Access::group("tenrec-web"), secret: true, limit: 64 << 10, units: NONE },
];

/// Why a text cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachedError {
    /// The text is no TOML.
    #[error("the settings are not TOML: {0}")]
    Syntax(String),
    /// Something stands behind the files.
    #[error("[attached] must be the last table of the settings")]
    NotLast,
    /// A value is no text.
    #[error("[attached] has names of files with their text, like \"certs/ca.crt\" = \"…\"")]
    NotText,
    /// A name that may not be attached.
    #[error(
        "{0:?} cannot be attached: there are certs/*.crt, certs/*.pem, certs/*.key, rules/*.yar, rules/*.yara, rules/*.rules, opensearch.curlrc, opensearch.password, viewer.secret, web.password, web.crt and web.key"
    )]
    Name(String),
    /// Too long.
    #[error("{name} is too large: {limit} bytes at most")]
    Large { name: String, limit: usize },
    /// Too many.
    #[error("more than {MAX_FILES} files are attached")]
    Many,
}

/// Settings and what goes with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Whole {
    /// `tenrec.toml`, comments and all.
    pub(crate) settings: String,
    /// Name under /etc/tenrec and text.
    pub(crate) attached: BTreeMap<String, String>,
}

impl Whole {
    /// Divides the text.
    ///
    /// # Errors
    /// When it is no TOML, or a file is attached that may not be.
    pub(crate) fn parse(text: &str) -> Result<Self, AttachedError> {
        let document = DeTable::parse(text).map_err(|error| AttachedError::Syntax(error.message().replace('\n', ", ")))?;
        let Some(start) = document.get_ref().keys().find(|key| key.get_ref() == "attached").map(|key| key.span().start) else {
            return Ok(Self { settings: text.to_owned(), attached: BTreeMap::new() });
        };
        let start = text.get(..start).unwrap_or_default().rfind('[').ok_or(AttachedError::NotText)?;
        let (settings, tail) = text.split_at(start);
        let mut tail: toml::Table = toml::from_str(tail).map_err(|error| AttachedError::Syntax(error.message().to_owned()))?;
        let files = tail.remove("attached");
        if !tail.is_empty() {
            return Err(AttachedError::NotLast);
        }
        let Some(toml::Value::Table(files)) = files else { return Err(AttachedError::NotText) };
        if files.len() > MAX_FILES {
            return Err(AttachedError::Many);
        }
        let mut attached = BTreeMap::new();
        for (name, value) in files {
            let toml::Value::String(text) = value else { return Err(AttachedError::NotText) };
            let kind = kind(&name).ok_or_else(|| AttachedError::Name(name.clone()))?;
            if text.len() > kind.limit {
                return Err(AttachedError::Large { name, limit: kind.limit });
            }
            attached.insert(name, text);
        }
        Ok(Self { settings: settings.to_owned(), attached })
    }

    /// What is in force on this machine, with or without secrets.
    pub(crate) fn load(places: &Places, secrets: bool) -> io::Result<Self> {
        let settings = fs::read_to_string(places.settings())?;
        let mut attached = BTreeMap::new();
        for folder in ["", "certs/", "rules/"] {
            let Ok(entries) = fs::read_dir(places.etc().join(folder)) else { continue };
            for entry in entries.flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let name = format!("{folder}{name}");
                let Some(kind) = kind(&name).filter(|kind| secrets || !kind.secret) else { continue };
                // The certificate that was made here is this machine's alone: without its key it is worth nothing.
                if !secrets && name == "web.crt" {
                    continue;
                }
                if let Some(text) = read_bounded(&entry.path(), kind.limit) {
                    attached.insert(name, text);
                }
                if attached.len() >= MAX_FILES {
                    break;
                }
            }
        }
        Ok(Self { settings, attached })
    }

    /// As one text.
    pub(crate) fn to_text(&self) -> String {
        let mut text = self.settings.clone();
        if self.attached.is_empty() {
            return text;
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let table: toml::Table = self.attached.iter().map(|(name, text)| (name.clone(), toml::Value::String(text.clone()))).collect();
        let whole = toml::Table::from_iter([("attached".to_owned(), toml::Value::Table(table))]);
        text.push('\n');
        text.push_str(&toml::to_string_pretty(&whole).unwrap_or_default());
        text
    }
}

/// Writes an attached file where it belongs, as its kind wants it.
pub(crate) fn write(places: &Places, name: &str, text: &str) -> io::Result<()> {
    let kind = kind(name).ok_or(io::ErrorKind::InvalidInput)?;
    files::write(places, &places.etc().join(name), text.as_bytes(), kind.access)
}

/// The text of an attached file; none if there is no such file.
pub(crate) fn read(places: &Places, name: &str) -> Option<String> {
    read_bounded(&places.etc().join(name), kind(name)?.limit)
}

/// Units that read this file when they start.
pub(crate) fn readers(name: &str) -> &'static [&'static str] {
    kind(name).map_or(NONE, |kind| kind.units)
}

fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| {
        let Some(base) = name.strip_prefix(kind.folder) else { return false };
        if kind.folder.is_empty() {
            return base == kind.ends;
        }
        let is_plain = base.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        is_plain && base.len() <= MAX_NAME && !base.starts_with('.') && base.len() > kind.ends.len() && base.ends_with(kind.ends)
    })
}

fn read_bounded(path: &Path, limit: usize) -> Option<String> {
    let mut text = String::new();
    let file = fs::File::open(path).ok().filter(|file| file.metadata().is_ok_and(|metadata| metadata.is_file()))?;
    file.take(limit as u64).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_keep_their_comments_and_the_files_come_off() {
        let text = "# ours\n[node]\nname = \"n\" # [attached]\n\n[attached]\n\"certs/ca.crt\" = '''\nPEM\n'''\n\"viewer.secret\" = \"s\"\n";
        let whole = Whole::parse(text).unwrap();
        assert_eq!(whole.settings, "# ours\n[node]\nname = \"n\" # [attached]\n\n");
        assert_eq!(whole.attached["certs/ca.crt"], "PEM\n");
        assert_eq!(Whole::parse(&whole.to_text()).unwrap().attached, whole.attached);
        assert_eq!(Whole::parse("[node]\n").unwrap().attached.len(), 0);
    }

    #[test]
    fn only_the_known_places_can_be_written() {
        for name in
            ["certs/ca.crt", "certs/client.key", "rules/own-1.yar", "rules/emerging.rules", "opensearch.curlrc", "web.password", "web.key"]
        {
            assert!(kind(name).is_some(), "{name}");
        }
        for name in [
            "../passwd",
            "/etc/passwd",
            "certs/../web.key",
            "certs/.crt",
            "certs/.x.crt",
            "certs/a/b.crt",
            "tenrec.toml",
            "rules/x",
            "certs/a b.crt",
            "ssh/authorized_keys",
            "xweb.key",
            "certs//x.crt",
            "",
            "certs/\u{e9}.crt",
        ] {
            assert!(kind(name).is_none(), "{name}");
            let text = format!("[attached]\n{} = \"x\"\n", toml::Value::String(name.to_owned()));
            assert!(matches!(Whole::parse(&text), Err(AttachedError::Name(_))), "{name}");
        }
    }

    #[test]
    fn sizes_and_shapes_are_bounded() {
        let large = format!("[attached]\n\"viewer.secret\" = \"{}\"\n", "x".repeat(5000));
        assert!(matches!(Whole::parse(&large), Err(AttachedError::Large { limit: 4096, .. })));
        let many: String = (0..65).map(|n| format!("\"certs/{n}.crt\" = \"\"\n")).collect();
        assert!(matches!(Whole::parse(&format!("[attached]\n{many}")), Err(AttachedError::Many)));
        assert!(matches!(Whole::parse("[attached]\n\"web.key\" = 1\n"), Err(AttachedError::NotText)));
        assert!(matches!(Whole::parse("attached = 1\n"), Err(AttachedError::NotText)));
        assert!(matches!(Whole::parse("[attached]\n\"web.key\" = \"\"\n[node]\n"), Err(AttachedError::NotLast)));
        assert!(matches!(Whole::parse("[node\n"), Err(AttachedError::Syntax(_))));
    }

    #[test]
    fn an_export_without_secrets_has_none() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        fs::create_dir_all(places.etc()).unwrap();
        fs::write(places.settings(), "[node]\n").unwrap();
        for (name, text) in [("certs/ca.crt", "CA"), ("certs/client.key", "KEY"), ("viewer.secret", "SECRET"), ("web.password", "HASH")] {
            write(&places, name, text).unwrap();
        }
        fs::write(places.etc().join("stray"), "not attached").unwrap();
        let open = Whole::load(&places, false).unwrap();
        assert_eq!(open.attached.keys().collect::<Vec<_>>(), ["certs/ca.crt"]);
        let whole = Whole::load(&places, true).unwrap();
        assert_eq!(whole.attached.len(), 4);
        assert_eq!(Whole::parse(&whole.to_text()).unwrap().attached, whole.attached);
    }
}
