//! A look at a store that another process may be writing: nothing is locked, written or deleted.
//!
//! RocksDB opens a database for reading beside its writer: it reads the list of files (the manifest), opens them, and
//! replays the write-ahead logs behind them. A flush in that moment may delete a log that this list still counts on, and
//! later logs would be replayed over the gap. Logs go oldest first, one flush after the other: when all that were there
//! before are there after, none was taken away meanwhile, and what was opened is a whole prefix of the writer's commits.
//! Of a table that is gone RocksDB says that the store is damaged, which it is only if that was no compaction in that
//! moment: while files come and go, it is tried again, and an error counts only when they rest.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use rocksdb::ColumnFamilyDescriptor;

use super::failure::sort;
use super::{Db, DiskOptions, DiskStore, HISTORY, INDEX, META, ROWS};
use crate::StateError;

/// A writer flushes every few seconds at most, and opening takes a fraction of one; on a busy machine the two may come
/// close to each other.
const TRIES_MOVING: u32 = 1_000;
/// An error that comes so often of files that rest is no accident of reading while something was written.
const TRIES_AT_REST: u32 = 10;
const PAUSE: Duration = Duration::from_millis(10);

impl DiskStore {
    /// Opens a store for reading, as it is now: also one that another process has open, which isn't disturbed. A commit to
    /// it is an error.
    ///
    /// # Errors
    /// As [`DiskStore::open`]; [`StateError::Io`] when there is no store, or its files change all the time.
    pub fn open_read_only(path: &Path, options: &DiskOptions) -> Result<Self, StateError> {
        let (mut moving, mut at_rest) = (0, 0);
        while moving < TRIES_MOVING {
            let before = names(path)?;
            let opened = Self::open_once(path, options);
            let after = names(path)?;
            match opened {
                Ok(store) if logs(&before).all(|log| after.contains(log)) => return Ok(store),
                Err(error) if before == after => {
                    at_rest += 1;
                    if at_rest == TRIES_AT_REST {
                        return Err(error);
                    }
                }
                Ok(_) | Err(_) => moving += 1,
            }
            thread::sleep(PAUSE);
        }
        let why = "its files change all the time: stop the server, or look at a copy of the directory";
        Err(StateError::io("reading the store in", path, io::Error::other(why)))
    }

    fn open_once(path: &Path, options: &DiskOptions) -> Result<Self, StateError> {
        let families = [
            ColumnFamilyDescriptor::new(META, options.meta()),
            ColumnFamilyDescriptor::new(ROWS, options.rows()),
            ColumnFamilyDescriptor::new(INDEX, options.index()),
            ColumnFamilyDescriptor::new(HISTORY, options.history()),
        ];
        let mut database = options.database(false);
        // All files are opened now: the writer may delete their names later.
        database.set_max_open_files(-1);
        let db = Db::open_cf_descriptors_read_only(&database, path, families, false)
            .map_err(|cause| sort(&format!("reading the store in {}", path.display()), &cause))?;
        Ok(Self { db, path: path.to_owned(), cache: options.cache.clone(), damage: OnceLock::new() })
    }
}

/// The files that there are.
fn names(path: &Path) -> Result<BTreeSet<OsString>, StateError> {
    let failed = |cause| StateError::io("listing", path, cause);
    fs::read_dir(path).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.file_name())).collect()
}

/// The write-ahead logs among them.
fn logs(names: &BTreeSet<OsString>) -> impl Iterator<Item = &OsString> {
    names.iter().filter(|name| Path::new(name).extension().is_some_and(|end| end == "log"))
}
