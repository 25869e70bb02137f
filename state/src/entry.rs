//! One key in the overlay of a commit: what the store holds, and what it will hold.

use std::any::Any;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::hot::{HotRow, HotRows};
use crate::{StateError, Table, TableClass, codec};

/// A decoded row, kept so that it is neither decoded again when read nor encoded before the end.
pub(crate) type AnyRow = Arc<dyn Any + Send + Sync>;

/// What the store holds under a key.
#[derive(Debug)]
pub(crate) enum Original {
    /// Nobody looked.
    Unread,
    /// Nothing.
    Absent,
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, as a hot row has them.
    Hot(Arc<[u8]>),
}

impl Original {
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Unread | Self::Absent => None,
            Self::Bytes(bytes) => Some(bytes),
            Self::Hot(bytes) => Some(bytes),
        }
    }
}

/// What a table does with its rows when the overlay is finished.
pub(crate) struct RowCode {
    encode: fn(&AnyRow) -> Vec<u8>,
    is_hot: fn(&AnyRow) -> bool,
}

impl RowCode {
    /// Of one table.
    pub(crate) const fn of<T: Table>() -> Self {
        Self { encode: encode_row::<T>, is_hot: is_hot::<T> }
    }
}

/// What becomes of a key.
pub(crate) enum Change {
    /// It was only read.
    Unchanged,
    /// It goes.
    Delete,
    /// It gets these bytes.
    Bytes(Vec<u8>),
    /// It gets the entry's row, encoded when the overlay is finished.
    Row(&'static RowCode),
}

pub(crate) struct Entry {
    pub(crate) class: TableClass,
    pub(crate) original: Original,
    pub(crate) change: Change,
    pub(crate) row: Option<AnyRow>,
}

impl Entry {
    pub(crate) fn is_changed(&self) -> bool {
        match self.change {
            Change::Unchanged => false,
            Change::Delete | Change::Bytes(_) | Change::Row(_) => true,
        }
    }

    /// Whether there is a row now. An entry that nobody looked up is always a changed one.
    pub(crate) fn is_present(&self) -> bool {
        match self.change {
            Change::Unchanged => self.original.bytes().is_some(),
            Change::Delete => false,
            Change::Bytes(_) | Change::Row(_) => true,
        }
    }

    /// The row as it is now, decoded at most once.
    pub(crate) fn current<T: Table>(&mut self) -> Result<Option<Arc<T::Row>>, StateError> {
        let row = self.peek::<T>()?;
        if self.row.is_none() {
            self.row = row.clone().map(|row| row as AnyRow);
        }
        Ok(row)
    }

    /// As [`Entry::current`], without keeping what was decoded.
    pub(crate) fn peek<T: Table>(&self) -> Result<Option<Arc<T::Row>>, StateError> {
        if let Some(row) = &self.row {
            return Ok(Some(downcast::<T>(row)));
        }
        let bytes = match &self.change {
            Change::Bytes(bytes) => Some(bytes.as_slice()),
            Change::Unchanged => self.original.bytes(),
            Change::Delete | Change::Row(_) => None,
        };
        bytes.map(|bytes| Ok(Arc::new(T::decode(bytes)?))).transpose()
    }

    /// What has to be written: nothing, a deletion (`Some(None)`), or bytes; a change back to the original is nothing.
    /// The entry is of no use afterwards. `hot` follows the row.
    pub(crate) fn take_write(&mut self, key: &Arc<[u8]>, hot: &mut HotRows) -> Option<Option<Vec<u8>>> {
        let (value, row) = match std::mem::replace(&mut self.change, Change::Unchanged) {
            Change::Unchanged => return None,
            Change::Delete => (None, None),
            Change::Bytes(bytes) => (Some(bytes), None),
            Change::Row(code) => {
                let row = self.row.take().expect("a changed row is kept until it is encoded");
                let bytes = (code.encode)(&row);
                let is_hot = self.class == TableClass::Logged && (code.is_hot)(&row);
                (Some(bytes), is_hot.then_some(row))
            }
        };
        if self.class == TableClass::Logged {
            let row = row.zip(value.as_deref());
            hot.set(key, row.map(|(row, bytes)| HotRow { bytes: Arc::from(bytes), row }));
        }
        match (&self.original, &value) {
            (Original::Absent, None) => None,
            (original, Some(new)) if original.bytes() == Some(new.as_slice()) => None,
            (Original::Unread | Original::Absent | Original::Bytes(_) | Original::Hot(_), _) => Some(value),
        }
    }
}

fn encode_row<T: Table>(row: &AnyRow) -> Vec<u8> {
    codec::encode(T::VERSION, row_of::<T>(row))
}

fn is_hot<T: Table>(row: &AnyRow) -> bool {
    T::is_hot(row_of::<T>(row))
}

fn row_of<T: Table>(row: &AnyRow) -> &T::Row {
    row.downcast_ref::<T::Row>().expect("a key belongs to one table")
}

fn downcast<T: Table>(row: &AnyRow) -> Arc<T::Row> {
    Arc::clone(row).downcast::<T::Row>().expect("a key belongs to one table")
}

/// XXH3 for keys: fast on short ones and the same in every process. Keys come from clients, but a slow overlay is
/// bounded by the size of one commit.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

/// Builds [`KeyHasher`]s.
pub(crate) type KeyHash = BuildHasherDefault<KeyHasher>;

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_usize(&mut self, number: usize) {
        self.0 ^= number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
