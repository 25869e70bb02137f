//! The store on disk: RocksDB, one column family for each class of table, one atomic write for each commit.
//!
//! The write-ahead log is on and never synced by a commit: a killed process loses nothing, a power loss loses the last
//! commits, which the changelog has. The column families flush together, so that rows and checkpoint never part.

mod failure;
mod figures;
mod options;
mod read_only;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DBWithThreadMode, FlushOptions, ReadOptions, SingleThreaded,
    SnapshotWithThreadMode, WriteBatch,
};

pub use self::figures::DiskFigures;
pub use self::options::{BlockCache, DiskOptions};

use self::failure::{Found, look, sort, sort_at_open};
use crate::store::Visit;
use crate::{Batch, Checkpoint, StateError, Store, StoreRead, TableClass, Write, fail_point};

/// Column families are opened once and never created later, so finding one takes no lock.
type Db = DBWithThreadMode<SingleThreaded>;
type Snapshot<'s> = SnapshotWithThreadMode<'s, Db>;

const ROWS: &str = "rows";
const INDEX: &str = "index";
const HISTORY: &str = "history";
/// RocksDB insists on a family of this name; ours holds the checkpoint.
const META: &str = "default";
const CHECKPOINT: &[u8] = b"checkpoint";
/// When the store was last known to have everything.
const CURRENT_AT: &[u8] = b"current-at";
/// What a write takes in a batch besides its key and value, at most: a tag, its family, two lengths.
const WRITE_OVERHEAD: usize = 16;

/// A store on disk.
pub struct DiskStore {
    db: Db,
    path: PathBuf,
    cache: BlockCache,
    /// The first sign of damage that any reader or writer has met.
    damage: OnceLock<String>,
}

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DiskStore {
    /// Opens, and creates if need be, the store in `path`, which only this process uses.
    ///
    /// # Errors
    /// [`StateError::Corrupted`] when its files are damaged, [`StateError::Full`], [`StateError::Io`].
    pub fn open(path: &Path, options: &DiskOptions) -> Result<Self, StateError> {
        let families = [
            ColumnFamilyDescriptor::new(META, options.meta()),
            ColumnFamilyDescriptor::new(ROWS, options.rows()),
            ColumnFamilyDescriptor::new(INDEX, options.index()),
            ColumnFamilyDescriptor::new(HISTORY, options.history()),
        ];
        let found = look(path)?;
        let db = Db::open_cf_descriptors(&options.database(found == Found::Nothing), path, families)
            .map_err(|cause| sort_at_open(path, found, &cause))?;
        fail_point!("rocksdb_open");
        Ok(Self { db, path: path.to_owned(), cache: options.cache.clone(), damage: OnceLock::new() })
    }

    /// Whether anything has failed since the store was opened that only opening it anew can mend: damage that a reader met,
    /// or a flush or compaction that failed.
    ///
    /// # Errors
    /// [`StateError::Corrupted`], or [`StateError::Io`] for work in the background.
    pub fn check(&self) -> Result<(), StateError> {
        if let Some(damage) = self.damage.get() {
            return Err(StateError::Corrupted(damage.clone()));
        }
        if self.property(META, rocksdb::properties::BACKGROUND_ERRORS)? == 0 {
            return Ok(());
        }
        // Tells what has failed, if that still holds writes back.
        self.flush()?;
        Err(StateError::Io {
            doing: format!("flushing or compacting the store in {}", self.path.display()),
            source: std::io::Error::other("it failed in the background"),
        })
    }

    /// Notes that the store has everything that was committed before `wall_ms`, a time in milliseconds since 1970.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn note_current(&self, wall_ms: u64) -> Result<(), StateError> {
        let written = self.db.put_cf(self.family(META), CURRENT_AT, wall_ms.to_le_bytes());
        written.map_err(|cause| self.failed("writing", &cause))
    }

    /// When the store was last known to have everything, in milliseconds since 1970; none before its first batch.
    ///
    /// # Errors
    /// As [`StoreRead::get`].
    pub fn current_at(&self) -> Result<Option<u64>, StateError> {
        let noted = self.get_at(None, self.family(META), CURRENT_AT)?;
        let noted = noted.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
        let batch = self.checkpoint()?.map(|checkpoint| checkpoint.wall_ms);
        Ok(batch.map(|batch| noted.map_or(batch, |noted| noted.max(batch))))
    }

    /// Writes what is in memory into files, for a clean shutdown: the next start has no log to replay.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn flush(&self) -> Result<(), StateError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let families = [self.family(META), self.family(ROWS), self.family(INDEX), self.family(HISTORY)];
        let families: Vec<&&ColumnFamily> = families.iter().collect();
        fail_point!("rocksdb_flush");
        self.db.flush_cfs_opt(&families, &options).map_err(|cause| self.failed("flushing", &cause))
    }

    /// [`crate::rows_digest`] of this store.
    ///
    /// # Errors
    /// As [`StoreRead::scan`].
    pub fn rows_digest(&self) -> Result<u64, StateError> {
        crate::rows_digest(self)
    }

    fn family(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("all column families were opened")
    }

    fn class(&self, class: TableClass) -> &ColumnFamily {
        self.family(match class {
            TableClass::Logged => ROWS,
            TableClass::Derived => INDEX,
            TableClass::History => HISTORY,
        })
    }

    /// Whoever meets damage first: its owner has to know, also when it was only a reader.
    fn failed(&self, doing: &str, cause: &rocksdb::Error) -> StateError {
        let error = sort(&format!("{doing} the store in {}", self.path.display()), cause);
        if let StateError::Corrupted(what) = &error {
            self.damage.get_or_init(|| what.clone());
        }
        error
    }

    /// Every read: of the store as it is, or as it was when the snapshot was taken.
    fn read_options(snapshot: Option<&Snapshot<'_>>) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        if let Some(snapshot) = snapshot {
            options.set_snapshot(snapshot);
        }
        options
    }

    fn get_at(
        &self,
        snapshot: Option<&Snapshot<'_>>,
        family: &ColumnFamily,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StateError> {
        self.db
            .get_cf_opt(family, key, &Self::read_options(snapshot))
            .map_err(|cause| self.failed("reading", &cause))
    }

    fn scan_at(
        &self,
        snapshot: Option<&Snapshot<'_>>,
        class: TableClass,
        range: (&[u8], &[u8]),
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), StateError> {
        let (from, to) = range;
        if from >= to {
            return Ok(());
        }
        let mut options = Self::read_options(snapshot);
        // The bound lets RocksDB stop inside a run of deletions instead of walking out of the range.
        options.set_iterate_upper_bound(to);
        let mut rows = self.db.raw_iterator_cf_opt(self.class(class), options);
        rows.seek(from);
        for _ in 0..limit {
            let Some((key, value)) = rows.item() else { break };
            if visit(key, value).is_break() {
                break;
            }
            rows.next();
        }
        rows.status().map_err(|cause| self.failed("scanning", &cause))
    }

    fn checkpoint_at(&self, snapshot: Option<&Snapshot<'_>>) -> Result<Option<Checkpoint>, StateError> {
        let bytes = self.get_at(snapshot, self.family(META), CHECKPOINT)?;
        bytes.map(|bytes| Checkpoint::decode(&bytes)).transpose()
    }

    /// Whole files go at once; what shares a file with other rows is left to the range deletion in the batch. A crash
    /// between the two has dropped a part of what is being dropped.
    fn drop_files(&self, batch: &Batch) -> Result<(), StateError> {
        for (from, to) in &batch.drops {
            self.db
                .delete_file_in_range_cf(self.class(TableClass::History), from, to)
                .map_err(|cause| self.failed("dropping history of", &cause))?;
        }
        Ok(())
    }
}

impl StoreRead for DiskStore {
    fn get(&self, class: TableClass, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.get_at(None, self.class(class), key)
    }

    fn scan(
        &self,
        class: TableClass,
        from: &[u8],
        to: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), StateError> {
        self.scan_at(None, class, (from, to), limit, visit)
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, StateError> {
        self.checkpoint_at(None)
    }
}

impl Store for DiskStore {
    fn commit(&self, batch: &Batch) -> Result<(), StateError> {
        self.drop_files(batch)?;
        let bytes =
            |write: &Write| write.key.len() + write.value.as_ref().map_or(0, Vec::len) + WRITE_OVERHEAD;
        let mut writes = WriteBatch::with_capacity_bytes(batch.writes.iter().map(bytes).sum());
        for (from, to) in batch.drops.iter().filter(|(from, to)| from < to) {
            writes.delete_range_cf(self.class(TableClass::History), from, to);
        }
        for write in &batch.writes {
            let family = self.class(write.class);
            match &write.value {
                Some(value) => writes.put_cf(family, &write.key, value),
                None => writes.delete_cf(family, &write.key),
            }
        }
        if let Some(checkpoint) = &batch.checkpoint {
            writes.put_cf(self.family(META), CHECKPOINT, checkpoint.encode());
        }
        self.db.write(writes).map_err(|cause| self.failed("writing", &cause))
    }

    fn view(&self) -> Box<dyn StoreRead + '_> {
        Box::new(View { store: self, snapshot: self.db.snapshot() })
    }
}

/// The store at one time.
struct View<'s> {
    store: &'s DiskStore,
    snapshot: Snapshot<'s>,
}

impl StoreRead for View<'_> {
    fn get(&self, class: TableClass, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.store.get_at(Some(&self.snapshot), self.store.class(class), key)
    }

    fn scan(
        &self,
        class: TableClass,
        from: &[u8],
        to: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), StateError> {
        self.store.scan_at(Some(&self.snapshot), class, (from, to), limit, visit)
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, StateError> {
        self.store.checkpoint_at(Some(&self.snapshot))
    }
}
