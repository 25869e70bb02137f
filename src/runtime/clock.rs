//! The processor's clock: the last batch's time plus monotonic time since. A step of the wall clock never moves it, and
//! an outage freezes it, so leases don't run out while nobody could renew them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use yardmaster_topologies::time::{Now, ProcessorMs, WallMs};

/// One processor's clock.
#[derive(Debug)]
pub struct Clock {
    base: ProcessorMs,
    since: Instant,
}

impl Clock {
    /// Goes on from the time of the last batch.
    #[must_use]
    pub fn resume(at: ProcessorMs) -> Self {
        Self { base: at, since: Instant::now() }
    }

    /// The time now, on both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let passed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { processor: ProcessorMs(self.base.0.saturating_add(passed)), wall: wall() }
    }

    /// Puts the clock back to `at`: what passed since then did not count.
    pub fn freeze(&mut self, at: ProcessorMs) {
        *self = Self::resume(at);
    }
}

/// The wall's time.
#[must_use]
pub fn wall() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
