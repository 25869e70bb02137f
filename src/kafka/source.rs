//! The inputs of a processor: both topics of one partition through one consumer, from given offsets on.

use std::time::Duration;

use rdkafka::message::{BorrowedMessage, Headers, Message};

use super::client::Connection;
use super::error::Result;
use super::reader::Reader;
use super::statistics::Listener;

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Which of the two topics, as they were given to [`Source::open`].
    pub input: usize,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers, in order; one without a value has an empty one.
    pub headers: Vec<(String, Vec<u8>)>,
    /// When it was created, or appended, as the topic is configured.
    pub timestamp_ms: Option<i64>,
}

/// Reads both inputs of a partition. No group is joined and no offset is committed: the position lives in the
/// changelog.
pub struct Source {
    reader: Reader,
}

impl Source {
    /// Reads partition `partition` of both topics from the offsets `next` on. `listener` hears about the client.
    ///
    /// # Errors
    /// When the configuration is refused. What the broker refuses comes from [`Source::poll`].
    pub fn open(
        conn: &Connection,
        topics: [String; 2],
        partition: i32,
        next: [i64; 2],
        listener: Listener,
    ) -> Result<Self> {
        let places = topics.into_iter().zip(next).map(|(topic, next)| (topic, partition, next)).collect();
        Ok(Self { reader: Reader::open_heard(conn, places, listener)? })
    }

    /// The next record of either input. Nothing interrupts the wait: keep it at 50 ms or less.
    ///
    /// # Errors
    /// `Lost` when an offset is gone, `MissingTopic`; after `Unreachable` it may be polled again.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Taken>> {
        self.reader.poll(wait, taken)
    }

    /// The high watermark of an input, at most about a second old; none before the first report.
    #[must_use]
    pub fn end(&self, input: usize) -> Option<i64> {
        self.reader.end(input)
    }

    /// The offset that comes next in an input, past the markers of transactions. None when there is no such input.
    #[must_use]
    pub fn position(&self, input: usize) -> Option<i64> {
        self.reader.position(input)
    }
}

pub(super) fn taken(input: usize, message: &BorrowedMessage<'_>) -> Taken {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
            .collect()
    });
    Taken {
        input,
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
        timestamp_ms: message.timestamp().to_millis(),
    }
}
