//! What must hold between batches, whatever came in: rows against rows, indexes against rows, counts against a recount.

use std::collections::BTreeMap;

use yardmaster_state::{KeyWriter, MemoryStore, Table, prefix_end, read_row, scan_rows};
use yardmaster_topologies::job::{CounterKey, Dimension};
use yardmaster_topologies::tables::{
    ByWorkerTable, CounterTable, HistoryKey, HistoryTable, JobTable, LeaseTable, ReadyTable, TaskTable,
    WorkerTable,
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

/// Live counts are a recount of the rows. Ended tasks stay counted for longer than their id is known, so of each terminal
/// state at least as many are counted as there are markers, also in each queue, job and tag; and history has the record
/// that a marker stands for.
fn counts(store: &MemoryStore, live: &BTreeMap<TaskState, u64>) {
    let key = CounterKey { pool: crate::world::pool(), dimension: Dimension::Pool };
    let counters: BTreeMap<_, _> = all::<CounterTable>(store).into_iter().collect();
    let pool = counters.get(&key).copied().unwrap_or_default().counts;
    for state in TaskState::ALL.into_iter().filter(|state| !state.is_terminal()) {
        assert_eq!(pool.of(state), live.get(&state).copied().unwrap_or_default(), "{}", state.name());
    }
    let mut queues = Counts::default();
    for row in
        counters.iter().filter(|(key, _)| matches!(key.dimension, Dimension::Queue(_))).map(|(_, row)| row)
    {
        queues.0.iter_mut().zip(row.counts.0).for_each(|(sum, count)| *sum += count);
    }
    for state in TaskState::ALL {
        // A queue that nobody uses is forgotten with what ended in it.
        let (sum, whole) = (queues.of(state), pool.of(state));
        assert!(sum == whole || (state.is_terminal() && sum < whole), "{} {sum} of {whole}", state.name());
    }
    let jobs: BTreeMap<_, _> = all::<JobTable>(store).into_iter().collect();
    for ((_, job), row) in &jobs {
        assert_eq!(row.counts.live() == 0, row.done_at.is_some(), "job {job}");
    }
    let mut marked: BTreeMap<(String, TaskState), (u64, Counts)> = BTreeMap::new();
    for (task, row) in all::<TaskTable>(store) {
        let TaskRow::Done(marker) = row else { continue };
        let key = HistoryKey::of((&task.0, &task.1), marker.generation, marker.state, marker.at);
        let record = read_row::<HistoryTable>(store, &key).unwrap();
        let record = record.unwrap_or_else(|| panic!("{} has ended and is not in history", task.1));
        assert_eq!(
            (record.state, record.attempt, record.ended_at),
            (marker.state, marker.attempt, marker.at)
        );
        let counted = |dimension| {
            let key = CounterKey { pool: task.0.clone(), dimension };
            counters.get(&key).copied().unwrap_or_default().counts
        };
        let mut places = vec![("pool".to_owned(), pool)];
        places.push((
            format!("queue {}", record.spec.queue),
            counted(Dimension::Queue(record.spec.queue.clone())),
        ));
        if let Some(job) = &record.spec.job {
            let row = jobs.get(&(task.0.clone(), job.clone()));
            places.push((format!("job {job}"), row.map(|row| row.counts).unwrap_or_default()));
        }
        for (name, value) in &record.spec.tags {
            places
                .push((format!("tag {name}={value}"), counted(Dimension::Tag(name.clone(), value.clone()))));
        }
        for (place, counts) in places {
            marked.entry((place, marker.state)).or_insert((0, counts)).0 += 1;
        }
    }
    for ((place, state), (markers, counts)) in marked {
        assert!(
            counts.of(state) >= markers,
            "{place}: {markers} are {}, {} counted",
            state.name(),
            counts.of(state)
        );
    }
}
