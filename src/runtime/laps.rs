//! How long each phase of a batch took.

use std::time::{Duration, Instant};

/// A watch that is pressed at the end of each phase.
#[derive(Debug)]
pub(super) struct Laps {
    since: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl Laps {
    /// Starts the watch.
    pub(super) fn start() -> Self {
        Self { since: Instant::now(), laps: Vec::with_capacity(6) }
    }

    /// Ends a phase; the next one begins.
    pub(super) fn end(&mut self, phase: &'static str) {
        let now = Instant::now();
        self.laps.push((phase, now - self.since));
        self.since = now;
    }

    /// The phases in their order.
    pub(super) fn all(&self) -> &[(&'static str, Duration)] {
        &self.laps
    }
}
