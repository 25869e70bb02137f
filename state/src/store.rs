//! An ordered map of bytes that changes in whole batches.

use std::ops::ControlFlow;

use xxhash_rust::xxh3::Xxh3;

use crate::{Batch, Checkpoint, KEY_END, Keyed, StateError, Table, TableClass};

/// What is called with each key and value of a scan.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// Reading, from a store or from a view of it.
pub trait StoreRead: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StateError::Corrupted`] or [`StateError::Io`].
    fn get(&self, class: TableClass, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;

    /// Visits the keys in `from..to` in order, until `limit` were visited or `visit` breaks.
    ///
    /// # Errors
    /// As [`StoreRead::get`].
    fn scan(
        &self,
        class: TableClass,
        from: &[u8],
        to: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), StateError>;

    /// Where the store stands; none when nothing with a checkpoint was committed yet.
    ///
    /// # Errors
    /// As [`StoreRead::get`].
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StateError>;
}

/// A store: one writer, any number of readers.
pub trait Store: StoreRead {
    /// Makes all changes of a batch at once: its drops, then its writes, with its checkpoint.
    ///
    /// # Errors
    /// [`StateError::Full`], [`StateError::Corrupted`] or [`StateError::Io`]; nothing was changed then, but the store
    /// must be opened again before it is used.
    fn commit(&self, batch: &Batch) -> Result<(), StateError>;

    /// The store as it is now, whatever is committed later. Ranges of history that are dropped may vanish from it.
    fn view(&self) -> Box<dyn StoreRead + '_>;
}

/// One typed row.
///
/// # Errors
/// As [`StoreRead::get`] and [`Table::decode`].
pub fn read_row<T: Table>(store: &dyn StoreRead, key: &T::Key) -> Result<Option<T::Row>, StateError> {
    store.get(T::CLASS, &T::key(key))?.map(|bytes| T::decode(&bytes)).transpose()
}

/// At most `limit` typed rows with keys in `from..to`, in key order.
///
/// # Errors
/// As [`StoreRead::scan`], [`Table::parse`] and [`Table::decode`].
pub fn scan_rows<T: Table>(
    store: &dyn StoreRead,
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Result<Vec<Keyed<T>>, StateError> {
    let mut rows = Vec::new();
    let mut failure = None;
    store.scan(T::CLASS, from, to, limit, &mut |key, value| {
        match T::parse(key).and_then(|key| Ok((key, T::decode(value)?))) {
            Ok(row) => rows.push(row),
            Err(error) => failure = Some(error),
        }
        if failure.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    failure.map_or(Ok(rows), Err)
}

/// XXH3 over all logged and derived rows in key order, history left out: two stores with the same digest remember the
/// same.
///
/// # Errors
/// As [`StoreRead::scan`].
pub fn rows_digest(store: &dyn StoreRead) -> Result<u64, StateError> {
    let mut digest = Xxh3::new();
    for class in [TableClass::Logged, TableClass::Derived] {
        store.scan(class, &[], KEY_END, usize::MAX, &mut |key, value| {
            for part in [key, value] {
                digest.update(&(part.len() as u64).to_le_bytes());
                digest.update(part);
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(digest.digest())
}

/// Whether a store has neither logged nor derived rows.
///
/// # Errors
/// As [`StoreRead::scan`].
pub fn is_empty(store: &dyn StoreRead) -> Result<bool, StateError> {
    let mut empty = true;
    for class in [TableClass::Logged, TableClass::Derived] {
        store.scan(class, &[], KEY_END, 1, &mut |_, _| {
            empty = false;
            ControlFlow::Break(())
        })?;
    }
    Ok(empty)
}
