//! History: whole records of ended tasks, by class and hour, so that retention drops whole hours at next to no cost.

use yardmaster_state::{KeyWriter, StateError, Table, TableClass};

use super::{byte, open};
use crate::id::{Generation, JobId, Pool, TaskId};
use crate::task::{EndedTask, TaskState};
use crate::time::WallMs;

/// Milliseconds of one bucket.
const HOUR_MS: u64 = 3_600_000;

/// Records with the same retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HistoryClass {
    /// COMPLETED tasks.
    Completed = 0,
    /// All others.
    Other = 1,
}

impl HistoryClass {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Completed, Self::Other];

    /// The class of a terminal state.
    #[must_use]
    pub fn of(state: TaskState) -> Self {
        if state == TaskState::Completed { Self::Completed } else { Self::Other }
    }
}

/// Where a record lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryKey {
    /// Its retention.
    pub class: HistoryClass,
    /// Hours since 1970 at its end.
    pub hour: u32,
    /// Its pool.
    pub pool: Pool,
    /// Which.
    pub id: TaskId,
    /// Which of its lives: a task may be requeued and end again in the same hour.
    pub generation: Generation,
}

impl HistoryKey {
    /// The hour of a moment.
    #[must_use]
    pub fn hour_of(at: WallMs) -> u32 {
        u32::try_from(at.0 / HOUR_MS).unwrap_or(u32::MAX)
    }

    /// Where the record of a task lies that ended so and then.
    #[must_use]
    pub fn of((pool, id): (&Pool, &TaskId), generation: Generation, state: TaskState, at: WallMs) -> Self {
        let (class, hour) = (HistoryClass::of(state), Self::hour_of(at));
        Self { class, hour, pool: pool.clone(), id: id.clone(), generation }
    }

    /// The first bytes of all keys of a task in one bucket.
    #[must_use]
    pub fn prefix(class: HistoryClass, hour: u32, (pool, id): (&Pool, &TaskId)) -> Vec<u8> {
        let writer = KeyWriter::new(byte::HISTORY).u8(class as u8).u32(hour);
        writer.str(pool.as_str()).str(id.as_str()).finish()
    }

    /// The keys of one table and class before an hour: from, and to (exclusive).
    #[must_use]
    pub fn range_before(table: u8, class: HistoryClass, hour: u32) -> (Vec<u8>, Vec<u8>) {
        let from = KeyWriter::new(table).u8(class as u8);
        (from.finish(), KeyWriter::new(table).u8(class as u8).u32(hour).finish())
    }
}

fn class_of(byte: u8) -> HistoryClass {
    if byte == HistoryClass::Completed as u8 { HistoryClass::Completed } else { HistoryClass::Other }
}

/// Ended tasks by class, hour, pool, id and generation.
#[derive(Debug)]
pub enum HistoryTable {}

impl Table for HistoryTable {
    const ID: u8 = byte::HISTORY;
    const NAME: &'static str = "history";
    const CLASS: TableClass = TableClass::History;
    const VERSION: u8 = 1;
    const INDEXED: bool = false;
    type Key = HistoryKey;
    type Row = EndedTask;

    fn key(key: &Self::Key) -> Vec<u8> {
        let writer = KeyWriter::new(Self::ID).u8(key.class as u8).u32(key.hour);
        writer.str(key.pool.as_str()).str(key.id.as_str()).u32(key.generation.0).finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        let mut key = open::<Self>(bytes)?;
        let (class, hour) = (class_of(key.u8()?), key.u32()?);
        let (pool, id) = (Pool::trusted(key.str()?), TaskId::trusted(key.str()?));
        Ok(HistoryKey { class, hour, pool, id, generation: Generation(key.u32()?) })
    }
}

/// Ended tasks by class, hour, pool, job, id and generation.
#[derive(Debug)]
pub enum HistoryByJobTable {}

impl Table for HistoryByJobTable {
    const ID: u8 = byte::HISTORY_BY_JOB;
    const NAME: &'static str = "history_by_job";
    const CLASS: TableClass = TableClass::History;
    const VERSION: u8 = 1;
    const INDEXED: bool = false;
    type Key = (HistoryKey, JobId);
    type Row = ();

    fn key((key, job): &Self::Key) -> Vec<u8> {
        let writer = KeyWriter::new(Self::ID).u8(key.class as u8).u32(key.hour);
        writer.str(key.pool.as_str()).str(job.as_str()).str(key.id.as_str()).u32(key.generation.0).finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        let mut key = open::<Self>(bytes)?;
        let (class, hour) = (class_of(key.u8()?), key.u32()?);
        let pool = Pool::trusted(key.str()?);
        let job = JobId::trusted(key.str()?);
        let id = TaskId::trusted(key.str()?);
        Ok((HistoryKey { class, hour, pool, id, generation: Generation(key.u32()?) }, job))
    }
}

/// A mark in `events`: which of its records history has. Kept beside history, not logged: it says what this store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HistoryMark {
    /// The next record that is not in history, but for those of a refill that goes on.
    Next = 0,
    /// The next record of a refill in the background.
    RefillNext = 1,
    /// Where that refill ends.
    RefillEnd = 2,
}

/// Offsets in the partition's `events` by mark.
#[derive(Debug)]
pub enum HistoryPositionTable {}

impl Table for HistoryPositionTable {
    const ID: u8 = byte::HISTORY_POSITION;
    const NAME: &'static str = "history_position";
    const CLASS: TableClass = TableClass::History;
    const VERSION: u8 = 1;
    const INDEXED: bool = false;
    type Key = HistoryMark;
    type Row = i64;

    fn key(mark: &Self::Key) -> Vec<u8> {
        KeyWriter::new(Self::ID).u8(*mark as u8).finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        match open::<Self>(bytes)?.u8()? {
            0 => Ok(HistoryMark::Next),
            1 => Ok(HistoryMark::RefillNext),
            2 => Ok(HistoryMark::RefillEnd),
            other => Err(StateError::corrupted(format!("mark {other} of history is not known"))),
        }
    }
}
