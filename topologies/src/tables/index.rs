//! The index tables: they follow from logged rows and are never logged.

use yardmaster_state::{KeyWriter, StateError, Table, TableClass};

use super::{byte, open};
use crate::id::{JobId, Pool, Priority, QueueName, ReadySeq, TaskId, WorkerName};
use crate::memory::DueIndex;
use crate::time::ProcessorMs;

/// Tasks that are equal in all but their time: one line of the ready order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Its pool.
    pub pool: Pool,
    /// Higher is sooner.
    pub priority: Priority,
    /// Its queue.
    pub queue: QueueName,
    /// Its job.
    pub job: Option<JobId>,
    /// The class of resources asked for; 0 until there are resources.
    pub class: u32,
}

impl Line {
    /// The first bytes of all keys of this line.
    #[must_use]
    pub fn prefix(&self) -> Vec<u8> {
        self.writer().finish()
    }

    fn writer(&self) -> KeyWriter {
        // The complement turns the order round: high priorities first.
        KeyWriter::new(byte::READY)
            .str(self.pool.as_str())
            .i64(-i64::from(self.priority.0))
            .str(self.queue.as_str())
            .str(self.job.as_ref().map_or("", JobId::as_str))
            .u32(self.class)
    }
}

/// A place in the ready order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadyKey {
    /// The line.
    pub line: Line,
    /// The place in the line.
    pub seq: ReadySeq,
}

/// QUEUED tasks in the order in which they are given out.
#[derive(Debug)]
pub enum ReadyTable {}

impl Table for ReadyTable {
    const ID: u8 = byte::READY;
    const NAME: &'static str = "ready";
    const CLASS: TableClass = TableClass::Derived;
    const VERSION: u8 = 1;
    type Key = ReadyKey;
    type Row = TaskId;

    fn key(key: &Self::Key) -> Vec<u8> {
        key.line.writer().i64(key.seq.0).finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        let mut key = open::<Self>(bytes)?;
        let pool = Pool::trusted(key.str()?);
        let priority = i32::try_from(-key.i64()?)
            .map_err(|_| StateError::corrupted("a ready key's priority is out of range"))?;
        let queue = QueueName::trusted(key.str()?);
        let job = Some(key.str()?).filter(|job| !job.is_empty()).map(JobId::trusted);
        let line = Line { pool, priority: Priority(priority), queue, job, class: key.u32()? };
        Ok(ReadyKey { line, seq: ReadySeq(key.i64()?) })
    }
}

/// Which timer of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKind {
    /// Of its state: the end of a backoff, a run timeout, a cancel's grace.
    State = 0,
    /// Its queue TTL.
    Ttl = 1,
}

/// A moment at which something happens to a task, unless it went on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerKey {
    /// When.
    pub at: ProcessorMs,
    /// Its pool.
    pub pool: Pool,
    /// Which.
    pub kind: TimerKind,
    /// The task.
    pub id: TaskId,
}

/// Timers of tasks, soonest first, over all pools of the processor.
#[derive(Debug)]
pub enum TimerTable {}

impl Table for TimerTable {
    const ID: u8 = byte::TIMER;
    const NAME: &'static str = "timer";
    const CLASS: TableClass = TableClass::Derived;
    const VERSION: u8 = 1;
    type Key = TimerKey;
    type Row = ();

    fn key(key: &Self::Key) -> Vec<u8> {
        let writer = KeyWriter::new(Self::ID).u64(key.at.0).str(key.pool.as_str());
        writer.u8(key.kind as u8).tail(key.id.as_str()).finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        let mut key = open::<Self>(bytes)?;
        let at = ProcessorMs(key.u64()?);
        let pool = Pool::trusted(key.str()?);
        let kind = if key.u8()? == TimerKind::Ttl as u8 { TimerKind::Ttl } else { TimerKind::State };
        Ok(TimerKey { at, pool, kind, id: TaskId::trusted(key.tail()?) })
    }
}

/// An index whose keys begin with a time.
pub trait DueTable: Table {
    /// Which one.
    const INDEX: DueIndex;

    /// The time in a key.
    fn at(key: &Self::Key) -> ProcessorMs;
}

impl DueTable for TimerTable {
    const INDEX: DueIndex = DueIndex::Timer;

    fn at(key: &Self::Key) -> ProcessorMs {
        key.at
    }
}

/// Live tasks by tag: pool, name, value, id.
#[derive(Debug)]
pub enum ByTagTable {}

impl Table for ByTagTable {
    const ID: u8 = byte::BY_TAG;
    const NAME: &'static str = "by_tag";
    const CLASS: TableClass = TableClass::Derived;
    const VERSION: u8 = 1;
    type Key = (Pool, String, String, TaskId);
    type Row = ();

    fn key((pool, name, value, id): &Self::Key) -> Vec<u8> {
        KeyWriter::new(Self::ID).str(pool.as_str()).str(name).str(value).tail(id.as_str()).finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        let mut key = open::<Self>(bytes)?;
        let pool = Pool::trusted(key.str()?);
        Ok((pool, key.str()?.to_owned(), key.str()?.to_owned(), TaskId::trusted(key.tail()?)))
    }
}

/// An index whose key is a pool, one more name, and what is found.
macro_rules! by_name {
    ($(#[$doc:meta])* $table:ident, $byte:expr, $text:literal, $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $table {}

        impl Table for $table {
            const ID: u8 = $byte;
            const NAME: &'static str = $text;
            const CLASS: TableClass = TableClass::Derived;
            const VERSION: u8 = 1;
            type Key = (Pool, $name, TaskId);
            type Row = ();

            fn key((pool, name, id): &Self::Key) -> Vec<u8> {
                KeyWriter::new(Self::ID).str(pool.as_str()).str(name.as_str()).tail(id.as_str()).finish()
            }

            fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
                let mut key = open::<Self>(bytes)?;
                let pool = Pool::trusted(key.str()?);
                Ok((pool, $name::trusted(key.str()?), TaskId::trusted(key.tail()?)))
            }
        }
    };
}

by_name!(
    /// Open attempts by worker.
    ByWorkerTable, byte::BY_WORKER, "by_worker", WorkerName
);
by_name!(
    /// Live tasks by job.
    ByJobTable, byte::BY_JOB, "by_job", JobId
);
by_name!(
    /// Live tasks by queue.
    ByQueueTable, byte::BY_QUEUE, "by_queue", QueueName
);

/// An index whose key is a moment, a pool, and what is due then; soonest first, over all pools.
macro_rules! due {
    ($(#[$doc:meta])* $table:ident, $byte:expr, $text:literal, $name:ident, $index:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $table {}

        impl DueTable for $table {
            const INDEX: DueIndex = DueIndex::$index;

            fn at((at, _, _): &Self::Key) -> ProcessorMs {
                *at
            }
        }

        impl Table for $table {
            const ID: u8 = $byte;
            const NAME: &'static str = $text;
            const CLASS: TableClass = TableClass::Derived;
            const VERSION: u8 = 1;
            type Key = (ProcessorMs, Pool, $name);
            type Row = ();

            fn key((at, pool, name): &Self::Key) -> Vec<u8> {
                KeyWriter::new(Self::ID).u64(at.0).str(pool.as_str()).tail(name.as_str()).finish()
            }

            fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
                let mut key = open::<Self>(bytes)?;
                let at = ProcessorMs(key.u64()?);
                Ok((at, Pool::trusted(key.str()?), $name::trusted(key.tail()?)))
            }
        }
    };
}

due!(
    /// Done markers by the time when they may be forgotten.
    ForgetTable, byte::FORGET, "forget", TaskId, Marker
);
due!(
    /// Leases by what happens next: the worker becomes SUSPECT, or they run out.
    LeaseDueTable, byte::LEASE_DUE, "lease_due", WorkerName, Lease
);
due!(
    /// DONE jobs by the time when they may be forgotten.
    JobDueTable, byte::JOB_DUE, "job_due", JobId, Job
);
due!(
    /// Workers that left, by when.
    LeftTable, byte::LEFT, "left", WorkerName, Left
);
