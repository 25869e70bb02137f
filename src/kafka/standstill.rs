//! Why a reader of committed records does not come to the end of a partition: the log was cut, or a transaction is open in
//! it. librdkafka has no call that names a transaction's producer, but where its first record lies, and what it is, can be
//! read.

use std::time::{Duration, Instant};

use rdkafka::message::Message;

use super::client::Connection;
use super::error::Result;
use super::reader::Reader;
use super::watermark::{high_watermark, stable_end};

/// How long the first record of an open transaction is looked for.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a reader waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standstill {
    /// The partition ends before the place that was to be reached.
    Cut {
        /// Where it begins now.
        first: i64,
        /// Where it ends now.
        end: i64,
    },
    /// A transaction is open: what comes from this offset on is not decided.
    Undecided {
        /// The first offset of the oldest open transaction.
        offset: i64,
        /// The record there; none when it could not be read.
        record: Option<UndecidedRecord>,
    },
    /// Neither: everything is decided.
    Nothing,
}

/// The first record of an open transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndecidedRecord {
    /// Its key.
    pub key: Vec<u8>,
    /// When it was made, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
}

/// Finds out why a reader of committed records does not reach the offset `target`.
///
/// # Errors
/// `MissingTopic` or `Unreachable`.
pub fn standstill(conn: &Connection, topic: &str, partition: i32, target: i64) -> Result<Standstill> {
    let (first, end) = high_watermark(conn, topic, partition)?;
    if end < target {
        return Ok(Standstill::Cut { first, end });
    }
    let stable = stable_end(conn, topic, partition)?;
    if stable >= target {
        return Ok(Standstill::Nothing);
    }
    Ok(Standstill::Undecided { offset: stable, record: read_one(conn, topic, partition, stable)? })
}

/// The record at an offset, decided or not.
fn read_one(conn: &Connection, topic: &str, partition: i32, offset: i64) -> Result<Option<UndecidedRecord>> {
    let mut reader = Reader::open_uncommitted(conn, vec![(topic.to_owned(), partition, offset)])?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let found = reader.poll(Duration::from_millis(50), |_, message| UndecidedRecord {
            key: message.key().unwrap_or_default().to_vec(),
            timestamp_ms: message.timestamp().to_millis(),
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
