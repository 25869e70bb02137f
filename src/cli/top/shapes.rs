//! What a server's answers look like, as far as they are shown. What is missing is empty: an older server is no error.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Tasks by state.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Numbers {
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) live: u64,
    pub(super) total: u64,
}

impl Numbers {
    fn of(&self, states: &[&str]) -> u64 {
        states.iter().filter_map(|state| self.counts.get(*state)).sum()
    }

    /// Not given to a worker yet.
    pub(super) fn waiting(&self) -> u64 {
        self.of(&["BLOCKED", "SCHEDULED", "QUEUED", "HELD"])
    }

    /// With a worker.
    pub(super) fn running(&self) -> u64 {
        self.of(&["ASSIGNED", "RUNNING", "CANCELLING"])
    }

    /// Ended in a way that somebody may want to look at.
    pub(super) fn failed(&self) -> u64 {
        self.of(&["FAILED", "EXPIRED", "ABORTED"])
    }

    /// Over.
    pub(super) fn ended(&self) -> u64 {
        self.total.saturating_sub(self.live)
    }

    /// These and those.
    pub(super) fn add(&mut self, other: &Self) {
        self.live += other.live;
        self.total += other.total;
        for (state, number) in &other.counts {
            *self.counts.entry(state.clone()).or_default() += number;
        }
    }
}

/// A pool in the list of pools.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pool {
    pub(super) pool: String,
    #[serde(flatten)]
    pub(super) numbers: Numbers,
    /// Counted from its workers; none when they were not asked for.
    #[serde(skip)]
    pub(super) slots: Option<Slots>,
}

/// Who works in a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slots {
    pub(super) workers: u64,
    /// LOST or SUSPECT.
    pub(super) missing: u64,
    pub(super) slots: u64,
    pub(super) open: u64,
}

impl Slots {
    /// Of these workers; those that have left have no slots.
    pub(super) fn of(workers: &[Worker]) -> Self {
        let mut sum = Self::default();
        for worker in workers {
            match worker.state.as_str() {
                "GONE" => {}
                "LOST" => sum.missing += 1,
                state => {
                    sum.workers += 1;
                    sum.missing += u64::from(state == "SUSPECT");
                    sum.slots += worker.slots;
                    sum.open += worker.open;
                }
            }
        }
        sum
    }

    /// These and those.
    pub(super) fn add(&mut self, other: Self) {
        self.workers += other.workers;
        self.missing += other.missing;
        self.slots += other.slots;
        self.open += other.open;
    }
}

/// A processor: one partition, and who serves it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Processor {
    pub(super) partition: i32,
    /// The instance's address; empty while nobody serves it.
    #[serde(skip)]
    pub(super) url: String,
    /// That instance answered, and has it.
    #[serde(skip)]
    pub(super) is_served: bool,
    pub(super) sequence: u64,
    pub(super) tasks: u64,
    pub(super) status: u64,
}

/// A queue.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Queue {
    pub(super) queue: String,
    #[serde(flatten)]
    pub(super) numbers: Numbers,
}

/// Counts of one pool.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stats {
    #[serde(flatten)]
    pub(super) numbers: Numbers,
    pub(super) queues: Vec<Queue>,
    pub(super) workers: BTreeMap<String, u64>,
    pub(super) slots: u64,
    pub(super) open: u64,
    pub(super) truncated: Vec<String>,
}

/// How long something took, of what happened lately.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lengths {
    pub(super) p50_ms: Option<u64>,
    pub(super) p99_ms: Option<u64>,
    pub(super) max_ms: Option<u64>,
}

/// What happened lately, as far as it was measured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lately {
    pub(super) queue_wait: Lengths,
    pub(super) run_time: Lengths,
}

/// A job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Job {
    pub(super) job: String,
    pub(super) state: String,
    pub(super) cancelled: bool,
    pub(super) created_at_ms: u64,
    pub(super) done_at_ms: Option<u64>,
    #[serde(flatten)]
    pub(super) numbers: Numbers,
}

/// A worker.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Worker {
    pub(super) worker: String,
    pub(super) state: String,
    pub(super) drained_by_operator: bool,
    pub(super) slots: u64,
    pub(super) open: u64,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) hello_at_ms: u64,
    pub(super) seen_at_ms: Option<u64>,
}

/// A task in a list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) queue: String,
    pub(super) job: Option<String>,
    pub(super) priority: i64,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) command: Vec<String>,
    pub(super) attempt: u64,
    pub(super) failures: u64,
    pub(super) losses: u64,
    pub(super) submitted_at_ms: u64,
    pub(super) since_at_ms: u64,
    pub(super) started_at_ms: Option<u64>,
    pub(super) ended_at_ms: Option<u64>,
    pub(super) reason: String,
    pub(super) note: Option<String>,
    pub(super) worker: Option<String>,
    pub(super) progress: Value,
    pub(super) exit_code: Option<i64>,
}

/// A moment of a task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Moment {
    pub(super) at_ms: u64,
    pub(super) what: String,
    pub(super) attempt: Option<u64>,
    pub(super) worker: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) reason: Option<String>,
}

/// A task with all that happened to it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct TaskDetail {
    #[serde(flatten)]
    pub(super) task: Task,
    pub(super) result: Value,
    pub(super) attempts: Vec<Value>,
    pub(super) timeline: Vec<Moment>,
}

/// The beginning of a list.
#[derive(Debug, Clone, Default)]
pub(super) struct List<T> {
    pub(super) rows: Vec<T>,
    pub(super) has_more: bool,
}

/// The whole grid.
#[derive(Debug, Clone, Default)]
pub(super) struct Grid {
    pub(super) pools: List<Pool>,
    pub(super) processors: Vec<Processor>,
    pub(super) instances: usize,
    /// Instances that are known and do not answer.
    pub(super) silent: Vec<String>,
}

/// What a screen is about, above its list.
#[derive(Debug, Clone)]
pub(super) enum Head {
    /// A pool.
    Pool(Box<Stats>, Lately),
    /// A queue.
    Queue(Numbers, Lately),
    /// A job.
    Job(Box<Job>),
    /// A worker.
    Worker(Box<Worker>),
}

/// The rows of a list of a pool.
#[derive(Debug, Clone)]
pub(super) enum Rows {
    /// Queues.
    Queues(List<Queue>),
    /// Jobs.
    Jobs(List<Job>),
    /// Workers.
    Workers(List<Worker>),
    /// Tasks.
    Tasks(List<Task>),
}

/// What was found for a screen.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// All pools and processors.
    Grid(Grid),
    /// A list of one pool.
    Pool(Head, Rows),
    /// One task.
    Task(Box<TaskDetail>),
}
