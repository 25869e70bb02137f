//! What a processor keeps in memory for speed: the heads of the ready lines, the free slots of workers, where the next
//! due row can be, which jobs are being swept, and the rows of what runs.
//!
//! **Invariant:** it is a copy. It can be thrown away at any time and rebuilt from the store, and a decision made with
//! kept memory has the same bytes as one made with rebuilt memory.

mod due;
mod free;
mod ready;

pub use due::{DueIndex, DueTimes};
pub use free::{FreeSlots, FreeWorker};
pub use ready::{Head, ReadyLines};

use std::collections::BTreeMap;

use yardmaster_state::{HotRows, KeyWriter, StateError, StoreRead, Txn, prefix_end};

use crate::id::{JobId, Pool};
use crate::tables::{JobCancelTable, byte};

/// All copies.
#[derive(Debug, Default)]
pub struct Memory {
    /// The heads of the ready lines.
    pub ready: ReadyLines,
    /// The free slots of workers.
    pub free: FreeSlots,
    /// Where the next due rows can be.
    pub due: DueTimes,
    /// The cancelled jobs whose sweep goes on, and the key in the job's index from which it does.
    pub sweeping: BTreeMap<(Pool, JobId), Option<Vec<u8>>>,
    /// Rows of open attempts and workers, as the last batch left them.
    pub hot: HotRows,
}

impl Memory {
    /// Reads all of it from a store.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn rebuild(store: &dyn StoreRead) -> Result<Self, StateError> {
        let txn = Txn::new(store);
        let flags = KeyWriter::new(byte::JOB_CANCEL).finish();
        let flags = txn.scan::<JobCancelTable>(&flags, &prefix_end(&flags), usize::MAX)?;
        Ok(Self {
            ready: ReadyLines::rebuild(&txn)?,
            free: FreeSlots::rebuild(&txn)?,
            due: DueTimes::default(),
            sweeping: flags
                .into_iter()
                .filter(|(_, flag)| flag.is_sweeping)
                .map(|(job, _)| (job, None))
                .collect(),
            hot: HotRows::default(),
        })
    }
}
