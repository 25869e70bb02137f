//! Scans that merge the overlay into what the store holds.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Txn;
use super::changed::Place;
use crate::{Keyed, StateError, Table};

impl Txn<'_> {
    /// At most `limit` rows with keys in `from..to`, in key order, own writes included.
    ///
    /// # Errors
    /// As [`Txn::get`] and [`Table::parse`].
    pub fn scan<T: Table>(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Keyed<T>>, StateError> {
        if from >= to || limit == 0 {
            return Ok(Vec::new());
        }
        let mut rows = Vec::new();
        let mut failure = None;
        let mut changed = self.changed.borrow_mut();
        let mut own = changed.range(from, to).iter().peekable();
        self.store.scan(T::CLASS, from, to, usize::MAX, &mut |key, value| {
            let merged = (|| {
                while rows.len() < limit
                    && let Some(changed) = own.next_if(|(changed, _)| changed.as_ref() < key)
                {
                    rows.extend(self.changed_row::<T>(changed)?);
                }
                if rows.len() == limit {
                    return Ok(());
                }
                if let Some(changed) = own.next_if(|(changed, _)| changed.as_ref() == key) {
                    rows.extend(self.changed_row::<T>(changed)?);
                } else if !self.is_dropped(T::CLASS, key) {
                    rows.push((T::parse(key)?, T::decode(value)?));
                }
                Ok(())
            })();
            failure = merged.err();
            if failure.is_some() || rows.len() >= limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        while rows.len() < limit
            && let Some(changed) = own.next()
        {
            rows.extend(self.changed_row::<T>(changed)?);
        }
        Ok(rows)
    }

    fn changed_row<T: Table>(&self, (key, place): &Place) -> Result<Option<Keyed<T>>, StateError> {
        let entry = self.entries.get(*place).expect("a changed key has an entry");
        let row = if entry.class == T::CLASS { entry.peek::<T>()? } else { None };
        row.map(|row| Ok((T::parse(key)?, Arc::unwrap_or_clone(row)))).transpose()
    }
}
