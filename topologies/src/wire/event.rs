//! What happened, as it stands on `events`.

use std::sync::Arc;

use std::collections::BTreeMap;

use crate::id::{
    Attempt, Generation, Incarnation, JobId, Pool, Priority, QueueName, RequestId, TaskId, WorkerName,
};
use crate::task::{ClosedAttempt, EndedTask, Json, Reason, TaskState};
use crate::time::WallMs;
use crate::wire::{BatchLog, RefusedReason};

/// Something about a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFact {
    /// The pool of the registration.
    pub pool: Pool,
    /// Who.
    pub worker: WorkerName,
    /// Which life.
    pub incarnation: Incarnation,
    /// Why, where there is a choice: lost by lease or channel, left by goodbye or replaced.
    pub reason: Option<Reason>,
    /// When.
    pub at: WallMs,
}

/// Which records of an input topic a batch took: `from` inclusive, `to` exclusive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InputRange {
    /// The first offset.
    pub from: i64,
    /// The offset after the last.
    pub to: i64,
}

/// A record on `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A task was taken in, or was known already with the same spec.
    Accepted {
        /// Its pool.
        pool: Pool,
        /// Which.
        id: TaskId,
        /// Its job.
        job: Option<JobId>,
        /// Its queue.
        queue: QueueName,
        /// Its priority.
        priority: Priority,
        /// Its tags.
        tags: BTreeMap<String, String>,
        /// Counts operator requeues.
        generation: Generation,
        /// Where it stands now.
        state: TaskState,
        /// The request that asked.
        request_id: Option<RequestId>,
        /// It was known already: nothing was changed.
        repeated: bool,
        /// When.
        at: WallMs,
    },
    /// A command was not done.
    Refused {
        /// The pool of the command.
        pool: Pool,
        /// The request that asked.
        request_id: Option<RequestId>,
        /// The task that it named.
        id: Option<TaskId>,
        /// The job that it named.
        job: Option<JobId>,
        /// The worker that it named.
        worker: Option<WorkerName>,
        /// The command's type.
        action: String,
        /// Why.
        reason: RefusedReason,
        /// The field at fault, as a path.
        field: Option<String>,
        /// One sentence for a person.
        detail: String,
        /// When.
        at: WallMs,
    },
    /// An attempt was opened.
    Assigned {
        /// Its pool.
        pool: Pool,
        /// Which task.
        id: TaskId,
        /// Its job.
        job: Option<JobId>,
        /// Its queue.
        queue: QueueName,
        /// Which attempt.
        attempt: Attempt,
        /// Who got it.
        worker: WorkerName,
        /// Which life of that worker.
        incarnation: Incarnation,
        /// Counts operator requeues.
        generation: Generation,
        /// When.
        at: WallMs,
    },
    /// An attempt's program runs.
    Started {
        /// Its pool.
        pool: Pool,
        /// Which task.
        id: TaskId,
        /// Which attempt.
        attempt: Attempt,
        /// Who runs it.
        worker: WorkerName,
        /// Which life of that worker.
        incarnation: Incarnation,
        /// When.
        at: WallMs,
    },
    /// A note on the way.
    Progress {
        /// Its pool.
        pool: Pool,
        /// Which task.
        id: TaskId,
        /// Which attempt.
        attempt: Attempt,
        /// Who runs it.
        worker: WorkerName,
        /// Which life of that worker.
        incarnation: Incarnation,
        /// What the worker said.
        note: Option<Json>,
        /// When.
        at: WallMs,
    },
    /// An attempt is over and the task is not.
    AttemptClosed {
        /// Its pool.
        pool: Pool,
        /// Which task.
        id: TaskId,
        /// Counts operator requeues.
        generation: Generation,
        /// The whole attempt; its `closed_at` is the event's time.
        closed: Box<ClosedAttempt>,
        /// Where the task goes.
        next: TaskState,
        /// The end of its backoff.
        due: Option<WallMs>,
    },
    /// The task is terminal.
    Ended {
        /// The whole record; its `ended_at` is the event's time.
        task: Arc<EndedTask>,
        /// The attempt that was open and is closed by this.
        closes_attempt: Option<Attempt>,
    },
    /// Any other change of state: out of a backoff, cancelling asked for.
    State {
        /// Its pool.
        pool: Pool,
        /// Which task.
        id: TaskId,
        /// Its job.
        job: Option<JobId>,
        /// Its queue.
        queue: QueueName,
        /// Counts operator requeues.
        generation: Generation,
        /// Where it stands now.
        state: TaskState,
        /// Why.
        reason: Reason,
        /// What a person said.
        note: Option<String>,
        /// When.
        at: WallMs,
    },
    /// A worker said hello and may get work.
    WorkerJoined(WorkerFact),
    /// A worker's lease or channel is gone.
    WorkerLost(WorkerFact),
    /// A worker said goodbye, or a newer incarnation took its place.
    WorkerLeft(WorkerFact),
    /// A worker gets nothing new.
    WorkerDrained(WorkerFact),
    /// A worker gets work again.
    WorkerUndrained(WorkerFact),
    /// A copy of the batch record: what was taken together.
    Batch {
        /// The processor's partition.
        partition: i32,
        /// The batch's number.
        sequence: u64,
        /// From `tasks`.
        tasks: InputRange,
        /// From `status`.
        status: InputRange,
        /// The time of all its decisions.
        at: WallMs,
        /// What else a replay needs; boxed, since all other events are smaller.
        log: Option<Box<BatchLog>>,
    },
}

impl Event {
    /// The pool that it is about; a `batch` is about all pools of a partition.
    #[must_use]
    pub fn pool(&self) -> Option<&Pool> {
        match self {
            Self::Accepted { pool, .. }
            | Self::Refused { pool, .. }
            | Self::Assigned { pool, .. }
            | Self::Started { pool, .. }
            | Self::Progress { pool, .. }
            | Self::AttemptClosed { pool, .. }
            | Self::State { pool, .. } => Some(pool),
            Self::Ended { task, .. } => Some(&task.spec.pool),
            Self::WorkerJoined(fact)
            | Self::WorkerLost(fact)
            | Self::WorkerLeft(fact)
            | Self::WorkerDrained(fact)
            | Self::WorkerUndrained(fact) => Some(&fact.pool),
            Self::Batch { .. } => None,
        }
    }

    /// The task that it is about.
    #[must_use]
    pub fn task_id(&self) -> Option<&TaskId> {
        match self {
            Self::Accepted { id, .. }
            | Self::Assigned { id, .. }
            | Self::Started { id, .. }
            | Self::Progress { id, .. }
            | Self::AttemptClosed { id, .. }
            | Self::State { id, .. } => Some(id),
            Self::Refused { id, .. } => id.as_ref(),
            Self::Ended { task, .. } => Some(&task.spec.id),
            Self::WorkerJoined(_)
            | Self::WorkerLost(_)
            | Self::WorkerLeft(_)
            | Self::WorkerDrained(_)
            | Self::WorkerUndrained(_)
            | Self::Batch { .. } => None,
        }
    }

    /// The record's key: `pool/id`, or `pool` where there is no task, or `#batch`, which is no pool's name.
    #[must_use]
    pub fn key(&self) -> String {
        match (self.pool(), self.task_id()) {
            (Some(pool), Some(id)) => format!("{pool}/{id}"),
            (Some(pool), None) => pool.to_string(),
            (None, _) => "#batch".to_owned(),
        }
    }

    /// When it happened.
    #[must_use]
    pub fn at(&self) -> WallMs {
        match self {
            Self::Accepted { at, .. }
            | Self::Refused { at, .. }
            | Self::Assigned { at, .. }
            | Self::Started { at, .. }
            | Self::Progress { at, .. }
            | Self::State { at, .. }
            | Self::Batch { at, .. } => *at,
            Self::AttemptClosed { closed, .. } => closed.closed_at,
            Self::Ended { task, .. } => task.ended_at,
            Self::WorkerJoined(fact)
            | Self::WorkerLost(fact)
            | Self::WorkerLeft(fact)
            | Self::WorkerDrained(fact)
            | Self::WorkerUndrained(fact) => fact.at,
        }
    }

    /// The `type` on the wire.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Refused { .. } => "refused",
            Self::Assigned { .. } => "assigned",
            Self::Started { .. } => "started",
            Self::Progress { .. } => "progress",
            Self::AttemptClosed { .. } => "attempt_closed",
            Self::Ended { .. } => "ended",
            Self::State { .. } => "state",
            Self::WorkerJoined(_) => "worker_joined",
            Self::WorkerLost(_) => "worker_lost",
            Self::WorkerLeft(_) => "worker_left",
            Self::WorkerDrained(_) => "worker_drained",
            Self::WorkerUndrained(_) => "worker_undrained",
            Self::Batch { .. } => "batch",
        }
    }
}
