//! A store comes back from its changelog: from any point, compacted or not; what is wrong with a changelog is said.

use proptest::prelude::*;
use yardmaster_state::{
    BatchRecord, MemoryStore, NextOffset, Record, Restore, RestoreOptions, RestoreReport, StateError,
    StoreRead, rows_digest,
};

use crate::toy::{Logged, Op, Toy, batches, check_index};

type Log = [(i64, Record)];

fn begin(store: &MemoryStore, end: i64, write_bytes: usize) -> Restore<'_> {
    let options = RestoreOptions { write_bytes, ..RestoreOptions::default() };
    let checkpoint = store.checkpoint().unwrap();
    Restore::new(&Toy, store, checkpoint, NextOffset(end)).unwrap().with_options(options)
}

fn feed(restore: &mut Restore<'_>, log: &Log) -> Result<(), StateError> {
    let start = restore.start().0;
    for (offset, record) in log.iter().filter(|(offset, _)| *offset >= start) {
        restore.feed(*offset, &record.key, record.value.as_deref())?;
    }
    Ok(())
}

fn restore(store: &MemoryStore, log: &Log, end: i64) -> Result<RestoreReport, StateError> {
    let mut restore = begin(store, end, 1 << 20);
    feed(&mut restore, log)?;
    restore.position(NextOffset(end))?;
    assert!(restore.is_done(Some(NextOffset(end)), NextOffset(end)));
    restore.finish()
}

fn check_same(store: &MemoryStore, original: &MemoryStore) {
    assert_eq!(rows_digest(store).unwrap(), rows_digest(original).unwrap());
    assert_eq!(store.checkpoint().unwrap(), original.checkpoint().unwrap());
    check_index(store);
}

fn some_batches() -> Vec<Vec<Op>> {
    (0..6_u32)
        .map(|n| {
            vec![Op::PutThing(n % 3, 1, i64::from(n)), Op::PutThing(9, 2, 0), Op::PutCounter(1, n.into())]
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_rebuilt_after_a_crash_at_any_record(
        batches in batches(), compact in 0..100_i64, write_bytes in prop_oneof![Just(1_usize), Just(60), Just(1 << 20)],
    ) {
        let original = Logged::of(&batches);
        let log = original.compacted(original.end * compact / 100);
        for cut in 0..=log.len() {
            let store = MemoryStore::new();
            let mut first = begin(&store, original.end, write_bytes);
            feed(&mut first, &log[..cut]).unwrap();
            if cut % 2 == 0 && cut > 0 {
                first.position(NextOffset(log[cut - 1].0 + 1)).unwrap();
            }
            drop(first);
            check_index(&store);
            let report = restore(&store, &log, original.end).unwrap();
            prop_assert_eq!(report.torn, vec![]);
            check_same(&store, &original.store);
        }
    }
}

#[test]
fn whole_batches_have_their_digest_checked() {
    let original = Logged::of(&some_batches());
    let store = MemoryStore::new();
    let report = restore(&store, &original.log, original.end).unwrap();
    assert_eq!((report.batches, report.digest_checked, report.trusted), (6, 6, 0));
    assert_eq!(report.rows + report.batches, report.records_read);
    assert_eq!(report.last.unwrap().sequence, 6);
    let compacted = restore(&MemoryStore::new(), &original.compacted(original.end), original.end).unwrap();
    assert!(compacted.digest_checked < compacted.batches);
}

#[test]
fn a_restore_at_the_end_is_done_without_a_position() {
    let original = Logged::of(&some_batches());
    let end = original.store.checkpoint().unwrap().unwrap().changelog;
    let restore = begin(&original.store, original.end, 1);
    assert_eq!(restore.start(), end);
    assert!(restore.is_done(None, end));
    assert!(!restore.is_done(None, NextOffset(end.0 + 1)), "a marker is still to come");
    assert!(restore.is_done(Some(NextOffset(end.0 + 1)), NextOffset(end.0 + 1)));
}

#[test]
fn every_changed_byte_of_a_row_is_caught() {
    let original = Logged::of(&some_batches());
    for place in 0..original.log.len() {
        let mut log = original.log.clone();
        let Some(last) = log[place].1.value.as_mut().and_then(|value| value.last_mut()) else {
            continue;
        };
        *last ^= 1;
        let is_batch = yardmaster_state::is_batch_key(&log[place].1.key);
        let result = restore(&MemoryStore::new(), &log, original.end);
        // A batch record's own last byte is its code version, which nothing depends on here.
        assert!(is_batch || matches!(result, Err(StateError::Corrupted(_))), "record {place}: {result:?}");
    }
}

#[test]
fn torn_rows_are_kept_out_and_told() {
    let original = Logged::of(&some_batches());
    let mut log = original.log.clone();
    // The batch record of the last commit is lost: its rows are there, nothing claims them.
    let (_, lost) = log.pop().unwrap();
    let torn: Vec<i64> = log.iter().rev().take(2).rev().map(|(offset, _)| *offset).collect();
    let store = MemoryStore::new();
    let report = restore(&store, &log, original.end).unwrap();
    assert_eq!(report.torn.iter().map(|row| row.offset).collect::<Vec<_>>(), torn);
    check_same(&store, &Logged::of(&some_batches()[..5]).store);
    // The owner goes on behind them with the same number: they stay out.
    let mut again = original.log[original.log.len() - 3..].to_vec();
    assert_eq!(again.last().unwrap().1, lost);
    for (number, record) in (0..).zip(&mut again) {
        record.0 = original.end + number;
    }
    log.extend(again);
    let store = MemoryStore::new();
    let report = restore(&store, &log, original.end + 4).unwrap();
    assert_eq!(report.torn.iter().map(|row| row.offset).collect::<Vec<_>>(), torn);
    assert_eq!(rows_digest(&store).unwrap(), rows_digest(&original.store).unwrap());
}

#[test]
fn the_owner_s_rewrite_makes_torn_rows_harmless() {
    let mut original = Logged::of(&some_batches()[..5]);
    let before = rows_digest(&original.store).unwrap();
    // A torn commit: two rows that are not in the store, one of them of a key that has no row there.
    for (key, value) in [(vec![1, 0, 0, 0, 0], vec![2, 1, b'x', 9]), (vec![3, b'n'], vec![1, 9])] {
        original.log.push((original.end, Record { key, value: Some(value) }));
        original.end += 1;
    }
    original.end += 1;
    let report = restore(&MemoryStore::new(), &original.log, original.end).unwrap();
    assert_eq!(report.torn.len(), 2);
    original.commit_with(|txn| {
        for row in &report.torn {
            txn.rewrite(&row.key).unwrap();
        }
    });
    assert_eq!(rows_digest(&original.store).unwrap(), before, "the store is as it was");
    // Compaction now takes the torn rows away, not the good ones.
    let store = MemoryStore::new();
    let report = restore(&store, &original.compacted(original.end), original.end).unwrap();
    assert_eq!(report.torn, []);
    check_same(&store, &original.store);
}

#[test]
fn no_batch_record_at_all_is_an_empty_state() {
    let mut log = Logged::of(&some_batches()[..1]).log;
    log.pop();
    let store = MemoryStore::new();
    let report = restore(&store, &log, 9).unwrap();
    assert_eq!((report.torn.len(), report.batches, report.last), (log.len(), 0, None));
    assert!(yardmaster_state::is_empty(&store).unwrap());
    assert_eq!(store.checkpoint().unwrap(), None);
    let report = restore(&store, &[], 0).unwrap();
    assert_eq!(report, RestoreReport::default());
}

#[test]
fn a_missing_batch_record_is_caught() {
    let original = Logged::of(&some_batches());
    let second = original.log.iter().position(|(_, record)| record.key == b"__batch/2").unwrap();
    let mut log = original.log.clone();
    log.remove(second);
    let error = restore(&MemoryStore::new(), &log, original.end).unwrap_err();
    assert!(error.to_string().contains("batch record 2 is not in the changelog"), "{error}");
    // Without a hole in the offsets there is not even room for it.
    for (offset, _) in &mut log[second..] {
        *offset -= 2;
    }
    let mut restore =
        Restore::new(&Toy, &original.store, original.store.checkpoint().unwrap(), NextOffset(99)).unwrap();
    assert!(feed(&mut restore, &log).is_ok(), "all of it is before the checkpoint");
    let renumbered = self::restore(&MemoryStore::new(), &log, original.end).unwrap_err();
    assert!(matches!(renumbered, StateError::Corrupted(_)), "{renumbered}");
}

#[test]
fn a_sequence_that_goes_backwards_is_caught() {
    let original = Logged::of(&some_batches());
    let mut log = original.log.clone();
    let again = log.iter().find(|(_, record)| record.key == b"__batch/1").unwrap().1.clone();
    // Its rows are compacted; only the number is wrong.
    log.push((original.end + 9, again));
    let error = restore(&MemoryStore::new(), &log, original.end + 11).unwrap_err();
    assert!(error.to_string().contains("comes after batch 6"), "{error}");
    let store = MemoryStore::new();
    let mut restore = begin(&store, 99, 1);
    feed(&mut restore, &original.log).unwrap();
    assert!(
        matches!(restore.feed(0, b"x", None), Err(StateError::Corrupted(_))),
        "offsets don't go backwards"
    );
}

#[test]
fn claims_don_t_overlap() {
    let original = Logged::of(&some_batches());
    let (offset, record) = original.log.last().unwrap().clone();
    let mut batch = BatchRecord::decode(record.value.as_ref().unwrap()).unwrap();
    batch.records += 2;
    let mut log = original.log.clone();
    *log.last_mut().unwrap() = (offset, Record { value: Some(batch.encode()), ..record });
    assert!(matches!(restore(&MemoryStore::new(), &log, original.end), Err(StateError::Corrupted(_))));
}

#[test]
fn when_the_ring_came_round_old_rows_are_trusted() {
    let mut original = Logged::new();
    for ops in some_batches() {
        original.commit(&ops);
    }
    for number in 0..65_600_u64 {
        original.commit(&[Op::PutCounter(2, number)]);
    }
    let log = original.compacted(original.end - 40);
    let store = MemoryStore::new();
    let report = restore(&store, &log, original.end).unwrap();
    check_same(&store, &original.store);
    assert_eq!((report.torn.len(), report.trusted), (0, 5));
    // So many rows may wait that they must go in before the first batch record; a crash then means a new beginning.
    let store = MemoryStore::new();
    let options = RestoreOptions { waiting_bytes_max: 10, ..RestoreOptions::default() };
    let mut small = begin(&store, original.end, 1).with_options(options);
    feed(&mut small, &log[..3]).unwrap();
    assert!(!yardmaster_state::is_empty(&store).unwrap());
    assert!(matches!(Restore::new(&Toy, &store, None, NextOffset(9)), Err(StateError::Rebuild(_))));
    feed(&mut small, &log[3..]).unwrap();
    small.position(NextOffset(original.end)).unwrap();
    small.finish().unwrap();
    check_same(&store, &original.store);
}

#[test]
fn a_checkpoint_behind_the_end_belongs_to_another_changelog() {
    let original = Logged::of(&some_batches());
    let checkpoint = original.store.checkpoint().unwrap();
    let result = Restore::new(&Toy, &original.store, checkpoint, NextOffset(3));
    assert!(matches!(result, Err(StateError::Rebuild(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// A copy that follows stands at a batch's border wherever it stops, and goes on from there.
    #[test]
    fn a_copy_stops_anywhere_at_a_border_and_another_goes_on(batches in batches(), step in 1..7_usize) {
        let original = Logged::of(&batches);
        let store = MemoryStore::new();
        let mut fed = 0;
        while fed < original.log.len() {
            let mut copy = begin(&store, original.end, 1 << 20);
            let start = copy.start().0;
            let from = original.log.partition_point(|(offset, _)| *offset < start);
            // At least one batch more than the one before has seen, or it would not come to an end.
            fed = (fed + step).min(original.log.len());
            for (offset, record) in &original.log[from..fed] {
                copy.feed(*offset, &record.key, record.value.as_deref()).unwrap();
                if offset % 3 == 0 {
                    copy.position(NextOffset(offset + 1)).unwrap();
                }
            }
            prop_assert_eq!(copy.leave().unwrap().torn, vec![]);
            check_index(&store);
            let borders = original.log.iter().filter(|(_, record)| yardmaster_state::is_batch_key(&record.key));
            let at = store.checkpoint().unwrap().map_or(0, |checkpoint| checkpoint.changelog.0);
            prop_assert!(at == 0 || borders.map(|(offset, _)| offset + 1).any(|border| border == at));
        }
        check_same(&store, &original.store);
    }
}

#[test]
fn a_copy_keeps_torn_rows_out_and_tells_the_next_owner() {
    let mut original = Logged::of(&some_batches());
    let torn = (original.end, Record { key: vec![1, 0, 0, 0, 0], value: Some(vec![2, 1, b'x', 9]) });
    let last = original.log.split_off(original.log.len() - 3);
    original.log.retain(|(offset, _)| *offset < last[0].0);
    let store = MemoryStore::new();
    let mut copy = begin(&store, original.end, 1);
    feed(&mut copy, &original.log).unwrap();
    copy.feed(torn.0, &torn.1.key, torn.1.value.as_deref()).unwrap();
    copy.check_whole().unwrap();
    for (number, (_, record)) in (1..).zip(&last) {
        copy.feed(torn.0 + number, &record.key, record.value.as_deref()).unwrap();
    }
    let report = copy.leave().unwrap();
    assert_eq!(report.torn.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), [torn.1.key]);
}
