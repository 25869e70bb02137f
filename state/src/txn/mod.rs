//! The overlay of one commit: reads see its own writes, and nothing reaches the store before the commit.

mod changed;
mod raw;
mod scan;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use self::changed::Changed;
use crate::entry::{AnyRow, Change, Entry, KeyHash, Original, RowCode};
use crate::table::is_table_byte;
use crate::{Batch, Derived, HotRows, StateError, StoreRead, Table, TableClass, Write};

/// Reads and writes of one commit, over a store that doesn't change meanwhile.
///
/// What is read from the store is kept until the end, decoded; a written row is encoded once, at the end.
pub struct Txn<'s> {
    store: &'s dyn StoreRead,
    entries: Vec<Entry>,
    /// Where each key's entry is.
    places: HashMap<Arc<[u8]>, usize, KeyHash>,
    /// The same of the changed entries. A look at them in order sorts them, which is no change that anybody sees.
    changed: RefCell<Changed>,
    drops: Vec<(Vec<u8>, Vec<u8>)>,
    hot: HotRows,
}

impl std::fmt::Debug for Txn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Txn").field("writes", &self.writes()).field("drops", &self.drops.len()).finish()
    }
}

impl<'s> Txn<'s> {
    /// An overlay without changes.
    #[must_use]
    pub fn new(store: &'s dyn StoreRead) -> Self {
        Self::with_hot(store, HotRows::default())
    }

    /// As [`Txn::new`], with the rows that the commit before left hot.
    #[must_use]
    pub fn with_hot(store: &'s dyn StoreRead, hot: HotRows) -> Self {
        Self {
            store,
            entries: Vec::new(),
            places: HashMap::default(),
            changed: RefCell::default(),
            drops: Vec::new(),
            hot,
        }
    }

    /// The row under a key, own writes included.
    ///
    /// # Errors
    /// As [`StoreRead::get`] and [`Table::decode`]; so it is for every method here.
    pub fn get<T: Table>(&mut self, key: &T::Key) -> Result<Option<T::Row>, StateError> {
        Ok(self.shared::<T>(key)?.map(|row| T::Row::clone(&row)))
    }

    /// As [`Txn::get`], without copying the row.
    ///
    /// # Errors
    /// As [`Txn::get`].
    pub fn shared<T: Table>(&mut self, key: &T::Key) -> Result<Option<Arc<T::Row>>, StateError> {
        self.loaded(T::CLASS, &key_of::<T>(key))?.current::<T>()
    }

    /// Whether there is a row, without decoding it.
    ///
    /// # Errors
    /// As [`Txn::get`].
    pub fn contains<T: Table>(&mut self, key: &T::Key) -> Result<bool, StateError> {
        Ok(self.loaded(T::CLASS, &key_of::<T>(key))?.is_present())
    }

    /// Writes a row, and the index rows that follow.
    ///
    /// # Errors
    /// As [`Txn::get`], of the row that was there before.
    pub fn put<T: Table>(&mut self, key: &T::Key, row: &T::Row) -> Result<(), StateError> {
        self.put_owned::<T>(key, row.clone())
    }

    /// As [`Txn::put`], without copying the row.
    ///
    /// # Errors
    /// As [`Txn::put`].
    pub fn put_owned<T: Table>(&mut self, key: &T::Key, row: T::Row) -> Result<(), StateError> {
        self.put_shared::<T>(key, Arc::new(row))
    }

    /// As [`Txn::put_owned`], of a row that somebody else has, too.
    ///
    /// # Errors
    /// As [`Txn::put`].
    pub fn put_shared<T: Table>(&mut self, key: &T::Key, row: Arc<T::Row>) -> Result<(), StateError> {
        self.write::<T>(key, &key_of::<T>(key), Change::Row(const { &RowCode::of::<T>() }), Some(row))
    }

    /// Deletes a row, and the index rows that followed from it. Deleting what is not there changes nothing.
    ///
    /// # Errors
    /// As [`Txn::put`].
    pub fn delete<T: Table>(&mut self, key: &T::Key) -> Result<(), StateError> {
        self.write::<T>(key, &key_of::<T>(key), Change::Delete, None)
    }

    /// Drops all history rows with keys in `from..to`, those written before in this commit included. Unlike single
    /// deletions this costs next to nothing.
    pub fn drop_range(&mut self, from: Vec<u8>, to: Vec<u8>) {
        let inside = |key: &[u8]| key >= from.as_slice() && key < to.as_slice();
        let entries = &self.entries;
        let is_dropped = |key: &[u8], place: usize| {
            inside(key) && entries.get(place).is_some_and(|entry| entry.class == TableClass::History)
        };
        // The entries themselves stay behind, and nobody finds them.
        self.places.retain(|key, place| !is_dropped(key, *place));
        self.changed.get_mut().retain(|key, place| !is_dropped(key, place));
        self.drops.push((from, to));
    }

    /// How many keys were changed so far, index rows included.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.changed.borrow().len()
    }

    /// What has to be committed. Keys that are back at what the store holds are left out, as far as that was read.
    #[must_use]
    pub fn finish(self) -> Batch {
        self.finish_hot().0
    }

    /// As [`Txn::finish`], with the rows that are hot once the batch is committed.
    #[must_use]
    pub fn finish_hot(mut self) -> (Batch, HotRows) {
        let mut writes = Vec::with_capacity(self.writes());
        for (key, place) in self.changed.take().into_sorted() {
            let entry = self.entries.get_mut(place).expect("a changed key has an entry");
            let class = entry.class;
            if let Some(value) = entry.take_write(&key, &mut self.hot) {
                writes.push(Write { key, value, class });
            }
        }
        (Batch { writes, checkpoint: None, drops: self.drops }, self.hot)
    }

    fn write<T: Table>(
        &mut self,
        typed: &T::Key,
        key: &[u8],
        change: Change,
        row: Option<Arc<T::Row>>,
    ) -> Result<(), StateError> {
        const { assert!(!matches!(T::CLASS, TableClass::Derived), "index rows are written by `derive` alone") };
        const { assert!(is_table_byte(T::ID) && T::VERSION > 0, "the table's byte or version is reserved") };
        if derives::<T>() {
            let entry = self.loaded(T::CLASS, key)?;
            let is_new = matches!(entry.original, Original::Absent);
            let old = entry.current::<T>()?;
            let mut derived = Derived::default();
            T::derive(typed, old.as_deref(), row.as_deref(), &mut derived);
            for write in derived.writes {
                self.index(write, is_new);
            }
        }
        self.set(key, T::CLASS, Original::Unread, change, row.map(|row| row as AnyRow));
        Ok(())
    }

    /// Writes an index row. When the store doesn't hold the row that it follows from, it doesn't hold the index row
    /// either: then one that is deleted again in this commit leaves no tombstone at the head of a queue.
    fn index(&mut self, write: Write, is_new: bool) {
        let is_absent = is_new && write.class == TableClass::Derived;
        let original = if is_absent { Original::Absent } else { Original::Unread };
        let change = write.value.map_or(Change::Delete, Change::Bytes);
        self.set(&write.key, write.class, original, change, None);
    }

    /// Changes an entry; `original` is what is known of the store if there is no entry yet.
    fn set(
        &mut self,
        key: &[u8],
        class: TableClass,
        original: Original,
        change: Change,
        row: Option<AnyRow>,
    ) {
        if let Some((known, place)) = self.places.get_key_value(key) {
            let entry = self.entries.get_mut(*place).expect("a known key has an entry");
            if !entry.is_changed() {
                self.changed.get_mut().insert(Arc::clone(known), *place);
            }
            entry.change = change;
            entry.row = row;
        } else {
            let key = self.add(key, Entry { class, original, change, row });
            self.changed.get_mut().insert(key, self.entries.len() - 1);
        }
    }

    /// The entry of a key, read from the store when there is none.
    fn loaded(&mut self, class: TableClass, key: &[u8]) -> Result<&mut Entry, StateError> {
        let place = match self.places.get(key) {
            Some(place) => *place,
            None => {
                let (original, row) = self.stored(class, key)?;
                self.add(key, Entry { class, original, change: Change::Unchanged, row });
                self.entries.len() - 1
            }
        };
        Ok(self.entries.get_mut(place).expect("a known key has an entry"))
    }

    /// What the store holds under a key, decoded when it is hot.
    fn stored(&self, class: TableClass, key: &[u8]) -> Result<(Original, Option<AnyRow>), StateError> {
        if let Some(hot) = self.hot.get(key).filter(|_| class == TableClass::Logged) {
            return Ok((Original::Hot(Arc::clone(&hot.bytes)), Some(Arc::clone(&hot.row))));
        }
        let stored = if self.is_dropped(class, key) { None } else { self.store.get(class, key)? };
        Ok((stored.map_or(Original::Absent, Original::Bytes), None))
    }

    /// Puts an entry behind the others.
    fn add(&mut self, key: &[u8], entry: Entry) -> Arc<[u8]> {
        let key: Arc<[u8]> = Arc::from(key);
        self.places.insert(Arc::clone(&key), self.entries.len());
        self.entries.push(entry);
        key
    }

    fn is_dropped(&self, class: TableClass, key: &[u8]) -> bool {
        class == TableClass::History
            && self.drops.iter().any(|(from, to)| key >= from.as_slice() && key < to.as_slice())
    }
}

/// Only logged rows have index rows: history is not restored, so what followed from it would be lost.
fn derives<T: Table>() -> bool {
    T::INDEXED && T::CLASS == TableClass::Logged
}

fn key_of<T: Table>(key: &T::Key) -> Vec<u8> {
    let bytes = T::key(key);
    assert_eq!(bytes.first(), Some(&T::ID), "a key of table {} starts with its byte", T::NAME);
    bytes
}
