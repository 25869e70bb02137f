//! Two stores row by row: what one has and the other has not, or has otherwise.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

use yardmaster_state::{Batch, KEY_END, Schema, StateError, Store, StoreRead, TableClass, Txn};
use yardmaster_topologies::tables::{GridSchema, describe};

use super::report::Difference;

/// Rows that are read at once.
const CHUNK: usize = 1_000;

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowDifference {
    pub(super) class: TableClass,
    pub(super) key: Vec<u8>,
    pub(super) expected: Option<Vec<u8>>,
    pub(super) found: Option<Vec<u8>>,
}

/// What a comparison came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Rows that are the same.
    pub(super) same: u64,
    pub(super) first: Option<RowDifference>,
    /// How many differ.
    pub(super) differ: u64,
    /// Rows that differ, but nothing can be said about them.
    pub(super) undecided: Vec<RowDifference>,
}

impl Comparison {
    fn add(&mut self, difference: RowDifference, is_undecided: bool) {
        if is_undecided {
            self.undecided.push(difference);
            return;
        }
        self.differ += 1;
        self.first.get_or_insert(difference);
    }

    fn join(mut self, other: Self) -> Self {
        self.same += other.same;
        self.differ += other.differ;
        self.first = self.first.or(other.first);
        self.undecided.extend(other.undecided);
        self
    }
}

/// Compares all logged rows, then the index rows. About the logged keys in `unknown` nothing can be said: those that differ
/// are taken over from `found` before the index rows are compared.
pub(super) fn compare(
    expected: &dyn Store,
    found: &dyn StoreRead,
    unknown: &BTreeSet<Vec<u8>>,
) -> Result<Comparison, StateError> {
    let logged = compare_class(expected, found, TableClass::Logged, unknown)?;
    take_over(expected, &logged.undecided)?;
    Ok(logged.join(compare_class(expected, found, TableClass::Derived, &BTreeSet::new())?))
}

fn take_over(store: &dyn Store, rows: &[RowDifference]) -> Result<(), StateError> {
    let mut txn = Txn::new(store);
    for row in rows {
        GridSchema.fold(&mut txn, &row.key, row.found.as_deref())?;
    }
    let batch: Batch = txn.finish();
    store.commit(&batch)
}

fn compare_class(
    expected: &dyn StoreRead,
    found: &dyn StoreRead,
    class: TableClass,
    unknown: &BTreeSet<Vec<u8>>,
) -> Result<Comparison, StateError> {
    let mut comparison = Comparison::default();
    let (mut left, mut right) = (Rows::new(expected, class), Rows::new(found, class));
    let (mut one, mut other) = (left.next()?, right.next()?);
    while one.is_some() || other.is_some() {
        let order = match (&one, &other) {
            (Some((key, _)), Some((other, _))) => key.cmp(other),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, _) => std::cmp::Ordering::Greater,
        };
        let expected = if order.is_le() { one.take() } else { None };
        let found = if order.is_ge() { other.take() } else { None };
        if expected == found {
            comparison.same += 1;
        } else if let Some((key, _)) = expected.as_ref().or(found.as_ref()) {
            let key = key.clone();
            let is_undecided = unknown.contains(&key);
            let (expected, found) = (expected.map(|(_, value)| value), found.map(|(_, value)| value));
            comparison.add(RowDifference { class, key, expected, found }, is_undecided);
        }
        if order.is_le() {
            one = left.next()?;
        }
        if order.is_ge() {
            other = right.next()?;
        }
    }
    Ok(comparison)
}

type Pair = (Vec<u8>, Vec<u8>);

/// The rows of a class in order, read in chunks.
struct Rows<'s> {
    store: &'s dyn StoreRead,
    class: TableClass,
    from: Option<Vec<u8>>,
    chunk: VecDeque<Pair>,
}

impl<'s> Rows<'s> {
    fn new(store: &'s dyn StoreRead, class: TableClass) -> Self {
        Self { store, class, from: Some(Vec::new()), chunk: VecDeque::with_capacity(CHUNK) }
    }

    fn next(&mut self) -> Result<Option<Pair>, StateError> {
        if self.chunk.is_empty()
            && let Some(from) = self.from.take()
        {
            let chunk = &mut self.chunk;
            self.store.scan(self.class, &from, KEY_END, CHUNK, &mut |key, value| {
                chunk.push_back((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            })?;
            // The next key behind the last one that was read.
            self.from = self.chunk.back().filter(|_| self.chunk.len() == CHUNK).map(|(key, _)| {
                let mut next = key.clone();
                next.push(0);
                next
            });
        }
        Ok(self.chunk.pop_front())
    }
}

/// In words, with `what` was compared; who wrote the row last is added by who can find out.
pub(super) fn difference(what: &str, comparison: &Comparison, row: &RowDifference) -> Difference {
    let expected = describe(&row.key, row.expected.as_deref());
    let found = describe(&row.key, row.found.as_deref());
    let verb = match (&row.expected, &row.found) {
        (Some(_), Some(_)) => "is not the same",
        (Some(_), None) => "is missing",
        (None, Some(_) | None) => "must not be there",
    };
    let others = match comparison.differ {
        0 | 1 => String::new(),
        more => format!("; {} rows differ in all", more),
    };
    Difference {
        what: "row",
        detail: format!("a row of table {} {verb} in {what}{others}", expected.table),
        table: Some(expected.table),
        key: Some(expected.key),
        expected: expected.value,
        found: found.value,
        ..Difference::default()
    }
}

#[cfg(test)]
mod tests {
    use yardmaster_state::Write;

    use super::*;

    fn store(rows: &[(&[u8], u8)]) -> MemoryStore {
        let store = MemoryStore::new();
        let write = |(key, value): &(&[u8], u8)| Write {
            key: (*key).into(),
            value: Some(vec![*value]),
            class: TableClass::Derived,
        };
        store.commit(&Batch { writes: rows.iter().map(write).collect(), ..Batch::default() }).unwrap();
        store
    }

    use yardmaster_state::MemoryStore;

    #[test]
    fn the_first_difference_is_the_one_with_the_lowest_key() {
        let all: Vec<(Vec<u8>, u8)> =
            (0..3_000_u16).map(|n| ([[0x20].as_slice(), &n.to_be_bytes()].concat(), 1)).collect();
        let rows: Vec<(&[u8], u8)> = all.iter().map(|(key, value)| (key.as_slice(), *value)).collect();
        let expected = store(&rows);
        let nothing = BTreeSet::new();
        assert_eq!(compare(&expected, &store(&rows), &nothing).unwrap().same, 3_000);

        let mut changed = rows.clone();
        changed.remove(2_500);
        changed[2_400].1 = 2;
        let comparison = compare(&expected, &store(&changed), &nothing).unwrap();
        assert_eq!((comparison.same, comparison.differ), (2_998, 2));
        let first = comparison.first.unwrap();
        assert_eq!((first.key.as_slice(), first.found), (rows[2_400].0, Some(vec![2])));

        let comparison = compare(&expected, &store(&rows[..2_999]), &nothing).unwrap();
        assert_eq!(comparison.first.unwrap().found, None);
        let comparison = compare(&store(&rows[1..]), &expected, &nothing).unwrap();
        assert_eq!(comparison.first.unwrap().expected, None);
    }
}
