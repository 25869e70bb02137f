//! Rows that are kept decoded from one commit to the next, because they are about to be asked for again.

use std::collections::HashMap;
use std::sync::Arc;

use crate::entry::{AnyRow, KeyHash};

/// A row as the store holds it.
#[derive(Clone)]
pub(crate) struct HotRow {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) row: AnyRow,
}

/// Copies of logged rows that [`crate::Table::is_hot`] says are needed soon; as many as there are such rows.
///
/// **Invariant:** they say what the store says, so whoever loses them loses only time. They must be thrown away
/// together with a batch that is not committed.
#[derive(Default)]
pub struct HotRows(HashMap<Arc<[u8]>, HotRow, KeyHash>);

impl std::fmt::Debug for HotRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HotRows").field("rows", &self.0.len()).finish()
    }
}

impl HotRows {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&HotRow> {
        self.0.get(key)
    }

    /// A key gets this row, or none that is kept.
    pub(crate) fn set(&mut self, key: &Arc<[u8]>, row: Option<HotRow>) {
        match row {
            Some(row) => {
                self.0.insert(Arc::clone(key), row);
            }
            None => {
                self.0.remove(key);
            }
        }
    }
}
