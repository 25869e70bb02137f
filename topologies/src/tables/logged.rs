//! The logged tables that `dispatch` writes, and the index rows that follow from tasks, workers and leases.

use serde::{Deserialize, Serialize};
use yardmaster_state::{Derived, KeyWriter, StateError, Table, TableClass};

use super::{
    ByJobTable, ByQueueTable, ByTagTable, ByWorkerTable, ForgetTable, LeaseDueTable, LeftTable, Line,
    ReadyKey, ReadyTable, TimerKey, TimerKind, TimerTable, byte, open,
};
use crate::id::{JobId, Pool, ReadySeq, TaskId, WorkerName};
use crate::settings::Settings;
use crate::task::{Json, LiveTask, TaskRow, TaskState};
use crate::time::{ProcessorMs, WallMs};
use crate::worker::{LeaseRow, WorkerRow};

/// A logged table whose key is a pool and one more name.
macro_rules! named {
    ($(#[$doc:meta])* $table:ident, $byte:expr, $text:literal, $name:ident, $row:ty, $indexed:literal, $derive:expr, $hot:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $table {}

        impl Table for $table {
            const ID: u8 = $byte;
            const NAME: &'static str = $text;
            const CLASS: TableClass = TableClass::Logged;
            const VERSION: u8 = 1;
            const INDEXED: bool = $indexed;
            type Key = (Pool, $name);
            type Row = $row;

            fn key((pool, name): &Self::Key) -> Vec<u8> {
                KeyWriter::new(Self::ID).str(pool.as_str()).tail(name.as_str()).finish()
            }

            fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
                let mut key = open::<Self>(bytes)?;
                Ok((Pool::trusted(key.str()?), $name::trusted(key.tail()?)))
            }

            fn derive(key: &Self::Key, old: Option<&$row>, new: Option<&$row>, out: &mut Derived) {
                let derive: fn(&Self::Key, Option<&$row>, Option<&$row>, &mut Derived) = $derive;
                derive(key, old, new, out);
            }

            fn is_hot(row: &$row) -> bool {
                let is_hot: fn(&$row) -> bool = $hot;
                is_hot(row)
            }
        }
    };
}

named!(
    /// Tasks: live ones, and the markers of ended ones.
    TaskTable, byte::TASK, "task", TaskId, TaskRow, true, derive_task, is_open
);
named!(
    /// Payloads that are too large to be written again with every change of the task.
    PayloadTable, byte::PAYLOAD, "payload", TaskId, Json, false, |_, _, _, _| {}, |_| false
);
named!(
    /// Registrations.
    WorkerTable, byte::WORKER, "worker", WorkerName, WorkerRow, true, derive_worker, |row| row.left_at.is_none()
);
named!(
    /// Leases: what a heartbeat changes.
    LeaseTable, byte::LEASE, "lease", WorkerName, LeaseRow, true, derive_lease, |_| true
);
named!(
    /// Cancelled jobs.
    JobCancelTable, byte::JOB_CANCEL, "job_cancel", JobId, JobCancel, false, |_, _, _, _| {}, |_| false
);

/// A worker is about to say something about it. There are not more of them than slots.
fn is_open(row: &TaskRow) -> bool {
    match row {
        TaskRow::Live(task) => task.open.is_some(),
        TaskRow::Done(_) => false,
    }
}

/// The flag of a cancelled job: dispatch passes over its tasks at once, a bounded sweep ends them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCancel {
    /// What the canceller said.
    pub note: String,
    /// When.
    pub at: WallMs,
    /// The sweep has not come to the end yet.
    pub is_sweeping: bool,
}

/// The next places in the ready order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequences {
    /// For the next task that comes in; counts up.
    pub back: ReadySeq,
    /// For the next task that goes to the front; counts down.
    pub front: ReadySeq,
}

impl Default for Sequences {
    fn default() -> Self {
        Self { back: ReadySeq(0), front: ReadySeq(-1) }
    }
}

/// A table with one row.
macro_rules! single {
    ($(#[$doc:meta])* $table:ident, $byte:expr, $text:literal, $row:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $table {}

        impl Table for $table {
            const ID: u8 = $byte;
            const NAME: &'static str = $text;
            const CLASS: TableClass = TableClass::Logged;
            const VERSION: u8 = 1;
            const INDEXED: bool = false;
            type Key = ();
            type Row = $row;

            fn key((): &Self::Key) -> Vec<u8> {
                KeyWriter::new(Self::ID).finish()
            }

            fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
                open::<Self>(bytes)?.end()
            }
        }
    };
}

single!(
    /// The settings that decisions depend on.
    SettingsTable, byte::SETTINGS, "settings", Settings
);
single!(
    /// The next places in the ready order.
    SequencesTable, byte::SEQUENCES, "sequences", Sequences
);

/// Topics for replies that are known to exist.
#[derive(Debug)]
pub enum ReplyTopicTable {}

impl Table for ReplyTopicTable {
    const ID: u8 = byte::REPLY_TOPIC;
    const NAME: &'static str = "reply_topic";
    const CLASS: TableClass = TableClass::Logged;
    const VERSION: u8 = 1;
    const INDEXED: bool = false;
    type Key = String;
    type Row = ();

    fn key(topic: &Self::Key) -> Vec<u8> {
        KeyWriter::new(Self::ID).tail(topic).finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        Ok(open::<Self>(bytes)?.tail()?.to_owned())
    }
}

impl LiveTask {
    /// The line that it stands in while it is QUEUED.
    #[must_use]
    pub fn line(&self) -> Line {
        Line {
            pool: self.spec.pool.clone(),
            priority: self.spec.priority,
            queue: self.spec.queue.clone(),
            job: self.spec.job.clone(),
            class: 0,
        }
    }
}

fn live(row: Option<&TaskRow>) -> Option<&LiveTask> {
    match row {
        Some(TaskRow::Live(task)) => Some(task),
        Some(TaskRow::Done(_)) | None => None,
    }
}

fn forget_at(row: Option<&TaskRow>) -> Option<ProcessorMs> {
    match row {
        Some(TaskRow::Done(marker)) => Some(marker.forget_at),
        Some(TaskRow::Live(_)) | None => None,
    }
}

/// Moves the index row that follows from a row: from the key that the old one names to the one that the new one names.
fn shift<T: Table>(old: Option<T::Key>, new: Option<T::Key>, row: &T::Row, out: &mut Derived)
where
    T::Key: PartialEq,
{
    if old != new {
        if let Some(key) = old {
            out.delete::<T>(&key);
        }
        if let Some(key) = new {
            out.put::<T>(&key, row);
        }
    }
}

fn derive_task((pool, id): &(Pool, TaskId), old: Option<&TaskRow>, new: Option<&TaskRow>, out: &mut Derived) {
    let forget = |row| forget_at(row).map(|at| (at, pool.clone(), id.clone()));
    shift::<ForgetTable>(forget(old), forget(new), &(), out);

    let (old, new) = (live(old), live(new));
    let place = |task: Option<&LiveTask>| {
        let task = task.filter(|task| task.state == TaskState::Queued)?;
        Some(ReadyKey { line: task.line(), seq: task.seq })
    };
    shift::<ReadyTable>(place(old), place(new), id, out);

    let timer = |task: Option<&LiveTask>, kind| {
        let at =
            task.and_then(|task| if kind == TimerKind::State { task.timer_at } else { task.ttl_due() })?;
        Some(TimerKey { at, pool: pool.clone(), kind, id: id.clone() })
    };
    for kind in [TimerKind::State, TimerKind::Ttl] {
        shift::<TimerTable>(timer(old, kind), timer(new, kind), &(), out);
    }

    let holder = |task: Option<&LiveTask>| {
        let open = task.and_then(|task| task.open.as_ref())?;
        Some((pool.clone(), open.worker.clone(), id.clone()))
    };
    shift::<ByWorkerTable>(holder(old), holder(new), &(), out);
    derive_lists(pool, id, old, new, out);
}

/// The lists that people look at hold live tasks only, and a task's queue, job and tags never change while it lives.
fn derive_lists(pool: &Pool, id: &TaskId, old: Option<&LiveTask>, new: Option<&LiveTask>, out: &mut Derived) {
    match (old, new) {
        (None, Some(task)) => {
            out.put::<ByQueueTable>(&(pool.clone(), task.spec.queue.clone(), id.clone()), &());
            if let Some(job) = &task.spec.job {
                out.put::<ByJobTable>(&(pool.clone(), job.clone(), id.clone()), &());
            }
            for (name, value) in &task.spec.tags {
                out.put::<ByTagTable>(&(pool.clone(), name.clone(), value.clone(), id.clone()), &());
            }
        }
        (Some(task), None) => {
            out.delete::<ByQueueTable>(&(pool.clone(), task.spec.queue.clone(), id.clone()));
            if let Some(job) = &task.spec.job {
                out.delete::<ByJobTable>(&(pool.clone(), job.clone(), id.clone()));
            }
            for (name, value) in &task.spec.tags {
                out.delete::<ByTagTable>(&(pool.clone(), name.clone(), value.clone(), id.clone()));
            }
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
}

fn derive_worker(
    (pool, worker): &(Pool, WorkerName),
    old: Option<&WorkerRow>,
    new: Option<&WorkerRow>,
    out: &mut Derived,
) {
    let left = |row: Option<&WorkerRow>| {
        row.and_then(|row| row.left_at).map(|at| (at, pool.clone(), worker.clone()))
    };
    shift::<LeftTable>(left(old), left(new), &(), out);
}

fn derive_lease(
    (pool, worker): &(Pool, WorkerName),
    old: Option<&LeaseRow>,
    new: Option<&LeaseRow>,
    out: &mut Derived,
) {
    let due = |row: Option<&LeaseRow>| row.map(|row| (row.due_at(), pool.clone(), worker.clone()));
    shift::<LeaseDueTable>(due(old), due(new), &(), out);
}
