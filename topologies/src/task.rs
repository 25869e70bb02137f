//! A task and its attempts, as the store remembers them. The transition table is in `dispatch`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{
    Attempt, Generation, Incarnation, JobId, MessageSeq, Pool, Priority, QueueName, ReadySeq, TaskId,
    WorkerName,
};
pub use crate::reason::Reason;
use crate::time::{Millis, ProcessorMs, WallMs};

/// JSON text that is carried and never looked into.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub Arc<str>);

/// Where a payload or result lies that is too large to be carried.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContentRef {
    /// Where to fetch it; opaque here.
    pub uri: String,
    /// Lower-case hex of its SHA-256.
    pub sha256: String,
}

/// How often a task may be tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retry {
    /// The task has FAILED when this many attempts failed; 1 is no retry.
    pub max_failures: u32,
    /// The task has FAILED when this many attempts were lost with their worker.
    pub max_losses: u32,
    /// Wait before the second attempt; doubles with every failure.
    pub backoff: Millis,
    /// The longest wait.
    pub backoff_max: Millis,
    /// Which of these were asked for; the others are what the server gave when the task came in.
    pub given: RetryGiven,
}

/// Which parts of a [`Retry`] the submitter said: only these tell one submit from another, so that a server's new
/// defaults don't turn a repeated submit into a conflict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RetryGiven {
    /// `max_failures`.
    pub max_failures: bool,
    /// `max_losses`.
    pub max_losses: bool,
    /// `backoff_ms`.
    pub backoff: bool,
    /// `backoff_max_ms`.
    pub backoff_max: bool,
}

impl RetryGiven {
    /// Everything was said.
    pub const ALL: Self = Self { max_failures: true, max_losses: true, backoff: true, backoff_max: true };
}

/// What the user asked for. Immutable; two submits of which the same was asked are the same submit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Unique inside the pool.
    pub id: TaskId,
    /// The grid it runs on.
    pub pool: Pool,
    /// The line it waits in.
    pub queue: QueueName,
    /// The job it belongs to.
    pub job: Option<JobId>,
    /// Higher is sooner.
    pub priority: Priority,
    /// Free labels to find it by.
    pub tags: BTreeMap<String, String>,
    /// Program and arguments; empty for workers that have one fixed command or a handler.
    pub command: Vec<String>,
    /// Added to the program's environment.
    pub env: BTreeMap<String, String>,
    /// The program's working directory.
    pub cwd: Option<String>,
    /// Given to the program on stdin.
    pub payload: Option<Json>,
    /// Instead of a payload that is too large.
    pub payload_ref: Option<ContentRef>,
    /// The longest time that one attempt may run.
    pub run_timeout: Option<Millis>,
    /// The longest time that it may wait without having been started once.
    pub queue_ttl: Option<Millis>,
    /// How often it may be tried.
    pub retry: Retry,
    /// A topic that gets the terminal event as well.
    pub reply_to: Option<String>,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskState {
    /// Waits for other tasks.
    Blocked,
    /// Waits for a moment: backoff or not-before.
    Scheduled,
    /// May be given to a worker.
    Queued,
    /// Held back by an operator.
    Held,
    /// Given to a worker that has not said that it started.
    Assigned,
    /// A worker runs it.
    Running,
    /// Its worker was told to stop it.
    Cancelling,
    /// Ended well.
    Completed,
    /// Out of tries.
    Failed,
    /// Ended by a person.
    Cancelled,
    /// Its time was over before it ended.
    Expired,
    /// Ended by the system.
    Aborted,
}

impl TaskState {
    /// All states, in the order of their numbers: the index into [`Counts`].
    pub const ALL: [Self; 12] = [
        Self::Blocked,
        Self::Scheduled,
        Self::Queued,
        Self::Held,
        Self::Assigned,
        Self::Running,
        Self::Cancelling,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
        Self::Aborted,
    ];

    /// Whether nothing but an operator's requeue changes it any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled | Self::Expired | Self::Aborted => true,
            Self::Blocked
            | Self::Scheduled
            | Self::Queued
            | Self::Held
            | Self::Assigned
            | Self::Running
            | Self::Cancelling => false,
        }
    }

    /// Whether an attempt is open.
    #[must_use]
    pub fn has_attempt(self) -> bool {
        matches!(self, Self::Assigned | Self::Running | Self::Cancelling)
    }

    /// The name on the wire, in metrics and in the console: `QUEUED`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocked => "BLOCKED",
            Self::Scheduled => "SCHEDULED",
            Self::Queued => "QUEUED",
            Self::Held => "HELD",
            Self::Assigned => "ASSIGNED",
            Self::Running => "RUNNING",
            Self::Cancelling => "CANCELLING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
            Self::Aborted => "ABORTED",
        }
    }

    /// The state that a wire name means.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// The worker reported success.
    Succeeded,
    /// The worker reported a failure.
    Failed,
    /// It ran longer than allowed.
    TimedOut,
    /// Its worker went away or forgot it.
    Lost,
    /// The worker did not take it.
    Rejected,
    /// It was stopped because the task was cancelled or expired.
    Cancelled,
}

impl Outcome {
    /// Only the worker itself can have said so. Of the others the server may have given up the attempt by itself.
    #[must_use]
    pub fn is_reported(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Rejected => true,
            Self::TimedOut | Self::Lost | Self::Cancelled => false,
        }
    }

    /// The name on the wire and in metrics: `SUCCEEDED`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Lost => "LOST",
            Self::Rejected => "REJECTED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// What an attempt used, as the worker measured it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// The largest resident set, in KiB.
    pub max_rss_kb: u64,
}

/// What a worker says about an attempt that ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The worker's own clock at the start, for display only.
    pub started_at: Option<WallMs>,
    /// The worker's own clock at the end, for display only.
    pub ended_at: Option<WallMs>,
    /// The program's exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended the program.
    pub signal: Option<i32>,
    /// JSON result, inline; kept of a success only.
    pub result: Option<Json>,
    /// Instead of a result that is too large.
    pub result_ref: Option<ContentRef>,
    /// CPU and memory.
    pub usage: Option<Usage>,
    /// The kind of failure: `exit`, `signal`, `timeout`, `spawn`, `handler`, or the worker's own word.
    pub error_kind: Option<String>,
    /// One line for a person.
    pub error_message: Option<String>,
    /// Whether trying again can help; absent means yes.
    pub retryable: Option<bool>,
    /// The last of stdout, at most 4 KiB.
    pub stdout_tail: Option<String>,
    /// The last of stderr, at most 4 KiB.
    pub stderr_tail: Option<String>,
}

/// An attempt that is going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAttempt {
    /// Who runs it.
    pub worker: WorkerName,
    /// Which life of that worker.
    pub incarnation: Incarnation,
    /// The life that it was given to, when a later one went on with it: the token stays that one's.
    pub given_to: Option<Incarnation>,
    /// The assignment's place in the worker's channel.
    pub seq: MessageSeq,
    /// When it was decided.
    pub assigned_at: WallMs,
    /// When the start was taken in; absent while ASSIGNED.
    pub started_at: Option<WallMs>,
    /// The last progress note, at most 1 KiB.
    pub progress: Option<Json>,
}

/// An attempt that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedAttempt {
    /// Which one.
    pub attempt: Attempt,
    /// Who ran it.
    pub worker: WorkerName,
    /// Which life of that worker.
    pub incarnation: Incarnation,
    /// When it was decided.
    pub assigned_at: WallMs,
    /// When the start was taken in, or when the worker says that it was, if that is sooner or no start was reported.
    pub started_at: Option<WallMs>,
    /// When it was closed.
    pub closed_at: WallMs,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in the fixed words of `reason.rs`.
    pub reason: Reason,
    /// What the worker said.
    pub report: Report,
}

/// Where a CANCELLING task goes when its attempt closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// CANCELLED or EXPIRED.
    pub target: TaskState,
    /// What the person said, or why the system did it.
    pub note: String,
}

/// A task that is not terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveTask {
    /// What was asked for. A payload above 1 KiB is not in here but in the payload table.
    pub spec: Arc<TaskSpec>,
    /// The payload lies in its own table.
    pub payload_apart: bool,
    /// XXH3 over what was submitted: tells a repeated submit from a different one. A requeue keeps it.
    pub spec_hash: u64,
    /// XXH3 over queue, job and tags, under which the task is counted for as long as its id is known.
    pub counted_hash: u64,
    /// XXH3 over the `request_id` of the requeue that began this generation: tells it from a repeated one.
    pub requeued_by: Option<u64>,
    /// Counts operator requeues.
    pub generation: Generation,
    /// Where it stands.
    pub state: TaskState,
    /// Its place among its equals.
    pub seq: ReadySeq,
    /// The last attempt that was opened.
    pub attempt: Attempt,
    /// Attempts that failed, in this generation.
    pub failures: u32,
    /// Attempts that were lost, in this generation.
    pub losses: u32,
    /// When it was accepted.
    pub submitted_at: WallMs,
    /// When it came into its state.
    pub since: WallMs,
    /// Why it came into its state.
    pub reason: Reason,
    /// The attempt that is going on; present exactly in ASSIGNED, RUNNING, CANCELLING.
    pub open: Option<OpenAttempt>,
    /// The end of a backoff, of the run timeout or of the cancel's grace: one timer per task and state.
    pub timer_at: Option<ProcessorMs>,
    /// The end of the queue TTL; cleared by the first start. It holds while no attempt is open: see [`LiveTask::ttl_due`].
    pub ttl_at: Option<ProcessorMs>,
    /// Present exactly in CANCELLING.
    pub stopping: Option<Stopping>,
    /// The attempts that are over, newest last; at most [`CLOSED_ATTEMPTS_MAX`], older ones are in `events` only.
    pub closed: Vec<ClosedAttempt>,
}

/// How many closed attempts a row keeps.
pub const CLOSED_ATTEMPTS_MAX: usize = 20;
/// Of how many of them, the newest, the output tails are kept: with the limit of a task, that keeps the record of an ended
/// task below the limit of a record.
pub const TAILS_MAX: usize = 3;

impl LiveTask {
    /// When its queue TTL is over, as long as no worker has it: back in its line, the time that passed counts.
    #[must_use]
    pub fn ttl_due(&self) -> Option<ProcessorMs> {
        self.ttl_at.filter(|_| !self.state.has_attempt())
    }
}

/// What is left of a terminal task for the dedup window: serves idempotent submits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneMarker {
    /// How it ended.
    pub state: TaskState,
    /// When, for people: also the history's hour.
    pub at: WallMs,
    /// When the marker may be forgotten.
    pub forget_at: ProcessorMs,
    /// Tells a repeated submit from a different one.
    pub spec_hash: u64,
    /// XXH3 over queue, job and tags: a requeue must name the same, since the task is counted there.
    pub counted_hash: u64,
    /// XXH3 over the `request_id` of the requeue that began this generation.
    pub requeued_by: Option<u64>,
    /// Counts operator requeues.
    pub generation: Generation,
    /// Attempt numbers never start again.
    pub attempt: Attempt,
    /// The worker of the last attempt said itself that it is over.
    pub is_reported: bool,
}

/// The row of a task id: live, or the marker that it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "most rows are live, and a box would cost an allocation at each read"
)]
pub enum TaskRow {
    /// Not terminal.
    Live(LiveTask),
    /// Terminal, inside the dedup window.
    Done(DoneMarker),
}

/// The whole record of a terminal task: in its terminal event and in history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTask {
    /// What was asked for, with its payload.
    pub spec: Arc<TaskSpec>,
    /// How it ended.
    pub state: TaskState,
    /// Why.
    pub reason: Reason,
    /// What the canceller said, if anyone did.
    pub note: Option<String>,
    /// Counts operator requeues.
    pub generation: Generation,
    /// The last attempt.
    pub attempt: Attempt,
    /// Attempts that failed.
    pub failures: u32,
    /// Attempts that were lost.
    pub losses: u32,
    /// When it was accepted.
    pub submitted_at: WallMs,
    /// When it ended.
    pub ended_at: WallMs,
    /// All attempts that the row still had.
    pub attempts: Vec<ClosedAttempt>,
}

/// Exact numbers of tasks by state, indexed as [`TaskState::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(pub [u64; 12]);
