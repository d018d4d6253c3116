//! Changes to the text of the settings: a key at a time, with every comment kept, and the files that travel with it.
//!
//! ```text
//! # the operator's own words stay
//! [pcap]
//! rotate_minutes = 5     # so do these
//!
//! [attached]             # only while settings travel: relative name under /etc/tenrec -> text
//! "certs/ca.crt" = """-----BEGIN CERTIFICATE-----…"""
//! ```
//!
//! The wizard and the settings page write through [`Draft`] alone. It holds text that may be wrong, so that a form can
//! show what was typed; [`Draft::check`] says whether it is [`Settings`].

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr as _;

use toml_edit::{Array, DocumentMut, Item, Table, Value};

use crate::values::{
    AnalysisMode, CaptureMode, CarvingMode, ClientCertificates, Compression, Malcolm, Preservation, Profile, Verify, ZeekFormat,
};
use crate::{Error, Key, Problem, SECTIONS, Section, Sections, Settings};

/// Name of the table of attached files.
pub const ATTACHED: &str = "attached";

/// Files that may be attached at most: a handful of certificates, keys, and rules of one's own.
pub const MAX_ATTACHED: usize = 64;

/// Bytes of one attached file at most: certificates are a few kilobytes, rules may be many.
pub const MAX_ATTACHED_BYTES: usize = 1 << 20;

/// Bytes of a whole text with what is attached to it: as JSON it has to fit into a line of the appliance's socket.
pub const MAX_BYTES: usize = 3 << 20;

/// How a key is typed into a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Switch,
    /// A whole number.
    Number,
    /// A line of text.
    Text,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Texts, one a line.
    List,
    /// A text that is never shown.
    Secret,
}

impl Kind {
    /// The kind of a key: by its default, or by its example where it has none.
    #[must_use]
    pub fn of(section: &str, key: &Key) -> Self {
        if key.name.ends_with("password") || key.name.ends_with("secret") {
            return Self::Secret;
        }
        if let Some(words) = words(section, key.name) {
            return Self::Choice(words);
        }
        match default_of(section, key.name).or_else(|| toml::from_str::<toml::Table>(&format!("v = {}", key.example)).ok()?.remove("v")) {
            Some(toml::Value::Boolean(_)) => Self::Switch,
            Some(toml::Value::Integer(_)) => Self::Number,
            Some(toml::Value::Array(_)) => Self::List,
            _ => Self::Text,
        }
    }
}

/// The words of keys that have a few.
fn words(section: &str, key: &str) -> Option<&'static [&'static str]> {
    Some(match (section, key) {
        ("node", "malcolm") => Malcolm::WORDS,
        ("capture", "mode") => CaptureMode::WORDS,
        ("pcap", "compression") => Compression::WORDS,
        ("analysis", "mode") => AnalysisMode::WORDS,
        ("analysis", "zeek") => ZeekFormat::WORDS,
        ("analysis", "profile") => Profile::WORDS,
        ("files", "carving") => CarvingMode::WORDS,
        ("files", "preservation") => Preservation::WORDS,
        ("forward" | "opensearch", "verify") => Verify::WORDS,
        ("collector", "client_certificates") => ClientCertificates::WORDS,
        _ => return None,
    })
}

fn default_of(section: &str, key: &str) -> Option<toml::Value> {
    toml::Table::try_from(Sections::default()).ok()?.remove(section)?.as_table_mut()?.remove(key)
}

/// The key of a section, where there is one.
#[must_use]
pub fn key(section: &str, key: &str) -> Option<(&'static Section, &'static Key)> {
    let section = SECTIONS.iter().find(|known| known.name == section)?;
    Some((section, section.keys.iter().find(|known| known.name == key)?))
}

/// Settings that are being changed: their text, and the files that go with it.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    document: DocumentMut,
    attached: BTreeMap<String, String>,
}

impl Draft {
    /// Reads a text, with or without `[attached]`. What its keys say is not looked at yet.
    ///
    /// # Errors
    /// When it is too long or no TOML, or what is attached is no text, too much, or has a name that leads elsewhere.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Problem> {
        let wrong = |key: &str, what: String| Problem::in_file(path, None, key, what);
        if text.len() > MAX_BYTES {
            return Err(wrong("", format!("this is longer than settings can be ({MAX_BYTES} bytes)")));
        }
        let mut document = DocumentMut::from_str(text).map_err(|error| {
            let line = error.span().map(|span| crate::line_at(text, span.start));
            Problem::in_file(path, line, "", format!("this is not TOML: {}", error.message().replace('\n', ", ")))
        })?;
        let mut attached = BTreeMap::new();
        if let Some(table) = document.remove(ATTACHED) {
            let Some(table) = table.as_table_like() else {
                return Err(wrong(ATTACHED, "is a section: write [attached] on a line of its own".to_owned()));
            };
            for (name, value) in table.iter() {
                let Some(text) = value.as_str() else { return Err(wrong(ATTACHED, format!("{name:?} is not a text"))) };
                may_be_attached(name, text).map_err(|what| wrong(ATTACHED, what))?;
                attached.insert(name.to_owned(), text.to_owned());
            }
            if attached.len() > MAX_ATTACHED {
                return Err(wrong(ATTACHED, format!("these are {} files; {MAX_ATTACHED} are the most", attached.len())));
            }
        }
        Ok(Self { document, attached })
    }

    /// The text of `tenrec.toml` alone.
    #[must_use]
    pub fn settings_text(&self) -> String {
        self.document.to_string()
    }

    /// The text with what is attached, as it travels.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.settings_text();
        if !self.attached.is_empty() {
            let mut table = Table::new();
            for (name, content) in &self.attached {
                table.insert(name, Item::Value(Value::from(content.as_str())));
            }
            let mut last = DocumentMut::new();
            last.insert(ATTACHED, Item::Table(table));
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push('\n');
            text.push_str(&last.to_string());
        }
        text
    }

    /// The settings, or everything that is wrong with them: of all keys whose value cannot be read, and once all can, of
    /// what does not go together. `path` is named in messages.
    ///
    /// # Errors
    /// With every problem found.
    pub fn check(&self, path: &Path) -> Result<Settings, Vec<Problem>> {
        let unreadable: Vec<_> = self.entries().filter_map(|(section, key, value)| unreadable(section, key, value, path)).collect();
        if !unreadable.is_empty() {
            return Err(unreadable);
        }
        Settings::parse(&self.settings_text(), path, |_| None).map_err(|error| match error {
            Error::Wrong(problems) => problems,
            Error::Read { .. } => vec![Problem::in_file(path, None, "", error.to_string())],
        })
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.document
            .iter()
            .filter_map(|(section, item)| Some((section, item.as_table_like()?)))
            .flat_map(|(section, table)| table.iter().filter_map(move |(key, item)| Some((section, key, item.as_value()?))))
    }

    fn value(&self, section: &str, key: &str) -> Option<&Value> {
        self.document.get(section)?.as_table_like()?.get(key)?.as_value()
    }

    /// Whether the text says anything of a key.
    #[must_use]
    pub fn has(&self, section: &str, key: &str) -> bool {
        self.value(section, key).is_some()
    }

    /// What a key says, as a form shows it: what the text has, else the default; of a list one text a line, of a secret
    /// nothing.
    #[must_use]
    pub fn shown(&self, section: &str, key: &str) -> String {
        if self::key(section, key).is_some_and(|(section, key)| Kind::of(section.name, key) == Kind::Secret) {
            return String::new();
        }
        match self.value(section, key) {
            Some(Value::Array(array)) => array.iter().map(plain).collect::<Vec<_>>().join("\n"),
            Some(value) => plain(value),
            None => match default_of(section, key) {
                Some(toml::Value::String(text)) => text,
                Some(toml::Value::Array(array)) => {
                    array.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect::<Vec<_>>().join("\n")
                }
                Some(value) => value.to_string(),
                None => String::new(),
            },
        }
    }

    /// Takes over what was typed into a form for a key. What says the same as the text or the default changes nothing;
    /// an empty text stands for the default, and for a secret means that it stays.
    ///
    /// # Errors
    /// When there is no such key, or a number is none.
    pub fn put(&mut self, section: &str, name: &str, typed: &str) -> Result<(), Problem> {
        let place = || format!("{section}.{name}");
        let wrong = |what: String| Problem::in_file(Path::new("form"), None, place(), what);
        let Some((_, known)) = key(section, name) else { return Err(wrong("there is no such key".to_owned())) };
        let kind = Kind::of(section, known);
        let typed = typed.replace("\r\n", "\n");
        let typed = typed.trim();
        if typed == self.shown(section, name).trim() {
            return Ok(());
        }
        let value = match kind {
            Kind::Secret if typed.is_empty() => return Ok(()),
            Kind::Switch => Value::from(typed == "true"),
            Kind::List => Value::from(typed.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Array>()),
            _ if typed.is_empty() => {
                self.unset(section, name);
                return Ok(());
            }
            Kind::Number => Value::from(typed.parse::<i64>().map_err(|_| wrong(format!("{typed:?} is not a whole number")))?),
            Kind::Text | Kind::Choice(_) | Kind::Secret => Value::from(typed),
        };
        self.set(section, name, value);
        Ok(())
    }

    /// Sets a key, whatever it said before.
    pub fn set(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        let table = self.document.entry(section).or_insert_with(|| Item::Table(Table::new()));
        // `section = 1` is no section: it gives way, since a key in it is meant.
        if !table.is_table_like() {
            *table = Item::Table(Table::new());
        }
        let Some(table) = table.as_table_like_mut() else { return };
        let mut value = value.into();
        match table.get_mut(key) {
            Some(item) => {
                if let Some(old) = item.as_value() {
                    *value.decor_mut() = old.decor().clone();
                }
                *item = Item::Value(value);
            }
            None => drop(table.insert(key, Item::Value(value))),
        }
    }

    /// Leaves a key to its default.
    pub fn unset(&mut self, section: &str, key: &str) {
        if let Some(table) = self.document.get_mut(section).and_then(Item::as_table_like_mut) {
            table.remove(key);
        }
    }

    /// Leaves out every secret that the text itself has.
    pub fn remove_secrets(&mut self) {
        for (section, key) in secrets() {
            self.unset(section, key);
        }
    }

    /// Takes over the secrets of `before` that this text says nothing of, as after [`Draft::remove_secrets`]. A secret that
    /// is in a file now is not wanted in the text as well.
    pub fn keep_secrets(&mut self, before: &Self) {
        for (section, key) in secrets() {
            if let Some(value) = before.value(section, key)
                && !self.has(section, key)
                && !self.has(section, &format!("{key}_file"))
            {
                self.set(section, key, value.clone());
            }
        }
    }

    /// The attached files: relative name under /etc/tenrec, and text.
    #[must_use]
    pub fn attached(&self) -> &BTreeMap<String, String> {
        &self.attached
    }

    /// Attaches a file, in place of one with the same name.
    ///
    /// # Errors
    /// When it is too long, or its name leads elsewhere.
    pub fn attach(&mut self, name: &str, text: &str) -> Result<(), String> {
        may_be_attached(name, text)?;
        if self.attached.len() >= MAX_ATTACHED && !self.attached.contains_key(name) {
            return Err(format!("{MAX_ATTACHED} files are the most that can be attached"));
        }
        self.attached.insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    /// Takes an attached file off.
    pub fn detach(&mut self, name: &str) {
        self.attached.remove(name);
    }
}

fn secrets() -> impl Iterator<Item = (&'static str, &'static str)> {
    let keys = SECTIONS.iter().flat_map(|section| section.keys.iter().map(move |key| (section.name, key)));
    keys.filter(|(section, key)| Kind::of(section, key) == Kind::Secret).map(|(section, key)| (section, key.name))
}

/// A relative name of one or two parts, none of them hidden, and a text that is not too long.
fn may_be_attached(name: &str, text: &str) -> Result<(), String> {
    let part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if name.len() > 128 || name.split('/').count() > 2 || !name.split('/').all(part) {
        return Err(format!("{name:?} is not a name of an attached file: like certs/ca.crt, of letters, digits, '-', '_' and '.'"));
    }
    if text.len() > MAX_ATTACHED_BYTES {
        return Err(format!("{name} is longer than an attached file can be ({MAX_ATTACHED_BYTES} bytes)"));
    }
    Ok(())
}

/// A value as it is typed into a form: 65_536 and 0x10000 as 65536.
fn plain(value: &Value) -> String {
    if let Some(number) = value.as_integer() {
        return number.to_string();
    }
    value.as_str().map_or_else(|| value.clone().decorated("", "").to_string(), str::to_owned)
}

/// What is wrong with the value of one key, looked at by itself.
fn unreadable(section: &str, key: &str, value: &Value, path: &Path) -> Option<Problem> {
    self::key(section, key)?;
    let text = format!("[{section}]\n{key} = {}\n", value.clone().decorated("", ""));
    let error = toml::from_str::<Sections>(&text).err()?;
    let said = if Kind::of(section, self::key(section, key)?.1) == Kind::Secret {
        "is a text: write it in quotes"
    } else {
        error.message().trim()
    };
    Some(Problem::in_file(path, None, format!("{section}.{key}"), said))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "tenrec.toml";

    fn draft(text: &str) -> Draft {
        Draft::parse(text, Path::new(PATH)).unwrap()
    }

    #[test]
    fn comments_stay_where_they_are_when_a_key_is_changed() {
        let mut draft = draft("# mine\n[pcap]\n# why\nrotate_minutes = 5 # so\nenabled = true\n");
        draft.set("pcap", "rotate_minutes", 7);
        draft.set("node", "name", "s7");
        assert_eq!(draft.text(), "# mine\n[pcap]\n# why\nrotate_minutes = 7 # so\nenabled = true\n\n[node]\nname = \"s7\"\n");
    }

    #[test]
    fn what_is_attached_comes_last_and_comes_back() {
        let mut draft = draft("[node]\nname = \"s7\"\n[attached]\n\"certs/ca.crt\" = \"PEM\\nof a CA\\n\"\n");
        assert_eq!(draft.attached()["certs/ca.crt"], "PEM\nof a CA\n");
        draft.set("pcap", "enabled", false);
        draft.attach("web.password", "$argon2id$\n").unwrap();
        assert!(!draft.settings_text().contains("attached"));
        let again = self::draft(&draft.text());
        assert_eq!((again.attached(), again.settings_text().trim()), (draft.attached(), draft.settings_text().trim()));
        assert!(draft.text().find("[pcap]").unwrap() < draft.text().find("[attached]").unwrap());
    }

    #[test]
    fn no_name_of_an_attached_file_leads_elsewhere() {
        for name in ["../shadow", "/etc/shadow", "a/../b", ".ssh/keys", "a/b/c", "", "a//b", "a b"] {
            assert!(Draft::default().attach(name, "x").is_err(), "{name}");
            let text = format!("[attached]\n{name:?} = \"x\"\n");
            assert!(Draft::parse(&text, Path::new(PATH)).is_err(), "{name}");
        }
    }

    #[test]
    fn every_unreadable_value_is_told_at_once_and_rules_afterwards() {
        let mut draft = draft("[pcap]\nrotate_minutes = \"x\"\n[files]\ncarving = \"some\"\n");
        let keys = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.key).collect::<Vec<_>>();
        assert_eq!(keys(draft.check(Path::new(PATH)).unwrap_err()), ["pcap.rotate_minutes", "files.carving"]);
        draft.put("pcap", "rotate_minutes", "99999").unwrap();
        draft.put("files", "carving", "all").unwrap();
        assert_eq!(keys(draft.check(Path::new(PATH)).unwrap_err()), ["pcap.rotate_minutes"]);
        draft.put("pcap", "rotate_minutes", "").unwrap();
        assert_eq!(draft.check(Path::new(PATH)).unwrap().pcap.rotate_minutes, 10);
    }

    #[test]
    fn what_is_typed_as_it_was_shown_changes_nothing() {
        let text = crate::default_toml();
        let mut draft = draft(&text);
        for section in SECTIONS {
            for key in section.keys {
                let shown = draft.shown(section.name, key.name);
                draft.put(section.name, key.name, &shown.replace('\n', "\r\n")).unwrap();
            }
        }
        assert_eq!(draft.text(), text);
    }

    #[test]
    fn a_secret_is_not_shown_and_stays_when_nothing_is_typed() {
        let mut draft = draft("[opensearch]\npassword = \"hunter2\"\n");
        assert_eq!(draft.shown("opensearch", "password"), "");
        draft.put("opensearch", "password", "").unwrap();
        assert!(draft.text().contains("hunter2"));
        draft.put("opensearch", "password", "other").unwrap();
        assert!(draft.text().contains("other") && !draft.text().contains("hunter2"));
    }

    #[test]
    fn secrets_are_left_out_and_come_back_unless_they_are_in_a_file_now() {
        let before = draft("[opensearch]\nuser = \"u\"\npassword = \"hunter2\"\n[viewer]\nsecret = \"of the viewer\"\n");
        let mut shown = before.clone();
        shown.remove_secrets();
        assert!(!shown.text().contains("hunter2") && !shown.text().contains("of the viewer") && shown.text().contains("user"));
        shown.set("viewer", "secret_file", "/etc/tenrec/viewer.secret");
        shown.keep_secrets(&before);
        assert!(shown.text().contains("hunter2") && !shown.text().contains("of the viewer"));
    }

    #[test]
    fn lists_are_a_text_a_line_and_switches_and_numbers_are_typed() {
        let mut draft = Draft::default();
        draft.put("node", "tags", " a \r\n\r\nb").unwrap();
        draft.put("pcap", "enabled", "").unwrap();
        draft.put("analysis", "seed", "7").unwrap();
        assert_eq!(draft.shown("node", "tags"), "a\nb");
        let settings = draft.check(Path::new(PATH)).unwrap();
        assert_eq!((settings.node.tags.len(), settings.pcap.enabled, settings.analysis.seed), (2, false, Some(7)));
        assert!(draft.put("analysis", "seed", "seven").is_err());
        assert!(draft.put("analysis", "nothing", "1").is_err());
    }

    #[test]
    fn numbers_are_shown_as_they_are_typed_and_keep_their_own_form() {
        let text = "[capture]\nsnaplen = 65_000 # enough\n";
        let mut draft = draft(text);
        assert_eq!(draft.shown("capture", "snaplen"), "65000");
        draft.put("capture", "snaplen", "65000").unwrap();
        assert_eq!(draft.text(), text);
    }

    #[test]
    fn exactly_the_keys_that_hold_secrets_are_of_that_kind() {
        for section in SECTIONS {
            for key in section.keys {
                let text = format!("[{}]\n{} = \"some text\"\n", section.name, key.name);
                let hidden = toml::from_str::<Sections>(&text)
                    .is_ok_and(|sections| !serde_json::to_string(&sections).unwrap().contains("some text"));
                assert_eq!(Kind::of(section.name, key) == Kind::Secret, hidden, "{}.{}", section.name, key.name);
            }
        }
    }

    #[test]
    fn every_default_of_a_choice_is_one_of_its_words() {
        for section in SECTIONS {
            for key in section.keys {
                let shown = Draft::default().shown(section.name, key.name);
                if let Kind::Choice(words) = Kind::of(section.name, key) {
                    assert!(words.contains(&shown.as_str()), "{}.{}: {shown}", section.name, key.name);
                }
                let refused = draft(&format!("[{}]\n{} = \"no such word\"\n", section.name, key.name)).check(Path::new(PATH)).is_err();
                let number_or_word = !matches!(Kind::of(section.name, key), Kind::Text | Kind::Secret);
                assert!(refused || !number_or_word, "{}.{} takes any text", section.name, key.name);
            }
        }
    }
}
