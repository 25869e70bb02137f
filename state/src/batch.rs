//! What one commit changes, as data.

use std::sync::Arc;

use crate::{BatchRecord, Checkpoint, Record, Seal, TableClass, changelog};

/// One key's new value; none deletes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The whole key, table byte included.
    pub key: Arc<[u8]>,
    /// The row's bytes, version byte included.
    pub value: Option<Vec<u8>>,
    /// The class of its table.
    pub class: TableClass,
}

/// Everything that one commit changes in a store, at once or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The last value of each key that changed, sorted by key.
    pub writes: Vec<Write>,
    /// Where the store stands after this batch; without one the store keeps the one it has.
    pub checkpoint: Option<Checkpoint>,
    /// Ranges of history, from and to (exclusive), that are dropped before the writes are made.
    pub drops: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Batch {
    /// The writes that belong into the changelog, in the order in which they are produced.
    pub fn logged(&self) -> impl Iterator<Item = &Write> {
        self.writes.iter().filter(|write| write.class == TableClass::Logged)
    }

    /// The batch record that claims the logged rows; it follows them in the changelog.
    #[must_use]
    pub fn sealed(&self, seal: Seal) -> BatchRecord {
        changelog::seal(self.logged(), seal)
    }

    /// The changelog records of this batch: its logged rows, and the batch record last.
    #[must_use]
    pub fn changelog(&self, seal: Seal) -> Vec<Record> {
        let batch = self.sealed(seal);
        let row = |write: &Write| Record { key: write.key.to_vec(), value: write.value.clone() };
        let last = Record { key: batch.key(), value: Some(batch.encode()) };
        self.logged().map(row).chain([last]).collect()
    }

    /// Whether a commit of it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.drops.is_empty() && self.checkpoint.is_none()
    }
}
