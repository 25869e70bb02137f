//! Stores that an audit makes for itself: in memory when they are small, else in a directory that goes away with them.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use yardmaster_state::{BlockCache, DiskOptions, DiskStore, MemoryStore, StateError, Store};

/// Logs with more records than this are folded on disk.
const MEMORY_RECORDS_MAX: i64 = 1_000_000;
const CACHE_BYTES: usize = 128 << 20;

static MADE: AtomicU32 = AtomicU32::new(0);

/// An empty store.
pub(super) struct Scratch {
    /// None only while it is dropped: files are removed after the store is closed.
    store: Option<Box<dyn Store>>,
    dir: Option<PathBuf>,
}

impl Scratch {
    /// For what comes of so many records.
    pub(super) fn for_records(records: i64) -> Result<Self, StateError> {
        if records <= MEMORY_RECORDS_MAX {
            return Ok(Self { store: Some(Box::new(MemoryStore::new())), dir: None });
        }
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("yardmaster-verify-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        // Rows hold command lines and results: nobody else may look.
        DirBuilder::new().mode(0o700).create(&dir).map_err(|source| {
            let doing = format!("making {} to fold a changelog in (TMPDIR says where)", dir.display());
            StateError::Io { doing, source }
        })?;
        let store = DiskStore::open(&dir, &DiskOptions::new(BlockCache::new(CACHE_BYTES)))?;
        Ok(Self { store: Some(Box::new(store)), dir: Some(dir) })
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.store.as_deref().expect("it is there until it is dropped")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.store.take());
        if let Some(dir) = &self.dir
            && let Err(cause) = fs::remove_dir_all(dir)
        {
            tracing::warn!(dir = %dir.display(), %cause, "a scratch directory was left behind: remove it");
        }
    }
}
