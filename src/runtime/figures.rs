//! Numbers that stand in the stores, read when Prometheus asks: tasks and workers by pool and state.

use std::collections::BTreeSet;

use yardmaster_state::{KeyWriter, StateError, StoreRead, Table, prefix_end, read_row, scan_rows};
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::job::{CounterKey, Dimension};
use yardmaster_topologies::tables::{CounterTable, WorkerTable};
use yardmaster_topologies::task::TaskState;

use super::pools::pool_after;
use super::server::Server;
use crate::metrics::Live;

/// Pools that are shown by name; the others are summed up as `other`, so that labels stay bounded.
const POOLS_MAX: usize = 100;
/// Workers that one look into a store takes.
const WORKERS_AT_ONCE: usize = 1_000;

impl Server {
    /// The metrics in Prometheus' text format, with the stores' numbers as of now. Blocks.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        let mut figures = Figures::default();
        for owned in self.registry.owned() {
            let view = owned.store.view();
            if let Err(error) = figures.add(view.as_ref(), &|| owned.is_closed()) {
                tracing::warn!(partition = owned.partition, %error, "a store's numbers can't be read");
            }
        }
        self.metrics.render(&figures.live)
    }
}

/// The numbers of all stores together.
#[derive(Default)]
struct Figures {
    live: Live,
    named: BTreeSet<Pool>,
}

impl Figures {
    /// Adds those of one store, pool by pool: how many tags or queues lie between doesn't matter.
    fn add(&mut self, store: &dyn StoreRead, has_left: &dyn Fn() -> bool) -> Result<(), StateError> {
        let mut after = None;
        while let Some(pool) = pool_after(store, after.as_ref())?
            && !has_left()
        {
            let label = self.label(&pool);
            let key = CounterKey { pool: pool.clone(), dimension: Dimension::Pool };
            let counts = read_row::<CounterTable>(store, &key)?.unwrap_or_default().counts;
            for state in TaskState::ALL {
                *self.live.tasks.entry((label.clone(), state.name())).or_default() += counts.of(state);
            }
            self.add_workers(store, &pool, &label)?;
            after = Some(pool);
        }
        Ok(())
    }

    fn add_workers(&mut self, store: &dyn StoreRead, pool: &Pool, label: &str) -> Result<(), StateError> {
        let prefix = KeyWriter::new(WorkerTable::ID).str(pool.as_str()).finish();
        let (mut from, end) = (prefix.clone(), prefix_end(&prefix));
        loop {
            let rows = scan_rows::<WorkerTable>(store, &from, &end, WORKERS_AT_ONCE)?;
            let is_last = rows.len() < WORKERS_AT_ONCE;
            for (key, row) in rows {
                *self.live.workers.entry((label.to_owned(), row.shown_state())).or_default() += 1;
                from = [WorkerTable::key(&key), vec![0]].concat();
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn label(&mut self, pool: &Pool) -> String {
        if self.named.len() < POOLS_MAX {
            self.named.insert(pool.clone());
        }
        if self.named.contains(pool) { pool.to_string() } else { "other".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use yardmaster_state::{MemoryStore, Store as _, Txn};
    use yardmaster_topologies::job::CounterRow;
    use yardmaster_topologies::task::Counts;

    use super::*;

    /// A store with so many pools of one queued task, each with so many tags.
    fn store(pools: usize, tags: usize) -> MemoryStore {
        let store = MemoryStore::new();
        let mut txn = Txn::new(&store);
        let mut counts = Counts::default();
        counts.shift(None, Some(TaskState::Queued));
        for pool in 0..pools {
            let pool = Pool::parse(&format!("p-{pool}")).unwrap();
            let tags = (0..tags).map(|n| Dimension::Tag("t".to_owned(), n.to_string()));
            for dimension in tags.chain([Dimension::Pool]) {
                let row = CounterRow { counts, ..CounterRow::default() };
                txn.put::<CounterTable>(&CounterKey { pool: pool.clone(), dimension }, &row).unwrap();
            }
        }
        let batch = txn.finish();
        store.commit(&batch).unwrap();
        store
    }

    #[test]
    fn every_pool_is_counted_however_many_tags_there_are() {
        let mut figures = Figures::default();
        figures.add(&store(3, 2_000), &|| false).unwrap();
        let queued = |pool: &str| figures.live.tasks.get(&(pool.to_owned(), "QUEUED")).copied();
        assert_eq!([queued("p-0"), queued("p-1"), queued("p-2")], [Some(1); 3]);
    }

    #[test]
    fn pools_beyond_the_first_hundred_are_summed_up() {
        let mut figures = Figures::default();
        figures.add(&store(250, 0), &|| false).unwrap();
        assert_eq!(figures.live.tasks.get(&("other".to_owned(), "QUEUED")), Some(&150));
        let queued: u64 = figures.live.tasks.values().sum();
        assert_eq!(queued, 250);
    }
}
