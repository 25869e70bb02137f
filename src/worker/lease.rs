//! The worker's own count of its lease: it ends no later than the server's, whatever happens to the network.

use std::time::{Duration, Instant};

/// A lease, counted on the worker's monotonic clock from the *sending* of the last record that the broker acknowledged.
/// The server counts from its taking that record in, which is later, so this one always ends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    renewed_at: Instant,
    length: Duration,
    margin: Duration,
}

impl Lease {
    /// A lease from the sending of the hello. `margin` is taken off its end.
    #[must_use]
    pub fn new(sent_at: Instant, length: Duration, margin: Duration) -> Self {
        // A margin that leaves nothing would stop every task at once; half the lease is the least that is kept.
        Self { renewed_at: sent_at, length, margin: margin.min(length / 2) }
    }

    /// A heartbeat that was sent at `sent_at` has been acknowledged. Late news never shorten it.
    pub fn renew(&mut self, sent_at: Instant) {
        self.renewed_at = self.renewed_at.max(sent_at);
    }

    /// When the worker must have stopped.
    #[must_use]
    pub fn ends_at(&self) -> Instant {
        self.renewed_at + self.length.saturating_sub(self.margin)
    }

    /// Whether the time is over.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.ends_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn ends_a_margin_early_and_counts_from_the_sending() {
        let start = Instant::now();
        let mut lease = Lease::new(start, 15 * S, 2 * S);
        assert!(!lease.is_over(start + 12 * S));
        assert!(lease.is_over(start + 13 * S));
        lease.renew(start + 4 * S);
        assert_eq!(lease.ends_at(), start + 17 * S);
        lease.renew(start + 2 * S);
        assert_eq!(
            lease.ends_at(),
            start + 17 * S,
            "an older acknowledgement that comes late changes nothing"
        );
    }

    #[test]
    fn a_margin_never_eats_the_whole_lease() {
        let start = Instant::now();
        assert_eq!(Lease::new(start, 2 * S, 5 * S).ends_at(), start + S);
    }
}
