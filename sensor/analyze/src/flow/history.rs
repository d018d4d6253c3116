//! The letters of `conn.log`'s `history`.

use crate::Direction;

/// Letters kept of one flow: SYN, FIN and RST with changing numbers may repeat for ever.
const MAX_LETTERS: usize = 200;

/// What happened on a flow, in order; upper case for the originator.
#[derive(Debug, Default)]
pub(crate) struct History {
    letters: Vec<u8>,
    seen: u64,
}

/// Counts an event whose letter is written at the 1st, 10th, 100th … time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scaled {
    count: u32,
    threshold: u32,
}

impl Default for Scaled {
    fn default() -> Self {
        Self { count: 0, threshold: 1 }
    }
}

impl Scaled {
    fn hit(&mut self) -> bool {
        self.count = self.count.saturating_add(1);
        if self.count != self.threshold {
            return false;
        }
        self.threshold = self.threshold.saturating_mul(10);
        true
    }
}

impl History {
    /// Writes `letter`, in the case of `from`.
    pub(crate) fn add(&mut self, from: Direction, letter: u8) {
        self.push(case(from, letter));
    }

    /// Writes `letter` as it is.
    pub(crate) fn push(&mut self, letter: u8) {
        if self.letters.len() < MAX_LETTERS {
            self.letters.push(letter);
        }
    }

    /// Writes `letter` the first time; says whether it had been there before.
    pub(crate) fn once(&mut self, from: Direction, letter: u8) -> bool {
        self.once_of(from, letter, letter)
    }

    /// As [`History::once`], where `kind` names the class of event and `letter` its form: a SYN with and one without
    /// ACK are one class.
    pub(crate) fn once_of(&mut self, from: Direction, kind: u8, letter: u8) -> bool {
        let bit = 1u64 << (u32::from(kind.to_ascii_lowercase()) & 31) << if from.is_orig() { 0 } else { 32 };
        if self.seen & bit != 0 {
            return true;
        }
        self.seen |= bit;
        self.add(from, letter);
        false
    }

    /// Writes `letter` on a logarithmic scale.
    pub(crate) fn scaled(&mut self, from: Direction, letter: u8, counter: &mut Scaled) {
        if counter.hit() {
            self.add(from, letter);
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.letters).unwrap_or_default()
    }
}

const fn case(from: Direction, letter: u8) -> u8 {
    if from.is_orig() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_letters_come_at_1_10_and_100() {
        let mut history = History::default();
        let mut counter = Scaled::default();
        for _ in 0..150 {
            history.scaled(Direction::Responder, b't', &mut counter);
        }
        assert_eq!(history.text(), "ttt");
    }

    #[test]
    fn each_direction_has_its_own_letters() {
        let mut history = History::default();
        assert!(!history.once(Direction::Originator, b'D'));
        assert!(history.once(Direction::Originator, b'D'));
        assert!(!history.once(Direction::Responder, b'D'));
        assert_eq!(history.text(), "Dd");
    }
}
