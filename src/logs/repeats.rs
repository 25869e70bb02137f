//! What was said lately: which lines come again, and how often.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::Level;

/// More kinds of trouble at a time are written as they come.
const KINDS_MAX: usize = 256;

/// A line that was not written again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missed {
    /// How often.
    pub(super) times: u64,
    /// Its level.
    pub(super) level: Level,
    /// As it was when it was written.
    pub(super) line: String,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    missed: Missed,
}

/// The lines of the last window, by what makes them the same.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    seen: BTreeMap<String, Seen>,
}

impl Repeats {
    /// Whether a line is to be written; else it is counted. Ask [`Repeats::over`] first.
    pub(super) fn admit(&mut self, key: String, level: Level, line: String, now: Instant) -> bool {
        if let Some(seen) = self.seen.get_mut(&key) {
            seen.missed.times += 1;
            return false;
        }
        if self.seen.len() < KINDS_MAX {
            self.seen.insert(key, Seen { at: now, missed: Missed { times: 0, level, line } });
        }
        true
    }

    /// What was counted in windows that are over; those lines are written again when they come again.
    pub(super) fn over(&mut self, window: Duration, now: Instant) -> Vec<Missed> {
        let is_over = |seen: &Seen| now.saturating_duration_since(seen.at) >= window;
        let over = self.seen.extract_if(.., |_, seen| is_over(seen)).map(|(_, seen)| seen.missed);
        over.filter(|missed| missed.times > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    fn admit(repeats: &mut Repeats, key: &str, now: Instant) -> bool {
        repeats.admit(key.to_owned(), Level::WARN, format!("line {key}"), now)
    }

    #[test]
    fn a_line_is_written_once_in_a_window_and_then_with_its_count() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert!(admit(&mut repeats, "a", start) && admit(&mut repeats, "b", start));
        assert!(!admit(&mut repeats, "a", start) && !admit(&mut repeats, "a", start + WINDOW / 2));
        assert_eq!(repeats.over(WINDOW, start + WINDOW / 2), []);
        let missed = Missed { times: 2, level: Level::WARN, line: "line a".to_owned() };
        assert_eq!(repeats.over(WINDOW, start + WINDOW), [missed], "b did not come again");
        assert!(admit(&mut repeats, "a", start + WINDOW), "a new window begins");
    }

    #[test]
    fn memory_is_bounded() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        for number in 0..2 * KINDS_MAX {
            assert!(admit(&mut repeats, &number.to_string(), start));
        }
        assert_eq!(repeats.seen.len(), KINDS_MAX);
        assert!(admit(&mut repeats, "one too many", start) && admit(&mut repeats, "one too many", start));
    }
}
