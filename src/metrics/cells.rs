//! Counters by values of closed sets, found again without hashing text: what each record passes through.

use prometheus::{IntCounter, IntCounterVec};

/// The counters of a vector that were met so far. There are few, and the most frequent ones are met first.
pub(super) struct Cells<K> {
    vec: IntCounterVec,
    known: Vec<(K, IntCounter)>,
}

impl<K: PartialEq> Cells<K> {
    /// None met yet.
    pub(super) fn new(vec: &IntCounterVec) -> Self {
        Self { vec: vec.clone(), known: Vec::new() }
    }

    /// Counts one; `labels` says what a key that was not met before is called.
    pub(super) fn count<const N: usize>(&mut self, key: K, labels: impl FnOnce() -> [&'static str; N]) {
        if let Some((_, counter)) = self.known.iter().find(|(known, _)| *known == key) {
            return counter.inc();
        }
        let counter = self.vec.with_label_values(&labels());
        counter.inc();
        self.known.push((key, counter));
    }
}
