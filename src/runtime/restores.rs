//! How far the partitions are that are being restored here, for `/readyz` and the terminal.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// A partition that is being restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreProgress {
    /// Which.
    pub partition: i32,
    /// Offsets of the changelog that were read.
    pub done: u64,
    /// Of so many.
    pub total: u64,
    /// Why it does not go on, when it doesn't.
    pub waits_for: Option<String>,
}

/// Those that are being restored now.
#[derive(Debug, Default)]
pub struct Restores(RwLock<BTreeMap<i32, RestoreProgress>>);

impl Restores {
    /// All of them, by partition.
    #[must_use]
    pub fn all(&self) -> Vec<RestoreProgress> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// One is so far.
    pub fn at(&self, progress: RestoreProgress) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(progress.partition, progress);
    }

    /// One is over, however it ended.
    pub fn end(&self, partition: i32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }
}
