//! How RocksDB is set up: bounded memory and files, quick point lookups, deletions cleaned up soon.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options};

/// The cache of data blocks; stores of one process share one.
#[derive(Clone)]
pub struct BlockCache(pub(super) Cache);

impl std::fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockCache").field("bytes_used", &self.0.get_usage()).finish()
    }
}

impl BlockCache {
    /// A cache of so many bytes, indexes and filters of the files included.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Cache::new_lru_cache(bytes))
    }
}

/// What a store on disk may use.
#[derive(Debug, Clone)]
pub struct DiskOptions {
    /// The cache that it shares with the process's other stores.
    pub cache: BlockCache,
    /// At most so many bytes of writes stay in memory before they go to files. Default: 96 MiB.
    pub write_buffer_bytes: usize,
    /// At most so many files are open; below 0 for no limit. Default: 256.
    pub open_files_max: i32,
    /// Threads that flush and compact. Default: 2.
    pub background_threads: i32,
}

/// Filters of 10 bits for each key: one lookup in a hundred for a key that is not there reads a block in vain.
const BLOOM_BITS: f64 = 10.0;
const LOG_BYTES_MAX: u64 = 256 << 20;
const INFO_LOG_BYTES: usize = 4 << 20;

/// What the bindings have no setter for. Each log names the one before it, so that a missing one is noticed. Nothing is
/// allocated ahead: each store would hold 35 MB of a disk that may be short of space.
const NO_SETTER: &str = "track_and_verify_wals=true;allow_fallocate=false";

impl DiskOptions {
    /// The default limits with a cache.
    #[must_use]
    pub fn new(cache: BlockCache) -> Self {
        Self { cache, write_buffer_bytes: 96 << 20, open_files_max: 256, background_threads: 2 }
    }

    /// A store is created only where there is none: RocksDB would put an empty family, or an empty store, in the place of
    /// one whose files are damaged.
    pub(super) fn database(&self, create: bool) -> Options {
        let mut options =
            Options::default().get_options_from_string(NO_SETTER).expect("RocksDB knows the options");
        options.create_if_missing(create);
        options.create_missing_column_families(create);
        options.set_paranoid_checks(true);
        // Rows and checkpoint must be of the same batch after a power loss too.
        options.set_atomic_flush(true);
        // A log that is damaged ends there, at its tail or in its middle: what was written before is an earlier whole batch,
        // as its checkpoint says, and nothing behind the damage is taken. A log that is missing between two others is
        // noticed, since each one names the one before it.
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        options.set_max_total_wal_size(LOG_BYTES_MAX);
        options.set_db_write_buffer_size(self.write_buffer_bytes);
        options.set_max_open_files(self.open_files_max);
        options.set_max_background_jobs(self.background_threads);
        options.set_bytes_per_sync(1 << 20);
        options.set_keep_log_file_num(2);
        options.set_max_log_file_size(INFO_LOG_BYTES);
        options
    }

    pub(super) fn rows(&self) -> Options {
        self.family()
    }

    /// The heads of queues are written and deleted all the time: a file with many deletions is compacted soon, since
    /// every scan from the head walks over them.
    pub(super) fn index(&self) -> Options {
        let mut options = self.family();
        options.add_compact_on_deletion_collector_factory(4096, 1024, 0.3);
        options
    }

    pub(super) fn history(&self) -> Options {
        let mut options = self.family();
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        options
    }

    pub(super) fn meta(&self) -> Options {
        let mut options = self.family();
        // All families flush together: this one must not be the first that is full.
        options.set_write_buffer_size(16 << 20);
        options
    }

    fn family(&self) -> Options {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&self.cache.0);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        blocks.set_bloom_filter(BLOOM_BITS, false);
        blocks.set_whole_key_filtering(true);
        blocks.set_block_size(16 << 10);
        let mut options = Options::default();
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_write_buffer_size((self.write_buffer_bytes / 3).max(1 << 20));
        options.set_max_write_buffer_number(3);
        // Most keys that are looked up are not there: new tasks. In memory, too, a filter says so.
        options.set_memtable_prefix_bloom_ratio(0.05);
        options.set_memtable_whole_key_filtering(true);
        options
    }
}
