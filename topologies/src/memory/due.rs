//! Where to look for what is due: for each index that begins with a time, a moment before which it has nothing.
//!
//! Such an index loses its rows at the head, or, as most run timeouts do, long before they are due. A scan from its start
//! would walk over what the store remembers of all of them, with every batch. So a scan starts here, and only when the
//! time has come. A bound may be too low, never too high: that costs a look for nothing and changes no decision.

use crate::time::ProcessorMs;

/// An index whose keys begin with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueIndex {
    /// Leases by expiry.
    Lease,
    /// Timers of tasks.
    Timer,
    /// Done markers by the time when they may be forgotten.
    Marker,
    /// Workers by the time when they left.
    Left,
    /// DONE jobs by the time when they may be forgotten.
    Job,
    /// Counters of queues and tags without a live task by the time when they may be forgotten.
    Counter,
}

impl DueIndex {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Lease, Self::Timer, Self::Marker, Self::Left, Self::Job, Self::Counter];
}

#[derive(Debug, Clone, Copy, Default)]
struct Bound {
    at: ProcessorMs,
    /// A row is known to have been there; else the bound only says how far everything was done.
    is_found: bool,
}

/// The bounds. Fresh ones know nothing.
#[derive(Debug, Clone, Default)]
pub struct DueTimes([Bound; DueIndex::ALL.len()]);

impl DueTimes {
    /// Told of every row that is written into an index.
    pub fn note(&mut self, index: DueIndex, at: ProcessorMs) {
        let bound = self.bound(index);
        if at < bound.at {
            bound.at = at;
        }
    }

    /// The index has nothing before this.
    #[must_use]
    pub fn not_before(&self, index: DueIndex) -> ProcessorMs {
        self.0.get(index as usize).map_or(ProcessorMs(0), |bound| bound.at)
    }

    /// Whether the first row has to be looked for.
    #[must_use]
    pub fn is_unknown(&self, index: DueIndex) -> bool {
        !self.0.get(index as usize).is_some_and(|bound| bound.is_found)
    }

    /// Everything before this is about to be done.
    pub fn done_before(&mut self, index: DueIndex, at: ProcessorMs) {
        *self.bound(index) = Bound { at, is_found: false };
    }

    /// The first row of the index; none is the end of time.
    pub fn found(&mut self, index: DueIndex, first: Option<ProcessorMs>) {
        let at = first.unwrap_or(ProcessorMs(u64::MAX));
        *self.bound(index) = Bound { at, is_found: true };
    }

    fn bound(&mut self, index: DueIndex) -> &mut Bound {
        self.0.get_mut(index as usize).expect("there is a bound for each index")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_never_too_high() {
        let mut due = DueTimes::default();
        assert_eq!(due.not_before(DueIndex::Timer), ProcessorMs(0));
        assert!(due.is_unknown(DueIndex::Timer));
        due.found(DueIndex::Timer, Some(ProcessorMs(50)));
        due.note(DueIndex::Timer, ProcessorMs(70));
        assert_eq!(due.not_before(DueIndex::Timer), ProcessorMs(50));
        due.note(DueIndex::Timer, ProcessorMs(30));
        assert_eq!(due.not_before(DueIndex::Timer), ProcessorMs(30));
        assert!(!due.is_unknown(DueIndex::Timer));
        due.done_before(DueIndex::Timer, ProcessorMs(31));
        due.note(DueIndex::Timer, ProcessorMs(30));
        assert_eq!(due.not_before(DueIndex::Timer), ProcessorMs(30));
        assert!(due.is_unknown(DueIndex::Timer));
        assert!(due.is_unknown(DueIndex::Lease));
    }
}
