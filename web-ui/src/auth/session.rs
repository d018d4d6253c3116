//! Sessions: who has proved what, until when. In memory alone, so that a restart logs everybody out.
//!
//! The browser has a random id in a cookie; here its digest is the key.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::random;
use crate::wizard::Wizard;

/// How long a session lasts without a request.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long a session lasts at most.
const ABSOLUTE: Duration = Duration::from_secs(12 * 3600);
/// Sessions at once; a new one takes the place of the one that was unused longest. A sensor has a few administrators.
const MAX_SESSIONS: usize = 64;

/// What a session has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The setup code: may set the machine up, and nothing else.
    Setup,
    /// The password.
    Administrator,
}

/// Names a session on this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// The key of the session whose id a browser sent.
    pub(crate) fn of(id: &str) -> Self {
        Self(random::digest("session", id))
    }
}

struct Session {
    standing: Standing,
    began: Instant,
    used: Instant,
    wizard: Option<Box<Wizard>>,
}

impl Session {
    fn holds(&self, now: Instant) -> bool {
        now.duration_since(self.used) < IDLE && now.duration_since(self.began) < ABSOLUTE
    }
}

/// All sessions.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Key, Session>>);

impl Sessions {
    fn all(&self) -> MutexGuard<'_, HashMap<Key, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session and gives its id; what the session of `before` had typed goes along, and that one ends.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(crate) fn begin(&self, standing: Standing, before: Option<Key>, now: Instant) -> std::io::Result<String> {
        let id = random::text()?;
        let mut all = self.all();
        all.retain(|_, session| session.holds(now));
        let wizard = before.and_then(|key| all.remove(&key)).and_then(|session| session.wizard);
        if all.len() >= MAX_SESSIONS
            && let Some(oldest) = all.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key)
        {
            all.remove(&oldest);
        }
        all.insert(Key::of(&id), Session { standing, began: now, used: now, wizard });
        Ok(id)
    }

    /// What a session has proved, if it lasts still; counts as use.
    pub(crate) fn standing(&self, key: Key, now: Instant) -> Option<Standing> {
        let mut all = self.all();
        if !all.get(&key)?.holds(now) {
            all.remove(&key);
            return None;
        }
        let session = all.get_mut(&key)?;
        session.used = now;
        Some(session.standing)
    }

    /// Whether a session lasts still; looking does not count as use.
    pub(crate) fn lasts(&self, key: Key, now: Instant) -> bool {
        self.all().get(&key).is_some_and(|session| session.holds(now))
    }

    /// Ends a session.
    pub(crate) fn end(&self, key: Key) {
        self.all().remove(&key);
    }

    /// Ends all sessions but one, when the password has changed.
    pub(crate) fn end_others(&self, key: Option<Key>) {
        self.all().retain(|other, _| Some(*other) == key);
    }

    /// What is being set up in a session; none if it has ended.
    pub(crate) fn wizard<T>(&self, key: Key, with: impl FnOnce(&mut Option<Box<Wizard>>) -> T) -> Option<T> {
        Some(with(&mut self.all().get_mut(&key)?.wizard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_unused_after_half_an_hour_and_used_after_twelve() {
        let (sessions, begin) = (Sessions::default(), Instant::now());
        let minutes = |n: u64| begin + Duration::from_secs(n * 60);
        let key = Key::of(&sessions.begin(Standing::Administrator, None, begin).unwrap());
        assert_eq!(sessions.standing(key, minutes(29)), Some(Standing::Administrator));
        assert_eq!(sessions.standing(key, minutes(60)), None);
        let key = Key::of(&sessions.begin(Standing::Administrator, None, begin).unwrap());
        for n in (0..12 * 60).step_by(20) {
            assert!(sessions.standing(key, minutes(n)).is_some());
        }
        assert_eq!(sessions.standing(key, minutes(12 * 60)), None);
    }

    #[test]
    fn sessions_are_bounded_and_the_one_unused_longest_gives_way() {
        let (sessions, begin) = (Sessions::default(), Instant::now());
        let at = |n: usize| begin + Duration::from_secs(n as u64);
        let keys: Vec<_> = (0..=MAX_SESSIONS).map(|n| Key::of(&sessions.begin(Standing::Administrator, None, at(n)).unwrap())).collect();
        assert_eq!(sessions.standing(keys[0], at(100)), None);
        assert!(keys[1..].iter().all(|key| sessions.standing(*key, at(100)).is_some()));
    }

    #[test]
    fn a_new_password_ends_the_sessions_of_others() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let mine = Key::of(&sessions.begin(Standing::Administrator, None, now).unwrap());
        let other = Key::of(&sessions.begin(Standing::Administrator, None, now).unwrap());
        sessions.end_others(Some(mine));
        assert!(sessions.standing(mine, now).is_some() && sessions.standing(other, now).is_none());
    }
}
