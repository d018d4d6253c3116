//! YARA rules from folders: the good files are compiled together, a broken one is named with its line and left out.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use yara::{Compiler, MetadataValue, Rules};

use crate::protocol::Match;

/// Matches told of one file at most. A file that matches more is known well enough.
const MAX_MATCHES: usize = 100;

/// Bytes of a rule file at most: the largest public collections in one file have about 10 MB.
const MAX_RULE_FILE: u64 = 64 << 20;

/// A folder of rules: where it is read, and how the operator calls it. The two differ for a worker that may not walk to the
/// folder, and was handed it open.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) place: PathBuf,
    pub(crate) name: PathBuf,
}

impl From<PathBuf> for Folder {
    fn from(name: PathBuf) -> Self {
        Self { place: name.clone(), name }
    }
}

/// Compiled rules.
pub(crate) struct RuleSet {
    rules: Option<Rules>,
    count: usize,
    /// The files left out: `file:line: why`.
    pub(crate) broken: Vec<String>,
}

impl RuleSet {
    /// Compiles every `*.yar` and `*.yara` below `folders`. A folder that is missing has no rules; one that may not be read
    /// is told.
    pub(crate) fn load(folders: &[Folder]) -> Self {
        let mut broken = Vec::new();
        let mut good = Vec::new();
        for folder in folders {
            let mut files = Vec::new();
            if let Err(error) = collect(&folder.place, 0, &mut files) {
                broken.push(format!("{}: {error}", folder.name.display()));
            }
            files.sort();
            for place in files {
                let name = folder.name.join(place.strip_prefix(&folder.place).unwrap_or(&place));
                match read(&place, &name).and_then(|text| compile_alone(&name, &text).map(|()| text)) {
                    Ok(text) => good.push((name, text)),
                    Err(why) => broken.push(why),
                }
            }
        }
        // A file's path as namespace: two files may use one name for a rule.
        let compiled = good.iter().try_fold(Compiler::new().map_err(yara::Error::from), |compiler, (path, text)| {
            Ok::<_, String>(match compiler {
                Ok(compiler) => compiler.add_rules_str_with_namespace(text, &path.to_string_lossy()),
                Err(error) => return Err(error.to_string()),
            })
        });
        let rules = match compiled.and_then(|compiler| compiler.map_err(|error| error.to_string())) {
            Ok(compiler) => compiler.compile_rules().map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match rules {
            Ok(rules) => Self { count: rules.get_rules().len(), rules: Some(rules), broken },
            Err(error) => {
                broken.push(format!("the rules do not compile together: {error}"));
                Self { rules: None, count: 0, broken }
            }
        }
    }

    /// Number of rules.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// What matches in `file`.
    pub(crate) fn scan(&self, file: &File, timeout: Duration) -> Result<Vec<Match>, String> {
        let Some(rules) = &self.rules else { return Ok(Vec::new()) };
        // mmap of nothing fails, and nothing matches nothing.
        if file.metadata().map_err(|error| error.to_string())?.len() == 0 {
            return Ok(Vec::new());
        }
        let seconds = i32::try_from(timeout.as_secs().max(1)).unwrap_or(i32::MAX);
        let found = rules.scan_fd(file, seconds).map_err(|error| format!("YARA: {error}"))?;
        Ok(found.iter().take(MAX_MATCHES).map(matched).collect())
    }
}

fn matched(rule: &yara::Rule<'_>) -> Match {
    let texts = |key: &'static str| {
        rule.metadatas.iter().filter_map(move |metadata| match metadata.value {
            MetadataValue::String(text) if metadata.identifier.eq_ignore_ascii_case(key) => Some(text.to_owned()),
            _ => None,
        })
    };
    Match {
        scanner: "yara".to_owned(),
        name: rule.identifier.to_owned(),
        tags: rule.tags.iter().map(ToString::to_string).collect(),
        author: texts("author").collect(),
        description: texts("description").next().unwrap_or_default(),
    }
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            // Deeper than any collection nests; a loop of links ends here too.
            if depth < 8 {
                collect(&path, depth + 1, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "yar" || extension == "yara") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(place: &Path, name: &Path) -> Result<String, String> {
    let told = |error: io::Error| format!("{}: {error}", name.display());
    let length = fs::metadata(place).map_err(told)?.len();
    if length > MAX_RULE_FILE {
        return Err(format!("{}: {length} bytes; at most {MAX_RULE_FILE} are read", name.display()));
    }
    fs::read_to_string(place).map_err(told)
}

/// Compiles a file by itself, since the compiler is lost with the first broken one.
fn compile_alone(path: &Path, text: &str) -> Result<(), String> {
    let compiler = Compiler::new().map_err(|error| error.to_string())?;
    match compiler.add_rules_str(text) {
        Ok(_) => Ok(()),
        Err(yara::Error::Compile(errors)) => {
            let errors: Vec<String> = errors
                .iter()
                .filter(|error| matches!(error.level, yara::CompileErrorLevel::Error))
                .map(|error| match error.line {
                    // Of an end that came too early, libyara does not say where it was.
                    0 => format!("{}: {}", path.display(), error.message),
                    line => format!("{}:{line}: {}", path.display(), error.message),
                })
                .collect();
            Err(errors.join("; "))
        }
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn shipped() -> RuleSet {
        RuleSet::load(&[PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/rules")).into()])
    }

    fn names(rules: &RuleSet, content: &[u8]) -> Vec<String> {
        rules.scan(&file(content), PATIENCE).unwrap().into_iter().map(|found| found.name).collect()
    }

    #[test]
    fn a_broken_file_is_named_with_its_line_and_the_good_ones_load() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yar"), "rule good { strings: $a = \"needle\" condition: $a }").unwrap();
        fs::write(folder.path().join("b.yar"), "rule fine { condition: false }\n\nrule broken { condition: nonsense }").unwrap();
        fs::create_dir(folder.path().join("deeper")).unwrap();
        fs::write(folder.path().join("deeper/c.yara"), "rule good { strings: $a = \"needle\" condition: $a }").unwrap();
        fs::write(folder.path().join("readme.txt"), "no rule").unwrap();
        let rules = RuleSet::load(&[folder.path().to_owned().into(), PathBuf::from("/nonexistent").into()]);
        assert_eq!(rules.len(), 2);
        assert_eq!(rules.broken.len(), 1);
        assert!(rules.broken[0].contains("b.yar:3: ") && rules.broken[0].contains("nonsense"), "{:?}", rules.broken);
        assert_eq!(names(&rules, b"hay needle hay"), ["good", "good"]);
    }

    #[test]
    fn no_rules_and_no_bytes_match_nothing() {
        let rules = RuleSet::load(&[]);
        assert_eq!((rules.len(), rules.broken.len()), (0, 0));
        assert!(names(&rules, b"x").is_empty());
        assert!(names(&shipped(), b"").is_empty());
    }

    #[test]
    fn every_shipped_rule_compiles_and_says_who_wrote_it_and_what_it_finds() {
        let rules = shipped();
        assert_eq!(rules.broken, Vec::<String>::new());
        for rule in rules.rules.as_ref().unwrap().get_rules() {
            for key in ["author", "description"] {
                assert!(rule.metadatas.iter().any(|metadata| metadata.identifier == key), "{} has no {key}", rule.identifier);
            }
        }
    }

    #[test]
    fn the_shipped_rules_find_what_they_are_for_and_leave_plain_files_alone() {
        let rules = shipped();
        let found = rules.scan(&file(b"before TENREC-DEMO-HARMLESS-MARKER after"), PATIENCE).unwrap();
        assert_eq!((found[0].name.as_str(), found[0].scanner.as_str()), ("Tenrec_Demo_Marker", "yara"));
        assert!(!found[0].author.is_empty() && !found[0].description.is_empty());
        // In two parts, so that this source file is not taken for the test file itself.
        let eicar = [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat();
        assert_eq!(names(&rules, eicar.as_bytes()), ["EICAR_Test_File"]);
        for plain in [&b"<html><body>hello</body></html>"[..], b"%PDF-1.4\nhello", b"MZ this is no program", b"PK\x03\x04"] {
            assert!(names(&rules, plain).is_empty(), "{plain:?}");
        }
    }
}
