//! The JSON of tasks, jobs, queues, workers and pools: stable, and described in the OpenAPI document. Absent options are
//! left out; `*_at_ms` are milliseconds since 1970.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use yardmaster_topologies::id::{JobId, Pool, WorkerName};
use yardmaster_topologies::job::JobRow;
use yardmaster_topologies::task::{Counts, TaskState};
use yardmaster_topologies::worker::{LeaseRow, WorkerRow};

/// Tasks by state; states that none is in are left out.
pub(crate) type CountsView = BTreeMap<&'static str, u64>;

/// JSON that is passed on as it is.
pub(crate) type Verbatim = Box<RawValue>;

/// Anything that serialises, as JSON text.
pub(crate) fn verbatim(value: &impl Serialize) -> Option<Verbatim> {
    serde_json::value::to_raw_value(value).ok()
}

fn counts_view(counts: &Counts) -> CountsView {
    let numbers = TaskState::ALL.into_iter().map(|state| (state.name(), counts.of(state)));
    numbers.filter(|(_, number)| *number > 0).collect()
}

/// Exact numbers of tasks.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Numbers {
    /// By state.
    #[schema(value_type = BTreeMap<String, u64>)]
    counts: CountsView,
    /// Not terminal.
    live: u64,
    /// All.
    total: u64,
}

impl From<&Counts> for Numbers {
    fn from(counts: &Counts) -> Self {
        Self { counts: counts_view(counts), live: counts.live(), total: counts.total() }
    }
}

/// A pool with its tasks.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PoolView {
    /// Its name.
    pub(crate) pool: String,
    /// The partition that decides about it.
    pub(crate) partition: i32,
    /// Its tasks.
    #[serde(flatten)]
    pub(crate) numbers: Numbers,
}

/// A queue with its tasks.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct QueueView {
    /// Its pool.
    pub(crate) pool: String,
    /// Its name.
    pub(crate) queue: String,
    /// Its tasks.
    #[serde(flatten)]
    pub(crate) numbers: Numbers,
}

/// A tag with its tasks.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TagView {
    /// The tag's name.
    pub(crate) name: String,
    /// The tag's value.
    pub(crate) value: String,
    /// Its tasks.
    #[serde(flatten)]
    pub(crate) numbers: Numbers,
}

/// A job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct JobView {
    /// Its pool.
    pool: String,
    /// Its id.
    job: String,
    /// ACTIVE while one of its tasks is live, else DONE.
    state: &'static str,
    /// Whether it was cancelled.
    cancelled: bool,
    /// When its first task was accepted.
    created_at_ms: u64,
    /// When its last live task ended; absent while ACTIVE.
    #[serde(skip_serializing_if = "Option::is_none")]
    done_at_ms: Option<u64>,
    /// Its tasks that ended.
    ended: u64,
    /// The ended part of all: 0 to 1.
    progress: f64,
    /// Its tasks.
    #[serde(flatten)]
    numbers: Numbers,
}

/// The state that a job is in.
pub(crate) fn job_state(row: &JobRow) -> &'static str {
    if row.counts.live() > 0 { "ACTIVE" } else { "DONE" }
}

impl JobView {
    /// A job as it is shown.
    pub(crate) fn new(pool: &Pool, job: &JobId, row: &JobRow, cancelled: bool) -> Self {
        let numbers = Numbers::from(&row.counts);
        let ended = numbers.total - numbers.live;
        // Jobs of more than 2^52 tasks may be off by a little.
        let progress = if numbers.total == 0 { 1.0 } else { ended as f64 / numbers.total as f64 };
        Self {
            pool: pool.to_string(),
            job: job.to_string(),
            state: job_state(row),
            cancelled,
            created_at_ms: row.created_at.0,
            done_at_ms: row.done_at.map(|at| at.0),
            ended,
            progress,
            numbers,
        }
    }
}

/// A worker's registration.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct WorkerView {
    /// Its pool.
    pool: String,
    /// Its name.
    worker: String,
    /// Its present life.
    incarnation: String,
    /// JOINING, ACTIVE, SUSPECT, DRAINING, LOST or GONE.
    state: &'static str,
    /// An operator drained it.
    drained_by_operator: bool,
    /// How many attempts it may have open.
    slots: u32,
    /// How many it has open, by the server's count.
    open: u32,
    /// Free slots by its own count, in its last heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    free_slots: Option<u32>,
    /// Free words about it.
    labels: BTreeMap<String, String>,
    /// Whether its channel is known to exist.
    channel_ready: bool,
    /// When it said hello.
    hello_at_ms: u64,
    /// When its last heartbeat was taken in.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_at_ms: Option<u64>,
}

impl WorkerView {
    /// A worker as it is shown.
    pub(crate) fn new(pool: &Pool, worker: &WorkerName, row: &WorkerRow, lease: Option<&LeaseRow>) -> Self {
        Self {
            pool: pool.to_string(),
            worker: worker.to_string(),
            incarnation: row.incarnation.to_string(),
            state: row.shown_state(),
            drained_by_operator: row.drained_by_operator,
            slots: row.slots,
            open: row.open,
            free_slots: lease.map(|lease| lease.free_slots),
            labels: row.labels.clone(),
            channel_ready: row.channel_ready,
            hello_at_ms: row.hello_at.0,
            seen_at_ms: lease.map(|lease| lease.seen_at.0),
        }
    }
}
