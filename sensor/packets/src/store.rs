//! A folder of capture files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use analyze::Time;

use crate::{
    capture::Capture,
    index::{self, Entries, Entry, Session, session_hash},
    search::{Question, Search},
};

const DAY: i64 = 86_400;

/// The captures of a folder, as they were when it was opened. Files that grow are read as far as they have come.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    /// By the time of the first packet.
    captures: Vec<Capture>,
}

/// Where the packets of a session are: for each file, the offsets of their records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(pub BTreeMap<u32, Vec<u64>>);

impl Places {
    /// How many packets.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

impl Store {
    /// Takes stock of a folder.
    ///
    /// # Errors
    /// If it cannot be read; the message names it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let explain = |error: io::Error| io::Error::new(error.kind(), format!("cannot read the folder {}: {error}", folder.display()));
        let mut captures = Vec::new();
        for entry in fs::read_dir(folder).map_err(explain)? {
            captures.extend(Capture::at(&entry.map_err(explain)?.path()));
        }
        captures.sort_by_key(|capture| (capture.name.first, capture.name.number));
        Ok(Self { folder: folder.to_owned(), captures })
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The captures, by the time of their first packet.
    #[must_use]
    pub fn captures(&self) -> &[Capture] {
        &self.captures
    }

    /// Looks for packets.
    #[must_use]
    pub fn search(&self, question: Question) -> Search {
        let captures: Vec<_> = self.captures.iter().filter(|capture| question.may_be_in(capture)).cloned().collect();
        Search::new(question, captures.into_iter().map(|capture| (capture, None)))
    }

    /// The packets at some places.
    #[must_use]
    pub fn packets(&self, places: Places) -> Search {
        self.packets_within(places, None, None)
    }

    /// The packets at some places that were captured within some time.
    #[must_use]
    pub fn packets_within(&self, places: Places, from: Option<Time>, to: Option<Time>) -> Search {
        let mut places = places.0;
        let captures = self.captures.iter().filter_map(|capture| {
            let offsets = places.remove(&capture.name.number)?;
            Some((capture.clone(), Some(offsets)))
        });
        let captures: Vec<_> = captures.collect();
        Search::new(Question { filter: None, from, to }, captures)
    }

    /// Where the packets of a session are, by the id of its document; nothing if no index knows it.
    ///
    /// # Errors
    /// If an index cannot be read.
    pub fn session(&self, id: &str) -> io::Result<Option<Places>> {
        let hash = session_hash(id);
        let day = day_of(id);
        let is_that_day = |capture: &Capture| day.is_none_or(|day| overlaps(capture, Some(day), Some(day + DAY)));
        self.find(is_that_day, |session| session.id == hash)
    }

    /// The same of all segments of a long session, by the id of the first.
    ///
    /// # Errors
    /// If an index cannot be read.
    pub fn whole_session(&self, root: &str) -> io::Result<Option<Places>> {
        let hash = session_hash(root);
        let day = day_of(root);
        self.find(|capture| overlaps(capture, day, None), |session| session.id == hash || session.root == Some(hash))
    }

    fn find(&self, likely: impl Fn(&Capture) -> bool, is_wanted: impl Fn(&Session<'_>) -> bool) -> io::Result<Option<Places>> {
        let mut places = Places::default();
        let (mut looked_into, mut others) = (BTreeSet::new(), BTreeSet::new());
        let likely: Vec<_> = self.captures.iter().filter(|capture| capture.name.number > 0 && likely(capture)).collect();
        for capture in likely {
            looked_into.insert(capture.name.number);
            look_for(capture, &is_wanted, &mut places, &mut others)?;
        }
        // A long session began before the day that its id names.
        while let Some(number) = others.pop_first() {
            let capture = self.captures.iter().find(|capture| capture.name.number == number);
            if looked_into.insert(number)
                && let Some(capture) = capture
            {
                look_for(capture, &is_wanted, &mut places, &mut others)?;
            }
        }
        for offsets in places.0.values_mut() {
            offsets.sort_unstable();
            offsets.dedup();
        }
        Ok((!places.0.is_empty()).then_some(places))
    }
}

/// The id of a session's document in what people and viewers call it: with Arkime's prefix `3@`, and with the day of the
/// index in front of a colon, or not.
#[must_use]
pub fn session_id(text: &str) -> String {
    let text = text.strip_prefix("3@").unwrap_or(text);
    match text.split_once(':') {
        // Where the id does not begin with the day, that of the index is its day.
        Some((day, id)) if day_of(id).is_none() && day.len() == 6 => format!("{day}-{id}"),
        Some((_, id)) => id.to_owned(),
        None => text.to_owned(),
    }
}

fn look_for(
    capture: &Capture,
    is_wanted: &impl Fn(&Session<'_>) -> bool,
    places: &mut Places,
    others: &mut BTreeSet<u32>,
) -> io::Result<()> {
    let mut entries = match Entries::open(&index::path_of(&capture.path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    while let Some(entry) = entries.read_next()? {
        let Entry::Sessions(payload) = entry else { continue };
        for session in Session::all(payload).filter(is_wanted) {
            places.0.entry(capture.name.number).or_default().extend(session.offsets());
            others.extend(session.others());
        }
    }
    Ok(())
}

/// Whether a file was written to in a span of seconds since 1970.
fn overlaps(capture: &Capture, from: Option<i64>, to: Option<i64>) -> bool {
    let question = Question { filter: None, from: from.map(Time::from_secs), to: to.map(Time::from_secs) };
    question.may_be_in(capture)
}

/// When the day begins that an id names, `YYMMDD-…`, in seconds since 1970.
fn day_of(id: &str) -> Option<i64> {
    let day = jiff::civil::Date::strptime("%y%m%d", id.split_once('-')?.0).ok()?;
    Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_called_by_many_names() {
        for text in ["261124-abc-d", "3@261124-abc-d", "3@261124:261124-abc-d", "3@261124:abc-d"] {
            assert_eq!(session_id(text), "261124-abc-d", "{text}");
        }
        assert_eq!(day_of("700101-x"), Some(0));
        assert_eq!(day_of("notaday-x"), None);
    }
}
