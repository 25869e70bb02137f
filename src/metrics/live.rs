//! What stands in the stores at the time of a scrape: tasks, queues, workers, slots, sizes.

use std::collections::BTreeMap;

use yardmaster_state::DiskFigures;
use yardmaster_topologies::task::{Counts, TaskState};

use super::bounded::{Largest, OVERFLOW, Sum};
use super::families::Families;
use super::names;

/// Pools that have series of their own.
const POOLS_MAX: usize = 15;
/// Queues that have series of their own.
const QUEUES_MAX: usize = 30;

/// Numbers of one pool.
#[derive(Debug, Default)]
pub struct PoolFigures {
    /// Its tasks by state.
    pub tasks: Counts,
    /// Its workers by state, as people are shown it.
    pub workers: BTreeMap<&'static str, u64>,
    /// Slots of the workers that are here.
    pub slots: u64,
    /// Of these: with an open attempt.
    pub in_use: u64,
    /// Of these: to be given out.
    pub free: u64,
}

/// Numbers of one queue.
#[derive(Debug, Default)]
pub struct QueueFigures {
    /// Its tasks by state.
    pub tasks: Counts,
    /// How many seconds its first task has waited.
    pub oldest_seconds: Option<f64>,
}

/// Numbers of one partition's store.
#[derive(Debug, Default, Clone, Copy)]
pub struct StoreFigures {
    /// Which.
    pub partition: i32,
    /// The next offset of the changelog.
    pub changelog_end: i64,
    /// RocksDB's; absent where another store is used.
    pub disk: Option<DiskFigures>,
}

/// Numbers of one copy of another instance's partition.
#[derive(Debug, Default, Clone, Copy)]
pub struct StandbyFigures {
    /// Of which partition.
    pub partition: i32,
    /// Offsets that it has still to read.
    pub lag: i64,
    /// The age of its last batch, when there is something to read.
    pub lag_seconds: f64,
}

/// Numbers out of the stores, as of one scrape.
#[derive(Debug)]
pub struct Live {
    pools: Largest<String, PoolFigures>,
    queues: Largest<(String, String), QueueFigures>,
    /// By partition.
    pub stores: Vec<StoreFigures>,
    /// By partition.
    pub standbys: Vec<StandbyFigures>,
    /// Partitions by place: here, elsewhere, moving.
    pub places: [(&'static str, usize); 3],
    /// Partitions that are placed here and stand still, each with its cause.
    pub halts: Vec<(i32, &'static str)>,
    /// Whether the placement was seen lately.
    pub is_following: bool,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            pools: Largest::new(POOLS_MAX),
            queues: Largest::new(QUEUES_MAX),
            stores: Vec::new(),
            standbys: Vec::new(),
            places: [("here", 0), ("elsewhere", 0), ("moving", 0)],
            halts: Vec::new(),
            is_following: false,
        }
    }
}

impl Sum for PoolFigures {
    fn add(&mut self, other: &Self) {
        add_counts(&mut self.tasks, &other.tasks);
        for (state, count) in &other.workers {
            *self.workers.entry(state).or_default() += count;
        }
        self.slots += other.slots;
        self.in_use += other.in_use;
        self.free += other.free;
    }
}

impl Sum for QueueFigures {
    fn add(&mut self, other: &Self) {
        add_counts(&mut self.tasks, &other.tasks);
        self.oldest_seconds = match (self.oldest_seconds, other.oldest_seconds) {
            (Some(one), Some(two)) => Some(one.max(two)),
            (one, two) => one.or(two),
        };
    }
}

fn add_counts(sum: &mut Counts, other: &Counts) {
    sum.0.iter_mut().zip(other.0).for_each(|(sum, other)| *sum += other);
}

impl Live {
    /// One pool's; each pool once.
    pub fn add_pool(&mut self, pool: String, figures: PoolFigures) {
        // Pools in which something is to be done come first, then those with workers, then what is over.
        let size = figures.tasks.live().saturating_mul(1 << 20).saturating_add(figures.slots);
        self.pools.add(pool, size, figures);
    }

    /// One queue's; each queue once.
    pub fn add_queue(&mut self, pool: String, queue: String, figures: QueueFigures) {
        self.queues.add((pool, queue), figures.tasks.live(), figures);
    }

    /// Those of the pools that have a name.
    pub fn pools(&self) -> impl Iterator<Item = (&String, &PoolFigures)> {
        self.pools.named()
    }

    /// Those of all other pools together.
    #[must_use]
    pub fn other_pools(&self) -> Option<&PoolFigures> {
        self.pools.rest()
    }

    /// As series.
    pub(super) fn families(&self, out: &mut Families) {
        let pools = self.pools.named().map(|(pool, figures)| (pool.as_str(), figures));
        for (pool, figures) in pools.chain(self.pools.rest().map(|rest| (OVERFLOW, rest))) {
            pool_families(pool, figures, out);
        }
        let queues = self.queues.named();
        let queues = queues.map(|((pool, queue), figures)| ([pool.as_str(), queue.as_str()], figures));
        let rest = self.queues.rest().map(|rest| ([OVERFLOW, OVERFLOW], rest));
        for ([pool, queue], figures) in queues.chain(rest) {
            queue_families(pool, queue, figures, out);
        }
        for store in &self.stores {
            store_families(store, out);
        }
        out.gauge(&names::STANDBYS, &[], self.standbys.len() as f64);
        for standby in &self.standbys {
            let partition = standby.partition.to_string();
            out.gauge(&names::STANDBY_LAG, &[partition.as_str()], standby.lag as f64);
            out.gauge(&names::STANDBY_AGE, &[partition.as_str()], standby.lag_seconds);
        }
        for (place, count) in self.places {
            out.gauge(&names::PARTITIONS, &[place], count as f64);
        }
        for (partition, cause) in &self.halts {
            out.gauge(&names::HALTED, &[partition.to_string().as_str(), cause], 1.0);
        }
        out.gauge(&names::FOLLOWING, &[], f64::from(u8::from(self.is_following)));
    }
}

fn pool_families(pool: &str, figures: &PoolFigures, out: &mut Families) {
    for state in TaskState::ALL {
        out.gauge(&names::TASKS, &[pool, state.name()], figures.tasks.of(state) as f64);
    }
    for (state, count) in &figures.workers {
        out.gauge(&names::WORKERS, &[pool, state], *count as f64);
    }
    out.gauge(&names::SLOTS, &[pool], figures.slots as f64);
    out.gauge(&names::SLOTS_IN_USE, &[pool], figures.in_use as f64);
    out.gauge(&names::SLOTS_FREE, &[pool], figures.free as f64);
}

fn queue_families(pool: &str, queue: &str, figures: &QueueFigures, out: &mut Families) {
    for state in TaskState::ALL.into_iter().filter(|state| !state.is_terminal()) {
        out.gauge(&names::QUEUE_TASKS, &[pool, queue, state.name()], figures.tasks.of(state) as f64);
    }
    if let Some(seconds) = figures.oldest_seconds {
        out.gauge(&names::QUEUE_OLDEST, &[pool, queue], seconds);
    }
}

fn store_families(store: &StoreFigures, out: &mut Families) {
    let partition = store.partition.to_string();
    let partition = partition.as_str();
    out.gauge(&names::CHANGELOG_END, &[partition], store.changelog_end as f64);
    let Some(disk) = store.disk else { return };
    for (class, rows) in [("logged", disk.rows), ("index", disk.index_rows), ("history", disk.history_rows)] {
        out.gauge(&names::STORE_ROWS, &[partition, class], rows as f64);
    }
    for (files, bytes) in [("live", disk.live_file_bytes), ("total", disk.total_file_bytes)] {
        out.gauge(&names::STORE_BYTES, &[partition, files], bytes as f64);
    }
    for (metric, value) in [
        (&names::MEMTABLE_BYTES, disk.write_buffer_bytes),
        (&names::MEMTABLES, disk.immutable_memtables),
        (&names::PENDING_BYTES, disk.pending_compaction_bytes),
        (&names::COMPACTIONS, disk.running_compactions),
        (&names::WRITE_STOPPED, u64::from(disk.is_write_stopped)),
        (&names::WRITE_RATE, disk.delayed_write_rate),
        (&names::BACKGROUND_ERRORS, disk.background_errors),
    ] {
        out.gauge(metric, &[partition], value as f64);
    }
    for (metric, value) in [
        (&names::CACHE_BYTES, disk.block_cache_bytes),
        (&names::CACHE_PINNED, disk.block_cache_pinned_bytes),
        (&names::CACHE_CAPACITY, disk.block_cache_capacity_bytes),
    ] {
        // Shared by all stores: each says the same.
        out.gauge(metric, &[], value as f64);
    }
}
