//! How fast things change: counts that were seen before, for a minute.

use std::collections::{BTreeMap, VecDeque};

use super::shapes::Numbers;
use super::words::span;

/// How far back is looked.
const WINDOW_MS: u64 = 60_000;
/// How long nothing must have moved until that is said.
const STANDS_MS: u64 = 20_000;

/// Counts at one moment: three numbers that grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    at_ms: u64,
    grown: [u64; 3],
}

/// What was seen lately, by name.
#[derive(Debug, Default)]
pub(super) struct Rates(BTreeMap<String, VecDeque<Sample>>);

/// Tasks per second, over up to a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Flow {
    /// Came.
    pub(super) came: f64,
    /// Left the line: were given to workers, or ended in it.
    pub(super) left: f64,
    /// Ended.
    pub(super) ended: f64,
    /// How long it was looked at.
    pub(super) over_ms: u64,
}

impl Flow {
    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            came: self.came + other.came,
            left: self.left + other.left,
            ended: self.ended + other.ended,
            over_ms: self.over_ms.max(other.over_ms),
        }
    }

    /// How long what comes now will wait, if it goes on like that.
    pub(super) fn wait(self, numbers: &Numbers) -> Time {
        self.time_for(numbers.waiting(), self.left)
    }

    /// How long it takes until all that is there has ended, if nothing comes and it goes on like that.
    pub(super) fn rest(self, numbers: &Numbers) -> Time {
        self.time_for(numbers.live, self.ended)
    }

    fn time_for(self, number: u64, per_second: f64) -> Time {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate, positive, and a cast saturates"
        )]
        if number == 0 {
            Time::None
        } else if per_second > 0.0 {
            Time::Ms((number as f64 * 1_000.0 / per_second) as u64)
        } else if self.over_ms >= STANDS_MS {
            Time::Stands
        } else {
            Time::Unknown
        }
    }
}

/// How long something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// There is nothing to wait for.
    None,
    /// About so long.
    Ms(u64),
    /// Nothing has moved, and it was looked at for a while.
    Stands,
    /// Too early to tell.
    Unknown,
}

impl Time {
    /// In a word.
    pub(super) fn word(self) -> String {
        match self {
            Self::None | Self::Unknown => "-".to_owned(),
            Self::Ms(ms) => span(ms),
            Self::Stands => "stands".to_owned(),
        }
    }
}

impl Rates {
    /// Takes in the tasks of something.
    pub(super) fn see(&mut self, name: &str, at_ms: u64, numbers: &Numbers) {
        let left = numbers.total.saturating_sub(numbers.waiting());
        self.see_all(name, at_ms, [numbers.total, left, numbers.ended()]);
    }

    /// Takes in three counts.
    pub(super) fn see_all(&mut self, name: &str, at_ms: u64, grown: [u64; 3]) {
        let samples = self.0.entry(name.to_owned()).or_default();
        samples.push_back(Sample { at_ms, grown });
        while samples.front().is_some_and(|first| first.at_ms + WINDOW_MS < at_ms) {
            samples.pop_front();
        }
    }

    /// Forgets what was not seen for a while.
    pub(super) fn forget(&mut self, now_ms: u64) {
        self.0.retain(|_, samples| samples.back().is_some_and(|last| last.at_ms + WINDOW_MS >= now_ms));
    }

    /// Per second, and over how many milliseconds; none before two looks.
    fn measured(&self, name: &str) -> Option<([f64; 3], u64)> {
        let samples = self.0.get(name)?;
        let (first, last) = (samples.front()?, samples.back()?);
        let ms = last.at_ms.checked_sub(first.at_ms).filter(|ms| *ms > 0)?;
        let mut pairs = last.grown.iter().zip(first.grown);
        // What ran again has not ended any more: such a count may fall.
        #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
        let rates = [(); 3].map(|()| {
            let grown = pairs.next().map_or(0, |(now, before)| now.saturating_sub(before));
            grown as f64 * 1_000.0 / ms as f64
        });
        Some((rates, ms))
    }

    /// How fast three counts grow per second; none before two looks.
    pub(super) fn per_second(&self, name: &str) -> Option<[f64; 3]> {
        self.measured(name).map(|(rates, _)| rates)
    }

    /// Tasks per second; none before two looks.
    pub(super) fn flow(&self, name: &str) -> Option<Flow> {
        self.measured(name).map(|([came, left, ended], over_ms)| Flow { came, left, ended, over_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(queued: u64, completed: u64) -> Numbers {
        let counts = [("QUEUED".to_owned(), queued), ("COMPLETED".to_owned(), completed)].into();
        Numbers { counts, live: queued, total: queued + completed }
    }

    #[test]
    fn what_came_left_and_ended() {
        let mut rates = Rates::default();
        rates.see("a", 1_000, &numbers(10, 0));
        assert_eq!(rates.flow("a"), None);
        rates.see("a", 3_000, &numbers(6, 8));
        assert_eq!(rates.flow("a"), Some(Flow { came: 2.0, left: 4.0, ended: 4.0, over_ms: 2_000 }));
        assert_eq!(rates.flow("b"), None);
    }

    #[test]
    fn a_minute_is_looked_back_and_what_is_gone_is_forgotten() {
        let mut rates = Rates::default();
        rates.see_all("a", 0, [0, 0, 0]);
        rates.see_all("a", 10_000, [0, 0, 0]);
        rates.see_all("a", 70_000, [60, 0, 0]);
        assert_eq!(rates.per_second("a"), Some([1.0, 0.0, 0.0]), "the first is too old");
        rates.see_all("a", 71_000, [1, 0, 0]);
        assert_eq!(rates.per_second("a"), Some([0.0, 0.0, 0.0]), "what falls is no rate");
        rates.forget(140_000);
        assert_eq!(rates.per_second("a"), None);
    }

    #[test]
    fn what_does_not_move_stands_once_it_was_looked_at_for_a_while() {
        let flow = |left, over_ms| Flow { left, over_ms, ..Flow::default() };
        let five = numbers(5, 3);
        assert_eq!(flow(2.0, 1).wait(&five), Time::Ms(2_500));
        assert_eq!(
            [flow(0.0, 19_999).wait(&five), flow(0.0, 20_000).wait(&five)],
            [Time::Unknown, Time::Stands]
        );
        assert_eq!(flow(0.0, 60_000).wait(&numbers(0, 3)), Time::None);
        assert_eq!(flow(2.0, 60_000).rest(&five), Time::Stands, "what is taken has not ended yet");
    }
}
