//! The free slots of the workers that may get work, best first: most free slots, then the fewest messages so far, then
//! by name. All of it stands in the rows, so the order is the same after a rebuild.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use yardmaster_state::{KeyWriter, StateError, Txn, prefix_end};

use crate::id::{MessageSeq, Pool, WorkerName};
use crate::tables::{WorkerTable, byte};
use crate::worker::WorkerRow;

/// A worker with free slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeWorker {
    /// Who.
    pub worker: WorkerName,
    /// How many slots are free.
    pub free: u32,
    /// The last message that it was sent.
    pub seq: MessageSeq,
}

#[derive(Debug, Default)]
struct PoolSlots {
    order: BTreeSet<(Reverse<u32>, MessageSeq, WorkerName)>,
    /// Every registered worker, and its place if it has one.
    places: BTreeMap<WorkerName, Option<(u32, MessageSeq)>>,
    total: u64,
}

/// Free slots by pool.
#[derive(Debug, Default)]
pub struct FreeSlots {
    pools: BTreeMap<Pool, PoolSlots>,
}

impl FreeSlots {
    /// Reads them from the worker rows.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn rebuild(txn: &Txn<'_>) -> Result<Self, StateError> {
        let mut slots = Self::default();
        let prefix = KeyWriter::new(byte::WORKER).finish();
        for ((pool, _), row) in txn.scan::<WorkerTable>(&prefix, &prefix_end(&prefix), usize::MAX)? {
            slots.set(&pool, &row);
        }
        Ok(slots)
    }

    /// Told of every change of a worker's row.
    pub fn set(&mut self, pool: &Pool, row: &WorkerRow) {
        let slots = self.pools.entry(pool.clone()).or_default();
        let free = row.free_slots();
        slots.place(&row.worker, (free > 0).then_some((free, row.seq)));
    }

    /// Told when a worker's row goes.
    pub fn remove(&mut self, pool: &Pool, worker: &WorkerName) {
        if let Some(slots) = self.pools.get_mut(pool) {
            slots.place(worker, None);
            slots.places.remove(worker);
        }
    }

    /// How many workers are registered in a pool.
    #[must_use]
    pub fn registered(&self, pool: &Pool) -> usize {
        self.pools.get(pool).map_or(0, |slots| slots.places.len())
    }

    /// How many slots are free in a pool.
    #[must_use]
    pub fn total(&self, pool: &Pool) -> u64 {
        self.pools.get(pool).map_or(0, |slots| slots.total)
    }

    /// The pools in which slots are free.
    #[must_use]
    pub fn pools(&self) -> Vec<Pool> {
        self.pools.iter().filter(|(_, slots)| slots.total > 0).map(|(pool, _)| pool.clone()).collect()
    }

    /// The best workers of a pool, at most `limit`.
    #[must_use]
    pub fn best(&self, pool: &Pool, limit: usize) -> Vec<FreeWorker> {
        let Some(slots) = self.pools.get(pool) else {
            return Vec::new();
        };
        let best = slots.order.iter().take(limit);
        best.map(|(free, seq, worker)| FreeWorker { worker: worker.clone(), free: free.0, seq: *seq })
            .collect()
    }
}

impl PoolSlots {
    /// Gives a worker its place among those with free slots, or none.
    fn place(&mut self, worker: &WorkerName, place: Option<(u32, MessageSeq)>) {
        let before = match self.places.get_mut(worker) {
            Some(known) => std::mem::replace(known, place),
            None => {
                self.places.insert(worker.clone(), place);
                None
            }
        };
        if before == place {
            return;
        }
        if let Some((free, seq)) = before {
            self.order.remove(&(Reverse(free), seq, worker.clone()));
            self.total -= u64::from(free);
        }
        if let Some((free, seq)) = place {
            self.order.insert((Reverse(free), seq, worker.clone()));
            self.total += u64::from(free);
        }
    }
}
