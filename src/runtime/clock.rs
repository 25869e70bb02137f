//! The processor's clock: the last batch's time plus monotonic time since. A step of the wall clock never moves it, and
//! an outage freezes it, so leases don't run out while nobody could renew them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use yardmaster_state::chaos::Mutant;
use yardmaster_topologies::time::{Now, ProcessorMs, WallMs};

/// How much time may count between two looks. A processor looks many times a second; when it didn't, it was stopped or
/// waited for Kafka, and has not read what workers said meanwhile.
const GAP_MAX: Duration = Duration::from_secs(1);

/// One processor's clock.
#[derive(Debug)]
pub(super) struct Clock {
    base: ProcessorMs,
    since: Instant,
    looked_at: Instant,
}

impl Clock {
    /// Goes on from the time of the last batch.
    pub(super) fn resume(at: ProcessorMs) -> Self {
        let now = Instant::now();
        Self { base: at, since: now, looked_at: now }
    }

    /// The time now, on both clocks.
    pub(super) fn now(&mut self) -> Now {
        Now { processor: self.look(Instant::now()), wall: wall() }
    }

    /// Puts the clock back to `at`: what passed since then did not count.
    pub(super) fn freeze(&mut self, at: ProcessorMs) {
        if !Mutant::LocalLeases.is_on() {
            *self = Self::resume(at);
        }
    }

    fn look(&mut self, now: Instant) -> ProcessorMs {
        let gap = now.saturating_duration_since(self.looked_at);
        if !Mutant::LocalLeases.is_on() {
            self.since += gap.saturating_sub(GAP_MAX);
        }
        self.looked_at = now;
        let passed = now.saturating_duration_since(self.since).as_millis();
        ProcessorMs(self.base.0.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX)))
    }
}

/// The wall's time.
#[must_use]
pub fn wall() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_from_the_last_batch() {
        let mut clock = Clock::resume(ProcessorMs(5_000));
        let start = clock.since;
        assert_eq!(clock.look(start + Duration::from_millis(300)), ProcessorMs(5_300));
        assert_eq!(clock.look(start + Duration::from_millis(900)), ProcessorMs(5_900));
    }

    #[test]
    fn a_pause_of_the_process_hardly_counts() {
        let mut clock = Clock::resume(ProcessorMs(0));
        let start = clock.since;
        assert_eq!(clock.look(start + Duration::from_millis(500)), ProcessorMs(500));
        assert_eq!(clock.look(start + Duration::from_secs(60)), ProcessorMs(1_500));
        assert_eq!(clock.look(start + Duration::from_millis(60_250)), ProcessorMs(1_750));
    }
}
