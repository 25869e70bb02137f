//! The counters that a batch changes, gathered until somebody reads the table: most tasks of a batch are counted in the same
//! few rows.

use std::collections::BTreeMap;

use yardmaster_state::{StateError, Txn};

use crate::id::{Pool, QueueName};
use crate::job::{CounterKey, CounterRow, Dimension};
use crate::tables::CounterTable;

/// [`Dimension`] by reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which<'a> {
    Pool,
    Queue(&'a QueueName),
    Tag(&'a str, &'a str),
}

#[derive(Debug, Default)]
struct PoolTally {
    all: Option<CounterRow>,
    queues: BTreeMap<QueueName, CounterRow>,
    tags: BTreeMap<String, BTreeMap<String, CounterRow>>,
}

/// Counters as this batch has them now; the overlay gets them by [`Tally::write`].
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<Pool, PoolTally>);

impl Tally {
    /// A counter to be changed.
    pub(crate) fn row(
        &mut self,
        txn: &mut Txn<'_>,
        pool: &Pool,
        which: Which<'_>,
    ) -> Result<&mut CounterRow, StateError> {
        if self.find(pool, which).is_none() {
            let dimension = match which {
                Which::Pool => Dimension::Pool,
                Which::Queue(queue) => Dimension::Queue(queue.clone()),
                Which::Tag(name, value) => Dimension::Tag(name.to_owned(), value.to_owned()),
            };
            let key = CounterKey { pool: pool.clone(), dimension };
            let row = txn.get::<CounterTable>(&key)?.unwrap_or_default();
            self.set(key, row);
        }
        Ok(self.find(pool, which).expect("it was just set"))
    }

    /// Whether a queue is counted here; it may be counted in the overlay, too.
    pub(crate) fn has_queue(&self, pool: &Pool, queue: &QueueName) -> bool {
        self.0.get(pool).is_some_and(|tally| tally.queues.contains_key(queue))
    }

    /// Writes all of them into the overlay, and starts anew: before somebody reads the table, and at the end.
    pub(crate) fn write(&mut self, txn: &mut Txn<'_>) -> Result<(), StateError> {
        for (pool, tally) in std::mem::take(&mut self.0) {
            let all = tally.all.map(|row| (Dimension::Pool, row));
            let queues = tally.queues.into_iter().map(|(queue, row)| (Dimension::Queue(queue), row));
            let tags = tally.tags.into_iter().flat_map(|(name, values)| {
                values.into_iter().map(move |(value, row)| (Dimension::Tag(name.clone(), value), row))
            });
            for (dimension, row) in all.into_iter().chain(queues).chain(tags) {
                txn.put_owned::<CounterTable>(&CounterKey { pool: pool.clone(), dimension }, row)?;
            }
        }
        Ok(())
    }

    fn find(&mut self, pool: &Pool, which: Which<'_>) -> Option<&mut CounterRow> {
        let tally = self.0.get_mut(pool)?;
        match which {
            Which::Pool => tally.all.as_mut(),
            Which::Queue(queue) => tally.queues.get_mut(queue),
            Which::Tag(name, value) => tally.tags.get_mut(name)?.get_mut(value),
        }
    }

    fn set(&mut self, key: CounterKey, row: CounterRow) {
        let tally = self.0.entry(key.pool).or_default();
        match key.dimension {
            Dimension::Pool => tally.all = Some(row),
            Dimension::Queue(queue) => {
                tally.queues.insert(queue, row);
            }
            Dimension::Tag(name, value) => {
                tally.tags.entry(name).or_default().insert(value, row);
            }
        }
    }
}
