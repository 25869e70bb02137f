//! The store on disk does what the one in memory does.

use proptest::prelude::*;
use yardmaster_state::{
    BlockCache, Checkpoint, DiskOptions, DiskStore, HotRows, MemoryStore, Store, Txn, rows_digest, scan_rows,
};

use crate::toy::{ByRank, Op, Past, Things, apply, batch_of, batches, check_index, contents};

fn open(path: &std::path::Path) -> DiskStore {
    DiskStore::open(path, &DiskOptions::new(BlockCache::new(8 << 20))).unwrap()
}

fn check_same(disk: &dyn Store, memory: &dyn Store) {
    assert_eq!(contents(disk), contents(memory));
    assert_eq!(disk.checkpoint().unwrap(), memory.checkpoint().unwrap());
    assert_eq!(rows_digest(disk).unwrap(), rows_digest(memory).unwrap());
    check_index(disk);
}

/// What a transaction's scans show is what the store shows once it is committed.
fn check_scans(store: &dyn Store, ops: &[Op], limit: usize) {
    let mut txn = Txn::new(store);
    apply(&mut txn, ops);
    let seen = (
        txn.scan::<Things>(&[1, 0, 0, 0, 2], &[1, 0, 0, 0, 9], limit).unwrap(),
        txn.scan::<ByRank>(&[2], &[3], limit).unwrap(),
        txn.scan::<Past>(&[4, 0, 0, 0, 1], &[5], limit).unwrap(),
    );
    store.commit(&txn.finish()).unwrap();
    let kept = (
        scan_rows::<Things>(store, &[1, 0, 0, 0, 2], &[1, 0, 0, 0, 9], limit).unwrap(),
        scan_rows::<ByRank>(store, &[2], &[3], limit).unwrap(),
        scan_rows::<Past>(store, &[4, 0, 0, 0, 1], &[5], limit).unwrap(),
    );
    assert_eq!(seen, kept);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn disk_equals_memory(batches in batches(), flushes in any::<u16>(), limit in 1..20_usize) {
        let dir = tempfile::tempdir().unwrap();
        let memory = MemoryStore::new();
        let mut disk = open(dir.path());
        for (number, ops) in batches.iter().enumerate() {
            let before = contents(&disk);
            let mut batch = batch_of(&disk, ops);
            prop_assert_eq!(&batch, &batch_of(&memory, ops), "the same reads give the same batch");
            let no_drops = batch.drops.is_empty();
            let view = disk.view();
            batch.checkpoint = Some(Checkpoint { sequence: number as u64, ..Checkpoint::default() });
            disk.commit(&batch).unwrap();
            memory.commit(&batch).unwrap();
            prop_assert!(!no_drops || contents(&*view) == before, "a view stays as it was");
            drop(view);
            check_same(&disk, &memory);
            if flushes >> (number % 16) & 1 == 1 {
                disk.flush().unwrap();
                drop(disk);
                disk = open(dir.path());
                check_same(&disk, &memory);
            }
            check_scans(&disk, ops, limit);
            check_scans(&memory, ops, limit);
            check_same(&disk, &memory);
        }
    }
}

proptest! {
    /// Hot rows change nothing but the time that it takes, and there are as many as the table says.
    #[test]
    fn hot_rows_decide_nothing(batches in batches()) {
        let (store, mut hot) = (MemoryStore::new(), HotRows::default());
        for ops in &batches {
            let mut txn = Txn::with_hot(&store, std::mem::take(&mut hot));
            apply(&mut txn, ops);
            let (batch, kept) = txn.finish_hot();
            prop_assert_eq!(&batch, &batch_of(&store, ops));
            store.commit(&batch).unwrap();
            hot = kept;
            let rows = scan_rows::<Things>(&store, &[1], &[2], usize::MAX).unwrap();
            let even = rows.iter().filter(|(_, thing)| thing.rank % 2 == 0).count();
            prop_assert!(hot.len() <= even, "{} of {even} rows are hot", hot.len());
        }
    }
}

#[test]
fn figures_count_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.commit(&batch_of(&store, &[Op::PutThing(1, 1, 1), Op::PutPast(1, 1), Op::PutPast(1, 2)])).unwrap();
    store.flush().unwrap();
    let figures = store.figures().unwrap();
    assert_eq!((figures.rows, figures.index_rows, figures.history_rows), (1, 1, 2));
    assert!(figures.live_file_bytes > 0 && figures.write_buffer_bytes > 0 && figures.block_cache_bytes > 0);
}

#[test]
fn a_damaged_file_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ops: Vec<_> = (0..2000).map(|id| Op::PutThing(id, 1, i64::from(id))).collect();
    store.commit(&batch_of(&store, &ops)).unwrap();
    store.flush().unwrap();
    drop(store);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|name| name == "sst") {
            let mut bytes = std::fs::read(&path).unwrap();
            for byte in bytes.iter_mut().skip(16).take(256) {
                *byte ^= 0x55;
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let options = DiskOptions::new(BlockCache::new(8 << 20));
    let error = DiskStore::open(dir.path(), &options).and_then(|store| store.rows_digest()).unwrap_err();
    assert!(matches!(error, yardmaster_state::StateError::Corrupted(_)), "{error}");
}
