//! Numbers that stand in the stores, read when Prometheus asks: tasks and workers by pool and state.

use std::collections::BTreeMap;

use yardmaster_state::{KeyWriter, StateError, StoreRead, prefix_end, scan_rows};
use yardmaster_topologies::job::Dimension;
use yardmaster_topologies::tables::{CounterTable, WorkerTable, byte};
use yardmaster_topologies::task::TaskState;

use super::server::Server;

/// Pools that are shown by name; the others are summed up as `other`, so that labels stay bounded.
const POOLS_MAX: usize = 100;
/// Rows that are looked at per partition.
const ROWS_MAX: usize = 100_000;

type Figures = BTreeMap<(String, &'static str), u64>;

impl Server {
    /// The metrics in Prometheus' text format, with the stores' numbers as of now.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        let (mut tasks, mut workers) = (Figures::new(), Figures::new());
        for owned in self.registry.owned() {
            let view = owned.store.view();
            if let Err(error) = read(view.as_ref(), &mut tasks, &mut workers) {
                tracing::warn!(partition = owned.partition, %error, "a store's numbers can't be read");
            }
        }
        self.metrics.set_tasks(&rows(tasks));
        self.metrics.set_workers(&rows(workers));
        self.metrics.render()
    }
}

fn read(store: &dyn StoreRead, tasks: &mut Figures, workers: &mut Figures) -> Result<(), StateError> {
    let counters = KeyWriter::new(byte::COUNTER).finish();
    for (key, row) in scan_rows::<CounterTable>(store, &counters, &prefix_end(&counters), ROWS_MAX)? {
        if key.dimension == Dimension::Pool {
            for state in TaskState::ALL {
                *tasks.entry((label(tasks, key.pool.as_str()), state.name())).or_default() +=
                    row.counts.of(state);
            }
        }
    }
    let all = KeyWriter::new(byte::WORKER).finish();
    for ((pool, _), row) in scan_rows::<WorkerTable>(store, &all, &prefix_end(&all), ROWS_MAX)? {
        *workers.entry((label(workers, pool.as_str()), row.shown_state())).or_default() += 1;
    }
    Ok(())
}

fn label(figures: &Figures, pool: &str) -> String {
    let mut pools: Vec<&String> = figures.keys().map(|(pool, _)| pool).collect();
    pools.dedup();
    let is_known = pools.iter().any(|known| *known == pool);
    if is_known || pools.len() < POOLS_MAX { pool.to_owned() } else { "other".to_owned() }
}

fn rows(figures: Figures) -> Vec<(String, &'static str, u64)> {
    figures.into_iter().map(|((pool, state), count)| (pool, state, count)).collect()
}
