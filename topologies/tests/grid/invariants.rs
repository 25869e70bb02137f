//! What must hold between batches, whatever came in: rows against rows, indexes against rows, counts against a recount.

use std::collections::BTreeMap;

use yardmaster_state::{KeyWriter, MemoryStore, Table, prefix_end, read_row, scan_rows};
use yardmaster_topologies::job::{CounterKey, Dimension};
use yardmaster_topologies::tables::{
    ByWorkerTable, CounterTable, HistoryTable, JobTable, LeaseTable, ReadyTable, TaskTable, WorkerTable,
};
use yardmaster_topologies::task::{Counts, TaskRow, TaskState};
use yardmaster_topologies::worker::WorkerState;

fn all<T: Table>(store: &MemoryStore) -> Vec<(T::Key, T::Row)> {
    let prefix = KeyWriter::new(T::ID).finish();
    scan_rows::<T>(store, &prefix, &prefix_end(&prefix), usize::MAX).unwrap()
}

pub(crate) fn check(store: &MemoryStore) {
    let tasks = all::<TaskTable>(store);
    let mut live = BTreeMap::new();
    let mut held: BTreeMap<String, u32> = BTreeMap::new();
    let mut ready = Vec::new();
    for ((pool, id), row) in &tasks {
        let TaskRow::Live(task) = row else { continue };
        assert_eq!(&task.spec.id, id);
        assert!(!task.state.is_terminal(), "{id} is live and {}", task.state.name());
        assert_eq!(task.state.has_attempt(), task.open.is_some(), "{id} {}", task.state.name());
        assert_eq!(task.state == TaskState::Cancelling, task.stopping.is_some(), "{id}");
        assert!(task.failures < task.spec.retry.max_failures.max(1), "{id} has failures left");
        if let Some(open) = &task.open {
            *held.entry(format!("{pool}/{}", open.worker)).or_default() += 1;
            let row = read_row::<WorkerTable>(store, &(pool.clone(), open.worker.clone())).unwrap().unwrap();
            assert!(
                open.incarnation == row.incarnation,
                "{id} is held by the present life of {}",
                open.worker
            );
            assert!(
                !matches!(row.state, WorkerState::Lost | WorkerState::Gone),
                "{id} is held by a worker that is here"
            );
        }
        if task.state == TaskState::Queued {
            ready.push((task.line(), task.seq, id.clone()));
        }
        *live.entry(task.state).or_insert(0_u64) += 1;
    }
    ready.sort();
    let mut index: Vec<_> =
        all::<ReadyTable>(store).into_iter().map(|(key, id)| (key.line, key.seq, id)).collect();
    index.sort();
    assert_eq!(index, ready, "the ready index holds the QUEUED tasks");
    assert_eq!(all::<ByWorkerTable>(store).len(), held.values().sum::<u32>() as usize);
    for ((pool, worker), row) in all::<WorkerTable>(store) {
        let open = held.get(&format!("{pool}/{worker}")).copied().unwrap_or_default();
        assert_eq!(row.open, open, "{worker} counts its open attempts");
        assert!(row.open <= row.slots, "{worker} has no more than its slots");
        let has_lease = read_row::<LeaseTable>(store, &(pool, worker.clone())).unwrap().is_some();
        assert_eq!(
            has_lease,
            !matches!(row.state, WorkerState::Lost | WorkerState::Gone),
            "{worker} {}",
            row.state.name()
        );
    }
    counts(store, &live);
}

/// Live counts are a recount of the rows; terminal ones never fall short of what history has.
fn counts(store: &MemoryStore, live: &BTreeMap<TaskState, u64>) {
    let key = CounterKey { pool: crate::world::pool(), dimension: Dimension::Pool };
    let pool = read_row::<CounterTable>(store, &key).unwrap().unwrap_or_default();
    for state in TaskState::ALL.into_iter().filter(|state| !state.is_terminal()) {
        assert_eq!(pool.of(state), live.get(&state).copied().unwrap_or_default(), "{}", state.name());
    }
    let mut queues = Counts::default();
    for (key, counts) in all::<CounterTable>(store) {
        if matches!(key.dimension, Dimension::Queue(_)) {
            queues.0.iter_mut().zip(counts.0).for_each(|(sum, count)| *sum += count);
        }
    }
    assert_eq!(queues, pool, "the queues together are the pool");
    for ((_, job), row) in all::<JobTable>(store) {
        assert_eq!(row.counts.live() == 0, row.done_at.is_some(), "job {job}");
    }
    let ended: u64 =
        TaskState::ALL.into_iter().filter(|state| state.is_terminal()).map(|state| pool.of(state)).sum();
    assert!(all::<HistoryTable>(store).len() as u64 >= ended.min(1), "what ended is in history");
}
