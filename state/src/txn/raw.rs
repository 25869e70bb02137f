//! Writes by bytes, for code that has changelog records and not rows.

use std::sync::Arc;

use super::{Txn, derives};
use crate::entry::{Change, Original};
use crate::{StateError, Table, TableClass};

impl Txn<'_> {
    /// Writes a row as the bytes that a changelog holds, and the index rows that follow.
    ///
    /// # Errors
    /// As [`Txn::put`]; [`StateError::TooNew`] when a newer program wrote the row.
    pub fn put_raw<T: Table>(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        let typed = T::parse(key)?;
        let version = value.first().copied().unwrap_or_default();
        if version > T::VERSION {
            return Err(StateError::TooNew {
                what: T::NAME,
                found: version.into(),
                known: T::VERSION.into(),
            });
        }
        let row = if derives::<T>() { Some(Arc::new(T::decode(value)?)) } else { None };
        self.write::<T>(&typed, key, Change::Bytes(value.to_vec()), row)
    }

    /// Deletes a row by the key that a changelog holds, and the index rows that followed from it.
    ///
    /// # Errors
    /// As [`Txn::put`].
    pub fn delete_raw<T: Table>(&mut self, key: &[u8]) -> Result<(), StateError> {
        self.write::<T>(&T::parse(key)?, key, Change::Delete, None)
    }

    /// Writes a logged key as it is now, even if that is what the store holds; a key without a row is deleted. The
    /// changelog then says the same as the store again: this is what the owner does about a [`crate::TornRow`].
    ///
    /// # Errors
    /// As [`Txn::get`].
    pub fn rewrite(&mut self, key: &[u8]) -> Result<(), StateError> {
        let entry = self.loaded(TableClass::Logged, key)?;
        // What is not known to be the same is not left out at the end.
        let original = std::mem::replace(&mut entry.original, Original::Unread);
        if !entry.is_changed() {
            entry.change = match original {
                Original::Bytes(bytes) => Change::Bytes(bytes),
                Original::Hot(bytes) => Change::Bytes(bytes.to_vec()),
                Original::Absent | Original::Unread => Change::Delete,
            };
            let place = *self.places.get(key).expect("it was just loaded");
            self.changed.get_mut().insert(Arc::from(key), place);
        }
        Ok(())
    }
}
