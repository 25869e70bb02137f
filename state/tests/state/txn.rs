//! The overlay: what a commit sees of itself, and what is left of it at the end.

use yardmaster_state::{MemoryStore, Store, TableClass, Txn, Write, prefix_end};

use crate::toy::{ByRank, Counters, Op, Past, Thing, Things, batch_of, contents};

fn thing(rank: i64) -> Thing {
    Thing { group: "a".into(), rank }
}

fn store_with(ranks: &[i64]) -> MemoryStore {
    let store = MemoryStore::new();
    let mut txn = Txn::new(&store);
    for (id, rank) in (0..).zip(ranks) {
        txn.put::<Things>(&id, &thing(*rank)).unwrap();
    }
    let batch = txn.finish();
    store.commit(&batch).unwrap();
    store
}

#[test]
fn nothing_reaches_the_store_before_the_commit() {
    let store = MemoryStore::new();
    let mut txn = Txn::new(&store);
    txn.put::<Things>(&1, &thing(1)).unwrap();
    drop(txn.finish());
    assert!(contents(&store).is_empty());
}

#[test]
fn an_index_is_scanned_through_the_overlay() {
    let store = store_with(&[5, 3, 4]);
    let mut txn = Txn::new(&store);
    txn.put::<Things>(&7, &thing(-9)).unwrap();
    txn.delete::<Things>(&2).unwrap();
    txn.put::<Things>(&1, &thing(8)).unwrap();
    let scan = |limit| {
        let rows = txn.scan::<ByRank>(&[2], &prefix_end(&[2]), limit).unwrap();
        rows.into_iter().map(|((_, rank, id), ())| (rank, id)).collect::<Vec<_>>()
    };
    assert_eq!(scan(9), [(-9, 7), (5, 0), (8, 1)]);
    assert_eq!(scan(2), [(-9, 7), (5, 0)]);
    assert_eq!(scan(1), [(-9, 7)]);
    assert_eq!(scan(0), []);
}

#[test]
fn a_key_that_comes_and_goes_leaves_nothing_its_index_neither() {
    let store = MemoryStore::new();
    let mut txn = Txn::new(&store);
    txn.put::<Things>(&1, &thing(1)).unwrap();
    txn.put::<Things>(&1, &thing(2)).unwrap();
    txn.delete::<Things>(&1).unwrap();
    assert_eq!(txn.finish().writes, []);
}

#[test]
fn a_row_that_is_back_at_what_it_was_is_left_out() {
    let store = store_with(&[5]);
    let mut txn = Txn::new(&store);
    txn.put::<Things>(&0, &thing(6)).unwrap();
    txn.put::<Things>(&0, &thing(5)).unwrap();
    let logged: Vec<_> = txn.finish().logged().cloned().collect();
    assert_eq!(logged, []);
}

#[test]
fn only_the_last_value_of_a_key_is_written_in_key_order() {
    let store = MemoryStore::new();
    let mut txn = Txn::new(&store);
    txn.put::<Counters>(&"b".into(), &1).unwrap();
    txn.put::<Counters>(&"a".into(), &2).unwrap();
    txn.put::<Counters>(&"b".into(), &3).unwrap();
    let write = |name: u8, count| Write {
        key: [3, name].into(),
        value: Some(vec![1, count]),
        class: TableClass::Logged,
    };
    assert_eq!(txn.writes(), 2);
    assert_eq!(txn.finish().writes, [write(b'a', 2), write(b'b', 3)]);
}

#[test]
fn a_row_is_replaced_together_with_its_index_row() {
    let store = store_with(&[5]);
    let batch = batch_of(&store, &[Op::PutThing(0, 0, 6)]);
    let deleted: Vec<_> =
        batch.writes.iter().filter(|write| write.value.is_none()).map(|write| &write.key[..]).collect();
    assert_eq!(deleted, [[2, 0, 1, b'a', 128, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]]);
    assert_eq!(batch.writes.len(), 3);
}

#[test]
fn a_dropped_range_hides_what_was_there_and_not_what_comes_after() {
    let store = MemoryStore::new();
    store.commit(&batch_of(&store, &[Op::PutPast(1, 1), Op::PutPast(2, 2)])).unwrap();
    let mut txn = Txn::new(&store);
    txn.put::<Past>(&(1, 3), &"own".into()).unwrap();
    txn.drop_range(vec![4, 0, 0, 0, 1], vec![4, 0, 0, 0, 2]);
    txn.put::<Past>(&(1, 4), &"later".into()).unwrap();
    assert_eq!(txn.get::<Past>(&(1, 1)).unwrap(), None);
    assert_eq!(txn.get::<Past>(&(1, 3)).unwrap(), None);
    let before: Vec<_> = txn.scan::<Past>(&[4], &[5], 9).unwrap();
    let keys: Vec<_> = before.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, [(1, 4), (2, 2)]);
    store.commit(&txn.finish()).unwrap();
    assert_eq!(yardmaster_state::scan_rows::<Past>(&store, &[4], &[5], 9).unwrap(), before);
}

#[test]
fn a_view_stays_as_it_was() {
    let store = store_with(&[5]);
    let view = store.view();
    store.commit(&batch_of(&store, &[Op::DeleteThing(0)])).unwrap();
    assert_eq!(contents(&*view).len(), 2);
    assert_eq!(contents(&store).len(), 0);
}
