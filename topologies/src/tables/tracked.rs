//! The logged tables that `track` writes: jobs and counters.

use yardmaster_state::{Derived, KeyWriter, StateError, Table, TableClass};

use super::{JobDueTable, byte, open};
use crate::id::{JobId, Pool, QueueName};
use crate::job::{CounterKey, Dimension, JobRow};
use crate::task::Counts;

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
    const INDEXED: bool = false;
    type Key = CounterKey;
    type Row = Counts;

    fn key(key: &Self::Key) -> Vec<u8> {
        let writer = KeyWriter::new(Self::ID).str(key.pool.as_str());
        match &key.dimension {
            Dimension::Pool => writer.u8(0).finish(),
            Dimension::Queue(queue) => writer.u8(1).tail(queue.as_str()).finish(),
            Dimension::Tag(name, value) => writer.u8(2).str(name).tail(value).finish(),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        let mut key = open::<Self>(bytes)?;
        let pool = Pool::trusted(key.str()?);
        let dimension = match key.u8()? {
            0 => Dimension::Pool,
            1 => Dimension::Queue(QueueName::trusted(key.tail()?)),
            2 => Dimension::Tag(key.str()?.to_owned(), key.tail()?.to_owned()),
            other => {
                return Err(StateError::corrupted(format!("dimension {other} of a counter is not known")));
            }
        };
        Ok(CounterKey { pool, dimension })
    }
}
