//! Follows all partitions of a topic as records are committed: what streams and mirrors of small topics are fed by.

use std::time::Duration;

use rdkafka::message::Message;

use super::client::Connection;
use super::error::{KafkaFailure, Result};
use super::reader::Reader;
use super::watermark::{uncommitted, watermarks_by};

/// A record of a followed topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailRecord {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

/// Follows a topic.
pub struct Tail {
    reader: Reader,
}

impl Tail {
    /// Follows partitions 0 to `partitions` - 1 from the given offsets on, one for each; None means from the high
    /// watermarks of now, so that records of transactions which are open now are left out.
    ///
    /// # Errors
    /// When `from` has another length, the configuration is refused, or the ends can't be asked for.
    pub fn open(conn: &Connection, topic: &str, partitions: i32, from: Option<Vec<i64>>) -> Result<Self> {
        let from = match from {
            Some(from) => from,
            None => ends(conn, topic, partitions)?,
        };
        if i32::try_from(from.len()) != Ok(partitions) {
            let count = from.len();
            return Err(KafkaFailure::Fatal(format!("{topic}: {count} offsets for {partitions} partitions")));
        }
        let places =
            (0..partitions).zip(from).map(|(partition, next)| (topic.to_owned(), partition, next)).collect();
        Ok(Self { reader: Reader::open(conn, places)? })
    }

    /// The next record of any partition; order holds within a partition.
    ///
    /// # Errors
    /// `Lost` when an offset is gone, `MissingTopic`; after `Unreachable` it may be polled again.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<TailRecord>> {
        self.reader.poll(wait, |_, message| TailRecord {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        })
    }

    /// The offset that comes next in a partition. None when there is no such partition.
    #[must_use]
    pub fn position(&self, partition: i32) -> Option<i64> {
        self.reader.position(usize::try_from(partition).ok()?)
    }
}

fn ends(conn: &Connection, topic: &str, partitions: i32) -> Result<Vec<i64>> {
    let consumer = uncommitted(conn)?;
    (0..partitions).map(|partition| Ok(watermarks_by(&consumer, topic, partition)?.1)).collect()
}
