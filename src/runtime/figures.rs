//! Numbers that stand in the stores, read when Prometheus asks: tasks, queues, workers and slots, and the stores' sizes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use yardmaster_state::{KeyWriter, StateError, StoreRead, Table, prefix_end, read_row, scan_rows};
use yardmaster_topologies::id::{Pool, QueueName, TaskId};
use yardmaster_topologies::job::{CounterKey, Dimension};
use yardmaster_topologies::tables::{CounterTable, ReadyTable, TaskTable, WorkerTable, byte};
use yardmaster_topologies::task::TaskRow;
use yardmaster_topologies::time::WallMs;

use super::clock::wall;
use super::pools::pool_after;
use super::registry::{OwnedPartition, Registry};
use super::server::Server;
use crate::metrics::{Live, PoolFigures, QueueFigures, StandbyFigures, StoreFigures};

/// Rows that one look into a store takes.
const ROWS_AT_ONCE: usize = 1_000;
/// Lines of the ready order that are looked at in one store, to find who waits longest.
const LINES_MAX: usize = 1_000;

impl Server {
    /// The metrics in Prometheus' text format, with the stores' numbers as of now. Blocks.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        let mut figures = Figures::new(wall());
        figures.add_places(&self.registry);
        figures.add_standbys(&self.registry);
        figures.live.is_following = self.registry.is_following(self.config.instance_timeout);
        for owned in self.registry.owned() {
            let view = owned.store.view();
            let read = figures
                .add(view.as_ref(), &|| owned.is_closed())
                .and_then(|()| figures.add_sizes(&owned, view.as_ref()));
            if let Err(error) = read {
                tracing::warn!(partition = owned.partition, %error, "a store's numbers can't be read");
            }
        }
        self.metrics.render(&figures.live)
    }
}

/// The numbers of all stores together.
struct Figures {
    live: Live,
    now: WallMs,
}

impl Figures {
    fn new(now: WallMs) -> Self {
        Self { live: Live::default(), now }
    }

    fn add_places(&mut self, registry: &Registry) {
        let (owned, elsewhere) = (registry.owned(), registry.elsewhere());
        let is_here = |partition: &i32| owned.iter().any(|owned| owned.partition == *partition);
        let others = elsewhere.keys().filter(|partition| !is_here(partition)).count();
        let all = usize::try_from(registry.partitions()).unwrap_or_default();
        let moving = all.saturating_sub(owned.len() + others);
        let halts = registry.halts().into_iter();
        self.live.halts = halts.map(|(partition, halt)| (partition, halt.cause.name())).collect();
        self.live.places = [("here", owned.len()), ("elsewhere", others), ("moving", moving)];
    }

    fn add_standbys(&mut self, registry: &Registry) {
        for standby in registry.standbys().all() {
            let behind = *standby.behind.borrow();
            let lag = behind.end.0.saturating_sub(behind.next.0).max(0);
            let age = self.now.0.saturating_sub(behind.wall_ms) as f64 / 1_000.0;
            let lag_seconds = if lag == 0 || behind.wall_ms == 0 { 0.0 } else { age };
            self.live.standbys.push(StandbyFigures { partition: standby.partition, lag, lag_seconds });
        }
    }

    fn add_sizes(&mut self, owned: &OwnedPartition, view: &dyn StoreRead) -> Result<(), StateError> {
        let changelog_end = view.checkpoint()?.map_or(0, |checkpoint| checkpoint.changelog.0);
        let disk = owned.disk.as_ref().map(|disk| disk.figures()).transpose()?;
        self.live.stores.push(StoreFigures { partition: owned.partition, changelog_end, disk });
        Ok(())
    }

    /// Adds those of one store, pool by pool: how many tags lie between doesn't matter.
    fn add(&mut self, store: &dyn StoreRead, has_left: &dyn Fn() -> bool) -> Result<(), StateError> {
        let oldest = oldest_waiting(store)?;
        let mut after = None;
        while let Some(pool) = pool_after(store, after.as_ref())?
            && !has_left()
        {
            let key = CounterKey { pool: pool.clone(), dimension: Dimension::Pool };
            let tasks = read_row::<CounterTable>(store, &key)?.unwrap_or_default().counts;
            let mut figures = PoolFigures { tasks, ..PoolFigures::default() };
            add_workers(store, &pool, &mut figures)?;
            self.live.add_pool(pool.to_string(), figures);
            self.add_queues(store, &pool, &oldest)?;
            after = Some(pool);
        }
        Ok(())
    }

    fn add_queues(&mut self, store: &dyn StoreRead, pool: &Pool, oldest: &Oldest) -> Result<(), StateError> {
        let queues = KeyWriter::new(CounterTable::ID).str(pool.as_str()).u8(1).finish();
        each::<CounterTable>(store, &queues, |key, row| {
            let Dimension::Queue(queue) = key.dimension else { return };
            let since = oldest.get(&(pool.clone(), queue.clone()));
            let waited = since.map(|since| self.now.0.saturating_sub(since.0) as f64 / 1_000.0);
            let figures = QueueFigures { tasks: row.counts, oldest_seconds: waited };
            self.live.add_queue(pool.to_string(), queue.to_string(), figures);
        })
    }
}

fn add_workers(store: &dyn StoreRead, pool: &Pool, figures: &mut PoolFigures) -> Result<(), StateError> {
    let workers = KeyWriter::new(WorkerTable::ID).str(pool.as_str()).finish();
    each::<WorkerTable>(store, &workers, |_, row| {
        *figures.workers.entry(row.shown_state()).or_default() += 1;
        if row.left_at.is_none() {
            figures.slots += u64::from(row.slots);
            figures.in_use += u64::from(row.open);
            figures.free += u64::from(row.free_slots());
        }
    })
}

/// Visits all rows of a table whose keys begin so, some at a time.
fn each<T: Table>(
    store: &dyn StoreRead,
    prefix: &[u8],
    mut visit: impl FnMut(T::Key, T::Row),
) -> Result<(), StateError> {
    let (mut from, end) = (prefix.to_vec(), prefix_end(prefix));
    loop {
        let rows = scan_rows::<T>(store, &from, &end, ROWS_AT_ONCE)?;
        let is_last = rows.len() < ROWS_AT_ONCE;
        for (key, row) in rows {
            from = [T::key(&key), vec![0]].concat();
            visit(key, row);
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Since when the task that has waited longest in each queue is QUEUED.
type Oldest = BTreeMap<(Pool, QueueName), WallMs>;

/// Looks at the first task of each line, with one seek for each, and at [`LINES_MAX`] lines at most.
fn oldest_waiting(store: &dyn StoreRead) -> Result<Oldest, StateError> {
    let mut oldest = Oldest::new();
    let all = KeyWriter::new(byte::READY).finish();
    let (mut from, end) = (all.clone(), prefix_end(&all));
    for _ in 0..LINES_MAX {
        let Some((line, id)) = first_of_line(store, &from, &end)? else { break };
        from = prefix_end(&line.prefix());
        if let Some(TaskRow::Live(task)) = read_row::<TaskTable>(store, &(line.pool.clone(), id))? {
            let since = oldest.entry((line.pool, line.queue)).or_insert(task.since);
            *since = task.since.min(*since);
        }
    }
    Ok(oldest)
}

fn first_of_line(
    store: &dyn StoreRead,
    from: &[u8],
    end: &[u8],
) -> Result<Option<(yardmaster_topologies::tables::Line, TaskId)>, StateError> {
    let mut found = None;
    store.scan(ReadyTable::CLASS, from, end, 1, &mut |key, value| {
        found = Some((key.to_vec(), value.to_vec()));
        ControlFlow::Break(())
    })?;
    found.map(|(key, value)| Ok((ReadyTable::parse(&key)?.line, ReadyTable::decode(&value)?))).transpose()
}

#[cfg(test)]
mod tests {
    use yardmaster_state::{MemoryStore, Store as _, Txn};
    use yardmaster_topologies::driver::{BatchInput, CommandInput, Grid};
    use yardmaster_topologies::event::Local;
    use yardmaster_topologies::job::CounterRow;
    use yardmaster_topologies::task::{Counts, TaskState};
    use yardmaster_topologies::time::{Now, ProcessorMs};
    use yardmaster_topologies::wire::{Defaults, decode_command};

    use super::*;
    use crate::config::Config;
    use crate::metrics::{Metrics, OVERFLOW};

    /// A store with so many pools of one queued task, each with so many tags and queues.
    fn store(pools: usize, tags: usize, queues: usize) -> MemoryStore {
        let store = MemoryStore::new();
        let mut txn = Txn::new(&store);
        let mut counts = Counts::default();
        counts.shift(None, Some(TaskState::Queued));
        for pool in 0..pools {
            let pool = Pool::parse(&format!("p-{pool}")).unwrap();
            let tags = (0..tags).map(|n| Dimension::Tag("t".to_owned(), n.to_string()));
            let queues = (0..queues).map(|n| Dimension::Queue(QueueName::parse(&format!("q-{n}")).unwrap()));
            for dimension in tags.chain(queues).chain([Dimension::Pool]) {
                let row = CounterRow { counts, ..CounterRow::default() };
                txn.put::<CounterTable>(&CounterKey { pool: pool.clone(), dimension }, &row).unwrap();
            }
        }
        let batch = txn.finish();
        store.commit(&batch).unwrap();
        store
    }

    fn figures(store: &MemoryStore) -> Live {
        let mut figures = Figures::new(WallMs(0));
        figures.add(store, &|| false).unwrap();
        figures.live
    }

    fn sum(text: &str, start: &str) -> u64 {
        let lines = text.lines().filter(|line| line.starts_with(start) && line.contains("QUEUED"));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    #[test]
    fn who_waits_longest_is_found_behind_other_lines_of_the_same_queue() {
        let store = MemoryStore::new();
        let mut grid = Grid::new();
        let settings = Config::load(None, &[]).unwrap().settings;
        for (second, (id, priority, job)) in
            [("t-1", 0, "a"), ("t-2", 9, "b"), ("t-3", 0, "a")].iter().enumerate()
        {
            let task =
                format!(r#"{{"id":"{id}","queue":"q","priority":{priority},"job":"{job}","command":["x"]}}"#);
            let value = format!(r#"{{"v":1,"type":"submit","pool":"p","task":{task}}}"#);
            let command = decode_command(value.as_bytes(), &Defaults::from(&settings)).unwrap();
            let at = 1_000 * (second as u64 + 1);
            let input = BatchInput {
                local: vec![Local::Configured(Box::new(settings.clone()))],
                status: Vec::new(),
                commands: vec![CommandInput::Command(command)],
                now: Now { processor: ProcessorMs(at), wall: WallMs(at) },
                rewrite: Vec::new(),
            };
            let decided = grid.decide(&store, input).unwrap();
            store.commit(&decided.batch).unwrap();
        }
        let mut figures = Figures::new(WallMs(11_000));
        figures.add(&store, &|| false).unwrap();
        let text = Metrics::new().render(&figures.live);
        assert!(text.contains("yardmaster_queue_oldest_seconds{pool=\"p\",queue=\"q\"} 10\n"), "{text}");
        assert_eq!(sum(&text, "yardmaster_queue_tasks{"), 3);
    }

    #[test]
    fn every_pool_is_counted_however_many_tags_there_are() {
        let live = figures(&store(3, 2_000, 0));
        let queued: Vec<u64> = live.pools().map(|(_, pool)| pool.tasks.of(TaskState::Queued)).collect();
        assert_eq!(queued, [1, 1, 1]);
    }

    #[test]
    fn thousands_of_queues_are_few_series_and_none_is_lost() {
        let text = Metrics::new().render(&figures(&store(40, 10, 100)));
        assert_eq!(sum(&text, "yardmaster_tasks{"), 40);
        assert_eq!(sum(&text, "yardmaster_queue_tasks{"), 4_000);
        let others = format!(
            "yardmaster_queue_tasks{{pool=\"{OVERFLOW}\",queue=\"{OVERFLOW}\",state=\"QUEUED\"}} 3970"
        );
        assert!(text.contains(&others), "{text}");
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!(series < 700, "{series}");
    }
}
