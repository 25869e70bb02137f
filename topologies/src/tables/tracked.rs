//! The logged tables that `track` writes, jobs and counters, and the index of counters that may be forgotten.

use yardmaster_state::{Derived, KeyReader, KeyWriter, StateError, Table, TableClass};

use super::{DueTable, JobDueTable, byte, open};
use crate::id::{JobId, Pool, QueueName};
use crate::job::{CounterKey, CounterRow, Dimension, JobRow};
use crate::memory::DueIndex;
use crate::time::ProcessorMs;

/// Jobs by pool and id.
#[derive(Debug)]
pub enum JobTable {}

impl Table for JobTable {
    const ID: u8 = byte::JOB;
    const NAME: &'static str = "job";
    const CLASS: TableClass = TableClass::Logged;
    const VERSION: u8 = 1;
    type Key = (Pool, JobId);
    type Row = JobRow;

    fn key((pool, job): &Self::Key) -> Vec<u8> {
        KeyWriter::new(Self::ID).str(pool.as_str()).tail(job.as_str()).finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        let mut key = open::<Self>(bytes)?;
        Ok((Pool::trusted(key.str()?), JobId::trusted(key.tail()?)))
    }

    fn derive((pool, job): &Self::Key, old: Option<&JobRow>, new: Option<&JobRow>, out: &mut Derived) {
        let (old, new) = (old.and_then(|row| row.forget_at), new.and_then(|row| row.forget_at));
        if old == new {
            return;
        }
        if let Some(at) = old {
            out.delete::<JobDueTable>(&(at, pool.clone(), job.clone()));
        }
        if let Some(at) = new {
            out.put::<JobDueTable>(&(at, pool.clone(), job.clone()), &());
        }
    }
}

/// Counts by pool, queue and tag.
#[derive(Debug)]
pub enum CounterTable {}

impl Table for CounterTable {
    const ID: u8 = byte::COUNTER;
    const NAME: &'static str = "counter";
    const CLASS: TableClass = TableClass::Logged;
    const VERSION: u8 = 1;
    type Key = CounterKey;
    type Row = CounterRow;

    fn key(key: &Self::Key) -> Vec<u8> {
        write_counter(KeyWriter::new(Self::ID), key)
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        read_counter(open::<Self>(bytes)?)
    }

    fn derive(key: &Self::Key, old: Option<&CounterRow>, new: Option<&CounterRow>, out: &mut Derived) {
        let (old, new) = (old.and_then(|row| row.forget_at), new.and_then(|row| row.forget_at));
        if old == new {
            return;
        }
        if let Some(at) = old {
            out.delete::<CounterDueTable>(&(at, key.clone()));
        }
        if let Some(at) = new {
            out.put::<CounterDueTable>(&(at, key.clone()), &());
        }
    }
}

/// Counters of queues and tags without a live task by the time when they may be forgotten.
#[derive(Debug)]
pub enum CounterDueTable {}

impl DueTable for CounterDueTable {
    const INDEX: DueIndex = DueIndex::Counter;

    fn at((at, _): &Self::Key) -> ProcessorMs {
        *at
    }
}

impl Table for CounterDueTable {
    const ID: u8 = byte::COUNTER_DUE;
    const NAME: &'static str = "counter_due";
    const CLASS: TableClass = TableClass::Derived;
    const VERSION: u8 = 1;
    type Key = (ProcessorMs, CounterKey);
    type Row = ();

    fn key((at, key): &Self::Key) -> Vec<u8> {
        write_counter(KeyWriter::new(Self::ID).u64(at.0), key)
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        let mut key = open::<Self>(bytes)?;
        Ok((ProcessorMs(key.u64()?), read_counter(key)?))
    }
}

fn write_counter(writer: KeyWriter, key: &CounterKey) -> Vec<u8> {
    let writer = writer.str(key.pool.as_str());
    match &key.dimension {
        Dimension::Pool => writer.u8(0).finish(),
        Dimension::Queue(queue) => writer.u8(1).tail(queue.as_str()).finish(),
        Dimension::Tag(name, value) => writer.u8(2).str(name).tail(value).finish(),
    }
}

fn read_counter(mut key: KeyReader<'_>) -> Result<CounterKey, StateError> {
    let pool = Pool::trusted(key.str()?);
    let dimension = match key.u8()? {
        0 => Dimension::Pool,
        1 => Dimension::Queue(QueueName::trusted(key.tail()?)),
        2 => Dimension::Tag(key.str()?.to_owned(), key.tail()?.to_owned()),
        other => return Err(StateError::corrupted(format!("dimension {other} of a counter is not known"))),
    };
    Ok(CounterKey { pool, dimension })
}
