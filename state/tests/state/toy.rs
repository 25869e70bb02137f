//! A small topology of tables: things with an index by rank, counters, and a history.

use std::ops::ControlFlow;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use yardmaster_state::{
    Batch, Derived, KEY_END, KeyReader, KeyWriter, MemoryStore, Record, Schema, Seal, StateError, Store,
    StoreRead, Table, TableClass, Txn, prefix_end,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Thing {
    pub(crate) group: String,
    pub(crate) rank: i64,
}

pub(crate) struct Things;
impl Table for Things {
    const ID: u8 = 1;
    const NAME: &'static str = "things";
    const CLASS: TableClass = TableClass::Logged;
    const VERSION: u8 = 2;
    type Key = u32;
    type Row = Thing;

    fn key(key: &u32) -> Vec<u8> {
        KeyWriter::new(Self::ID).u32(*key).finish()
    }

    fn parse(bytes: &[u8]) -> Result<u32, StateError> {
        KeyReader::new(bytes)?.1.u32()
    }

    fn derive(key: &u32, old: Option<&Thing>, new: Option<&Thing>, out: &mut Derived) {
        let place = |thing: &Thing| (thing.group.clone(), thing.rank, *key);
        if let Some(old) = old {
            out.delete::<ByRank>(&place(old));
        }
        if let Some(new) = new {
            out.put::<ByRank>(&place(new), &());
        }
    }

    fn is_hot(row: &Thing) -> bool {
        row.rank % 2 == 0
    }
}

pub(crate) struct ByRank;
impl Table for ByRank {
    const ID: u8 = 2;
    const NAME: &'static str = "by rank";
    const CLASS: TableClass = TableClass::Derived;
    const VERSION: u8 = 1;
    type Key = (String, i64, u32);
    type Row = ();

    fn key((group, rank, id): &Self::Key) -> Vec<u8> {
        KeyWriter::new(Self::ID).str(group).i64(*rank).u32(*id).finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        let (_, mut fields) = KeyReader::new(bytes)?;
        Ok((fields.str()?.to_owned(), fields.i64()?, fields.u32()?))
    }
}

pub(crate) struct Counters;
impl Table for Counters {
    const ID: u8 = 3;
    const NAME: &'static str = "counters";
    const CLASS: TableClass = TableClass::Logged;
    const VERSION: u8 = 1;
    const INDEXED: bool = false;
    type Key = String;
    type Row = u64;

    fn key(key: &String) -> Vec<u8> {
        KeyWriter::new(Self::ID).tail(key).finish()
    }

    fn parse(bytes: &[u8]) -> Result<String, StateError> {
        Ok(KeyReader::new(bytes)?.1.tail()?.to_owned())
    }
}

pub(crate) struct Past;
impl Table for Past {
    const ID: u8 = 4;
    const NAME: &'static str = "past";
    const CLASS: TableClass = TableClass::History;
    const VERSION: u8 = 1;
    type Key = (u32, u32);
    type Row = String;

    fn key((hour, id): &Self::Key) -> Vec<u8> {
        KeyWriter::new(Self::ID).u32(*hour).u32(*id).finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        let (_, mut fields) = KeyReader::new(bytes)?;
        Ok((fields.u32()?, fields.u32()?))
    }
}

pub(crate) struct Toy;
impl Schema for Toy {
    fn fold(&self, txn: &mut Txn<'_>, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        match (key.first(), value) {
            (Some(1), Some(value)) => txn.put_raw::<Things>(key, value),
            (Some(1), None) => txn.delete_raw::<Things>(key),
            (Some(3), Some(value)) => txn.put_raw::<Counters>(key, value),
            (Some(3), None) => txn.delete_raw::<Counters>(key),
            _ => Err(StateError::Corrupted("no such table".into())),
        }
    }

    fn name(&self, table: u8) -> Option<&'static str> {
        [(1, "things"), (2, "by rank"), (3, "counters"), (4, "past")]
            .iter()
            .find(|(id, _)| *id == table)
            .map(|(_, n)| *n)
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    PutThing(u32, u8, i64),
    DeleteThing(u32),
    PutCounter(u8, u64),
    DeleteCounter(u8),
    PutPast(u32, u32),
    DropPast(u32, u32),
}

pub(crate) fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..12_u32, 0..3_u8, -3..3_i64).prop_map(|(id, group, rank)| Op::PutThing(id, group, rank)),
        4 => (0..12_u32).prop_map(Op::DeleteThing),
        2 => (0..4_u8, 0..3_u64).prop_map(|(name, count)| Op::PutCounter(name, count)),
        1 => (0..4_u8).prop_map(Op::DeleteCounter),
        3 => (0..6_u32, 0..6_u32).prop_map(|(hour, id)| Op::PutPast(hour, id)),
        1 => (0..6_u32, 0..7_u32).prop_map(|(from, to)| Op::DropPast(from, to)),
    ]
}

pub(crate) fn batches() -> impl Strategy<Value = Vec<Vec<Op>>> {
    proptest::collection::vec(proptest::collection::vec(ops(), 0..12), 1..12)
}

pub(crate) fn apply(txn: &mut Txn<'_>, ops: &[Op]) {
    for op in ops {
        match *op {
            Op::PutThing(id, group, rank) => {
                let thing = Thing { group: "g".repeat(usize::from(group)), rank };
                txn.put::<Things>(&id, &thing).unwrap();
                assert_eq!(txn.get::<Things>(&id).unwrap(), Some(thing), "a write is seen at once");
            }
            Op::DeleteThing(id) => {
                txn.delete::<Things>(&id).unwrap();
                assert!(!txn.contains::<Things>(&id).unwrap(), "a deletion is seen at once");
            }
            Op::PutCounter(name, count) => txn.put::<Counters>(&format!("c{name}"), &count).unwrap(),
            Op::DeleteCounter(name) => txn.delete::<Counters>(&format!("c{name}")).unwrap(),
            Op::PutPast(hour, id) => txn.put::<Past>(&(hour, id), &format!("{hour}/{id}")).unwrap(),
            Op::DropPast(from, to) => {
                txn.drop_range(KeyWriter::new(4).u32(from).finish(), KeyWriter::new(4).u32(to).finish());
            }
        }
    }
}

pub(crate) fn batch_of(store: &dyn StoreRead, ops: &[Op]) -> Batch {
    let mut txn = Txn::new(store);
    apply(&mut txn, ops);
    txn.finish()
}

/// All rows of all classes.
pub(crate) fn contents(store: &dyn StoreRead) -> Vec<(TableClass, Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    for class in TableClass::ALL {
        store
            .scan(class, &[], KEY_END, usize::MAX, &mut |key, value| {
                rows.push((class, key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    rows
}

/// The index is what the rows say, no more and no less.
pub(crate) fn check_index(store: &dyn StoreRead) {
    let things = yardmaster_state::scan_rows::<Things>(store, &[1], &prefix_end(&[1]), usize::MAX).unwrap();
    let mut expected: Vec<_> =
        things.into_iter().map(|(id, t)| ByRank::key(&(t.group, t.rank, id))).collect();
    expected.sort();
    let found: Vec<_> = contents(store)
        .into_iter()
        .filter(|row| row.0 == TableClass::Derived)
        .map(|(_, key, _)| key)
        .collect();
    assert_eq!(found, expected, "the index is what the rows say");
}

/// A store and the changelog that it was written through: offsets and records, each commit followed by a marker.
pub(crate) struct Logged {
    pub(crate) store: MemoryStore,
    pub(crate) log: Vec<(i64, Record)>,
    pub(crate) end: i64,
    pub(crate) sequence: u64,
}

impl Logged {
    pub(crate) fn new() -> Self {
        Self { store: MemoryStore::new(), log: Vec::new(), end: 0, sequence: 0 }
    }

    pub(crate) fn of(batches: &[Vec<Op>]) -> Self {
        let mut logged = Self::new();
        for ops in batches {
            logged.commit(ops);
        }
        logged
    }

    pub(crate) fn commit(&mut self, ops: &[Op]) {
        self.commit_with(|txn| apply(txn, ops));
    }

    pub(crate) fn commit_with(&mut self, change: impl FnOnce(&mut Txn<'_>)) {
        let mut txn = Txn::new(&self.store);
        change(&mut txn);
        let mut batch = txn.finish();
        self.sequence += 1;
        let records = batch.changelog(Seal { sequence: self.sequence, at_ms: 7, ..Seal::default() });
        let last =
            yardmaster_state::BatchRecord::decode(records.last().unwrap().value.as_ref().unwrap()).unwrap();
        for record in records {
            self.log.push((self.end, record));
            self.end += 1;
        }
        batch.checkpoint = Some(last.checkpoint(yardmaster_state::NextOffset(self.end)));
        self.store.commit(&batch).unwrap();
        self.end += 1;
    }

    /// The log with the records below `up_to` compacted: only the last one of a key is left.
    pub(crate) fn compacted(&self, up_to: i64) -> Vec<(i64, Record)> {
        let last: std::collections::HashMap<&[u8], i64> = self
            .log
            .iter()
            .filter(|(offset, _)| *offset < up_to)
            .map(|(offset, record)| (record.key.as_slice(), *offset))
            .collect();
        let is_left =
            |(offset, record): &&(i64, Record)| *offset >= up_to || last[record.key.as_slice()] == *offset;
        self.log.iter().filter(is_left).cloned().collect()
    }
}
