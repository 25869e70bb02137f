//! What a restore may use, and what it found.

use crate::BatchRecord;

/// How much is held in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Batches share one write until their rows have this many bytes. Default: 8 MiB.
    pub write_bytes: usize,
    /// At most so many bytes of rows wait for their batch record. Default: 128 MiB.
    pub waiting_bytes_max: usize,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self { write_bytes: 8 << 20, waiting_bytes_max: 128 << 20 }
    }
}

/// A row that no batch record claims, though none is missing: a part of a commit that the broker tore. It is not in the
/// store; the owner must [rewrite](crate::Txn::rewrite) its key with the next commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornRow {
    /// Its offset in the changelog.
    pub offset: i64,
    /// Its key.
    pub key: Vec<u8>,
}

/// What was read and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Records that were fed.
    pub records_read: u64,
    /// Rows that went into the store.
    pub rows: u64,
    /// Of these: rows whose batch record was compacted away.
    pub trusted: u64,
    /// Batch records.
    pub batches: u64,
    /// Batches that were whole and had the right digest; the others had rows compacted away.
    pub digest_checked: u64,
    /// Rows that were kept out.
    pub torn: Vec<TornRow>,
    /// The last batch record.
    pub last: Option<BatchRecord>,
}

/// A row that was read and not yet claimed.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) offset: i64,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

impl From<Waiting> for TornRow {
    fn from(row: Waiting) -> Self {
        Self { offset: row.offset, key: row.key }
    }
}
