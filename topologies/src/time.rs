//! Two clocks, never mixed: the processor's own, which drives every timer, and the wall's, which people read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds on the processor's clock: the last batch's time plus monotonic time since. A clock step never moves it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessorMs(pub u64);

/// Milliseconds since the Unix epoch, for display and absolute deadlines only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallMs(pub u64);

/// The one time of a batch, on both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Drives leases, timeouts and backoff.
    pub processor: ProcessorMs,
    /// Stands in rows and events for people.
    pub wall: WallMs,
}

/// A length of time as it is logged: whole milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The same length for std's timers.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl ProcessorMs {
    /// The moment `wait` later; the end of time instead of an overflow.
    #[must_use]
    pub fn after(self, wait: Millis) -> Self {
        Self(self.0.saturating_add(wait.0))
    }
}
