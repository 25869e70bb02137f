//! What a store on disk takes up, as RocksDB counts it.

use rocksdb::properties;

use super::{DiskStore, HISTORY, INDEX, META, ROWS};
use crate::StateError;

/// Sizes of a store, for metrics. Keys are estimates: deletions that are not compacted yet are counted as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskFigures {
    /// Logged rows.
    pub rows: u64,
    /// Index rows.
    pub index_rows: u64,
    /// History rows.
    pub history_rows: u64,
    /// Bytes of files that hold the current rows.
    pub live_file_bytes: u64,
    /// Bytes of all files, those that only an old view needs included.
    pub total_file_bytes: u64,
    /// Bytes of writes that are not in files yet.
    pub write_buffer_bytes: u64,
    /// Bytes that compaction still has to rewrite.
    pub pending_compaction_bytes: u64,
    /// Full memtables that wait to be written to files.
    pub immutable_memtables: u64,
    /// Compactions that run now.
    pub running_compactions: u64,
    /// No write gets in before compaction has caught up.
    pub is_write_stopped: bool,
    /// Writes are slowed down to so many bytes per second; 0 when they are not.
    pub delayed_write_rate: u64,
    /// Errors of flushes and compactions since the store was opened.
    pub background_errors: u64,
    /// Bytes used of the block cache, by all stores that share it.
    pub block_cache_bytes: u64,
    /// Of these: in use, so that they can't be evicted.
    pub block_cache_pinned_bytes: u64,
    /// The size of the block cache.
    pub block_cache_capacity_bytes: u64,
}

impl DiskStore {
    /// The sizes of this store now. Cheap enough for every scrape.
    ///
    /// # Errors
    /// As [`crate::StoreRead::get`].
    pub fn figures(&self) -> Result<DiskFigures, StateError> {
        let total = |property| -> Result<u64, StateError> {
            [META, ROWS, INDEX, HISTORY].iter().map(|name| self.property(name, property)).sum()
        };
        Ok(DiskFigures {
            rows: self.property(ROWS, properties::ESTIMATE_NUM_KEYS)?,
            index_rows: self.property(INDEX, properties::ESTIMATE_NUM_KEYS)?,
            history_rows: self.property(HISTORY, properties::ESTIMATE_NUM_KEYS)?,
            live_file_bytes: total(properties::LIVE_SST_FILES_SIZE)?,
            total_file_bytes: total(properties::TOTAL_SST_FILES_SIZE)?,
            write_buffer_bytes: total(properties::SIZE_ALL_MEM_TABLES)?,
            pending_compaction_bytes: total(properties::ESTIMATE_PENDING_COMPACTION_BYTES)?,
            immutable_memtables: total(properties::NUM_IMMUTABLE_MEM_TABLE)?,
            // Of the whole database, whichever family is asked.
            running_compactions: self.property(META, properties::NUM_RUNNING_COMPACTIONS)?,
            is_write_stopped: self.property(META, properties::IS_WRITE_STOPPED)? > 0,
            delayed_write_rate: self.property(META, properties::ACTUAL_DELAYED_WRITE_RATE)?,
            background_errors: self.property(META, properties::BACKGROUND_ERRORS)?,
            block_cache_bytes: self.cache.0.get_usage() as u64,
            block_cache_pinned_bytes: self.cache.0.get_pinned_usage() as u64,
            block_cache_capacity_bytes: self.property(ROWS, properties::BLOCK_CACHE_CAPACITY)?,
        })
    }

    pub(super) fn property(&self, family: &str, property: &properties::PropName) -> Result<u64, StateError> {
        let figure = self.db.property_int_value_cf(self.family(family), property);
        Ok(figure.map_err(|cause| self.failed("measuring", &cause))?.unwrap_or_default())
    }
}
