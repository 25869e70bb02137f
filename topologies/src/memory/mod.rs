//! What a processor keeps in memory for speed: the heads of the ready lines and the free slots of workers.
//!
//! **Invariant:** it is a copy. It can be thrown away at any time and rebuilt from the store, and a decision made with
//! kept memory has the same bytes as one made with rebuilt memory.

mod free;
mod ready;

pub use free::{FreeSlots, FreeWorker};
pub use ready::{Head, ReadyLines};

use yardmaster_state::{StateError, StoreRead, Txn};

/// Both copies.
#[derive(Debug, Default)]
pub struct Memory {
    /// The heads of the ready lines.
    pub ready: ReadyLines,
    /// The free slots of workers.
    pub free: FreeSlots,
    /// The hour up to which history was dropped last; history is no part of any decision.
    pub dropped_hour: Option<u32>,
}

impl Memory {
    /// Reads both from a store.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn rebuild(store: &dyn StoreRead) -> Result<Self, StateError> {
        let txn = Txn::new(store);
        Ok(Self {
            ready: ReadyLines::rebuild(&txn)?,
            free: FreeSlots::rebuild(&txn)?,
            dropped_hour: None,
        })
    }
}
