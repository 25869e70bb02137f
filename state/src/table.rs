//! Tables: a typed view of one kind of row, and how its indexes follow from it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{StateError, Txn, Write, codec};

/// How a table's rows survive the loss of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableClass {
    /// In the changelog.
    Logged,
    /// An index: computed from logged rows, both when they are written and when they are restored.
    Derived,
    /// Refilled from elsewhere by the caller, dropped in whole ranges; never part of a store's digest.
    History,
}

impl TableClass {
    /// Every class, in the order in which a store lays them out.
    pub const ALL: [Self; 3] = [Self::Logged, Self::Derived, Self::History];
}

/// One kind of row. Implemented by a type without values.
pub trait Table {
    /// The first byte of every key; unique in a store. 0, `_` (the changelog's batch records) and 255 are reserved,
    /// which is checked when a program that uses the table is compiled.
    const ID: u8;
    /// What people call it: in errors and metrics.
    const NAME: &'static str;
    /// How its rows survive.
    const CLASS: TableClass;
    /// The version that new rows are written with; 1 or more.
    const VERSION: u8;
    /// False when [`Table::derive`] is left out: a write then needn't read what was there before.
    const INDEXED: bool = true;
    /// What finds a row.
    type Key;
    /// What is stored.
    type Row: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;

    /// The key's bytes, starting with [`Table::ID`].
    fn key(key: &Self::Key) -> Vec<u8>;

    /// The key that these bytes are.
    ///
    /// # Errors
    /// [`StateError::Corrupted`] when they are none.
    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError>;

    /// The index rows that follow from a change of one row. Called for logged tables only.
    ///
    /// An index key must belong to one row of this table (it usually ends in the row's own key): a key that appears
    /// together with its row and goes again in the same commit is never written.
    fn derive(_key: &Self::Key, _old: Option<&Self::Row>, _new: Option<&Self::Row>, _out: &mut Derived) {}

    /// Whether a row is likely to be asked for again soon: such rows of logged tables are kept decoded from one commit to
    /// the next, all of them, so there must be few.
    fn is_hot(_row: &Self::Row) -> bool {
        false
    }

    /// The row in `bytes`. A table that knows old versions reads them here.
    ///
    /// # Errors
    /// As [`crate::decode`].
    fn decode(bytes: &[u8]) -> Result<Self::Row, StateError> {
        codec::decode(Self::VERSION, bytes).map(|(_, row)| row).map_err(|error| name_table(error, Self::NAME))
    }
}

/// A typed row with its key.
pub type Keyed<T> = (<T as Table>::Key, <T as Table>::Row);

/// Puts the table's name into an error about one of its rows.
pub(crate) fn name_table(error: StateError, table: &'static str) -> StateError {
    match error {
        StateError::Corrupted(what) => StateError::Corrupted(format!("table {table}: {what}")),
        StateError::TooNew { what: _, found, known } => StateError::TooNew { what: table, found, known },
        other @ (StateError::Foreign { .. }
        | StateError::Locked { .. }
        | StateError::Full { .. }
        | StateError::Rebuild(_)
        | StateError::Io { .. }) => other,
    }
}

/// Whether a byte may be a table's: compared when a program is compiled.
pub(crate) const fn is_table_byte(id: u8) -> bool {
    id != 0 && id != b'_' && id != 0xFF
}

/// The index writes that follow from one change.
#[derive(Debug, Default)]
pub struct Derived {
    pub(crate) writes: Vec<Write>,
}

impl Derived {
    /// Writes an index row.
    pub fn put<T: Table>(&mut self, key: &T::Key, row: &T::Row) {
        self.push::<T>(key, Some(codec::encode(T::VERSION, row)));
    }

    /// Deletes an index row.
    pub fn delete<T: Table>(&mut self, key: &T::Key) {
        self.push::<T>(key, None);
    }

    fn push<T: Table>(&mut self, key: &T::Key, value: Option<Vec<u8>>) {
        const { assert!(!matches!(T::CLASS, TableClass::Logged), "an index table must not be logged") };
        const { assert!(is_table_byte(T::ID), "the table's byte is reserved") };
        self.writes.push(Write { key: T::key(key).into(), value, class: T::CLASS });
    }
}

/// All tables of a topology, for code that has a key and doesn't know its table: restoring, and tools.
pub trait Schema: Send + Sync {
    /// Folds one changelog record into `txn`: [`Txn::put_raw`] or [`Txn::delete_raw`] of the table that the key's
    /// first byte names.
    ///
    /// # Errors
    /// [`StateError::TooNew`] for a table that is not known; whatever the table's decoding says.
    fn fold(&self, txn: &mut Txn<'_>, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError>;

    /// The table's name, if there is one with this byte.
    fn name(&self, table: u8) -> Option<&'static str>;
}
