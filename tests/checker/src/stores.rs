//! A store is the fold of its changelog up to its own checkpoint: the last value of each key, byte by byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rocksdb::{DB, IteratorMode, Options};

use crate::Report;
use crate::changelog::is_batch;
use crate::record::Raw;
use crate::varint::Numbers;
use crate::violation::{Faults, Invariant};

/// Differences that are told of one store.
const TOLD_MAX: usize = 5;

/// The store of one partition, closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreDirectory {
    /// Whose.
    pub partition: i32,
    /// RocksDB's own directory.
    pub path: PathBuf,
}

/// The stores below a state directory: `<partition>/store`. Those that were set aside don't count.
#[must_use]
pub fn find_stores(state_dir: &Path) -> Vec<StoreDirectory> {
    let mut found = Vec::new();
    for entry in fs::read_dir(state_dir).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let partition = name.to_str().and_then(|name| name.parse().ok());
        match partition {
            Some(partition) if path.join("store/CURRENT").exists() => {
                found.push(StoreDirectory { partition, path: path.join("store") });
            }
            Some(_) | None if path.is_dir() => found.extend(find_stores(&path)),
            Some(_) | None => {}
        }
    }
    found.sort_by_key(|store| store.partition);
    found
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

pub(crate) fn check_stores(
    stores: &[StoreDirectory],
    changelog: &[Raw],
    report: &mut Report,
    faults: &mut Faults,
) {
    for store in stores {
        let place = store.path.display().to_string();
        let (rows, next) = match read_store(&store.path) {
            Ok(read) => read,
            Err(text) => {
                faults.add(Invariant::SameStore, place, text);
                continue;
            }
        };
        let (folded, later) = fold(changelog.iter().filter(|raw| raw.partition == store.partition), next);
        report.rows_compared += rows.len();
        let keys = rows.keys().chain(folded.keys().filter(|key| !rows.contains_key(*key)));
        // Compaction may have taken the value that the store has, when a later one follows.
        let wrong = keys.filter(|key| rows.get(*key) != folded.get(*key) && !later.contains_key(*key));
        for key in wrong.take(TOLD_MAX) {
            let words =
                |found: Option<&Vec<u8>>| found.map_or("nothing".to_owned(), |row| format!("{row:02x?}"));
            let text = format!(
                "the key {} has {} in the store and {} in the changelog below {next}",
                String::from_utf8_lossy(key).escape_debug(),
                words(rows.get(key)),
                words(folded.get(key))
            );
            faults.add(Invariant::SameStore, place.clone(), text);
        }
    }
}

/// The last value of each key below an offset, and the keys that come again from there on.
fn fold<'r>(records: impl Iterator<Item = &'r Raw>, next: i64) -> (Rows, BTreeMap<Vec<u8>, ()>) {
    let (mut rows, mut later) = (Rows::new(), BTreeMap::new());
    for raw in records.filter(|raw| !is_batch(raw)) {
        let key = raw.key.clone().unwrap_or_default();
        match &raw.value {
            _ if raw.offset >= next => drop(later.insert(key, ())),
            Some(value) => drop(rows.insert(key, value.clone())),
            None => drop(rows.remove(&key)),
        }
    }
    (rows, later)
}

/// All rows, and the offset of the changelog that comes next.
fn read_store(path: &Path) -> Result<(Rows, i64), String> {
    let failed = |error: rocksdb::Error| format!("the store can't be read: {error}");
    let families = ["default", "rows"];
    let db = DB::open_cf_for_read_only(&Options::default(), path, families, false).map_err(failed)?;
    let family = |name| db.cf_handle(name).ok_or_else(|| format!("the store has no column family {name}"));
    let checkpoint = db.get_cf(&family("default")?, b"checkpoint").map_err(failed)?;
    let checkpoint = checkpoint.ok_or("the store has no checkpoint")?;
    let next = changelog_of(&checkpoint).ok_or("the store's checkpoint can't be read")?;
    let mut rows = Rows::new();
    for row in db.iterator_cf(&family("rows")?, IteratorMode::Start) {
        let (key, value) = row.map_err(failed)?;
        rows.insert(key.into_vec(), value.into_vec());
    }
    Ok((rows, next))
}

/// Version 1 begins with the next offset of the changelog.
fn changelog_of(checkpoint: &[u8]) -> Option<i64> {
    let (1, rest) = checkpoint.split_first()? else { return None };
    Numbers(rest).signed()
}
