//! The serial console: all that it says is kept in a file, and can be waited for.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;

use crate::wait::wait_for;

pub(crate) struct Console {
    said: Arc<Mutex<String>>,
    file: PathBuf,
}

impl Console {
    /// Joins QEMU's socket and begins to listen.
    pub(crate) fn join(socket: &Path, file: &Path) -> anyhow::Result<Self> {
        let stream = wait_for("the serial console", Duration::from_secs(30), || Ok(UnixStream::connect(socket).ok()))?;
        let said = Arc::new(Mutex::new(String::new()));
        let (mut from, heard) = (stream, Arc::clone(&said));
        let mut log =
            std::fs::File::options().create(true).append(true).open(file).with_context(|| format!("cannot write {}", file.display()))?;
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                let fresh = bytes.get(..read).unwrap_or_default();
                let _ = log.write_all(fresh);
                heard.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(fresh));
            }
        });
        Ok(Self { said, file: file.to_owned() })
    }

    /// All that was said since the guest was started, without the sequences that move the cursor and colour the text.
    pub(crate) fn text(&self) -> String {
        plain(&self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What comes first after `before` in a line, when it comes.
    pub(crate) fn wait_for_after(&self, before: &str, deadline: Duration) -> anyhow::Result<String> {
        let what = format!("{before:?} on the console ({})", self.file.display());
        wait_for(&what, deadline, || {
            let text = self.text();
            let rest = text.rfind(before).and_then(|at| text.get(at + before.len()..));
            // A line that is still being written has no end.
            Ok(rest.and_then(|rest| rest.split_once('\n')).map(|(line, _)| line.trim().to_owned()).filter(|line| !line.is_empty()))
        })
    }

    /// Waits until `words` are there.
    pub(crate) fn wait_for(&self, words: &str, deadline: Duration) -> anyhow::Result<()> {
        let what = format!("{words:?} on the console ({})", self.file.display());
        wait_for(&what, deadline, || Ok(self.text().contains(words).then_some(())))
    }
}

/// Leaves out escape sequences (ECMA-48 §5.4: ESC `[`, parameters, a letter) and carriage returns.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\u{1b}' if characters.peek() == Some(&'[') => {
                characters.next();
                for c in characters.by_ref() {
                    if ('\u{40}'..='\u{7e}').contains(&c) {
                        break;
                    }
                }
            }
            '\u{1b}' => {
                characters.next();
            }
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn colours_and_cursor_movements_are_left_out() {
        assert_eq!(plain("\u{1b}[2J\u{1b}[1;1Hcode \u{1b}[1mABC\u{1b}[0m\r\n\u{1b}cnext"), "code ABC\nnext");
    }
}
