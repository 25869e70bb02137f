//! Windows of statistics by pool, queue, size and slot.

use yardmaster_state::{KeyReader, KeyWriter, StateError, Table, TableClass};

use super::{byte, open};
use crate::id::{Pool, QueueName};
use crate::window::{WindowKey, WindowRow, WindowSize};

/// Windows; those of a pool and of each of its queues, and of each size, lie together as a ring.
#[derive(Debug)]
pub enum WindowTable {}

impl WindowTable {
    /// The first bytes of all keys of a queue, whatever the size.
    #[must_use]
    pub fn rings(pool: &Pool, queue: Option<&QueueName>) -> Vec<u8> {
        head(pool, queue).finish()
    }

    /// The first bytes of all keys of one ring.
    #[must_use]
    pub fn ring(pool: &Pool, queue: Option<&QueueName>, size: WindowSize) -> Vec<u8> {
        head(pool, queue).u8(size as u8).finish()
    }
}

impl Table for WindowTable {
    const ID: u8 = byte::WINDOW;
    const NAME: &'static str = "window";
    const CLASS: TableClass = TableClass::Logged;
    const VERSION: u8 = 1;
    const INDEXED: bool = false;
    type Key = WindowKey;
    type Row = WindowRow;

    fn key(key: &Self::Key) -> Vec<u8> {
        head(&key.pool, key.queue.as_ref()).u8(key.size as u8).u16(key.slot).finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self::Key, StateError> {
        let mut key = open::<Self>(bytes)?;
        let pool = Pool::trusted(key.str()?);
        let queue = match key.u8()? {
            0 => None,
            1 => Some(QueueName::trusted(key.str()?)),
            other => {
                return Err(StateError::corrupted(format!("dimension {other} of a window is not known")));
            }
        };
        let (size, slot) = (read_size(&mut key)?, key.u16()?);
        key.end()?;
        Ok(WindowKey { pool, queue, size, slot })
    }
}

fn head(pool: &Pool, queue: Option<&QueueName>) -> KeyWriter {
    let writer = KeyWriter::new(byte::WINDOW).str(pool.as_str());
    match queue {
        None => writer.u8(0),
        Some(queue) => writer.u8(1).str(queue.as_str()),
    }
}

fn read_size(key: &mut KeyReader<'_>) -> Result<WindowSize, StateError> {
    let byte = key.u8()?;
    let size = WindowSize::ALL.into_iter().find(|size| *size as u8 == byte);
    size.ok_or_else(|| StateError::corrupted(format!("size {byte} of a window is not known")))
}
