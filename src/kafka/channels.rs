//! Reads the channels of many workers through one consumer: what a simulated fleet needs and a real worker does not.

use std::time::Duration;

use rdkafka::message::Message;

use super::client::Connection;
use super::error::Result;
use super::reader::Reader;

/// The only partition of topics with one.
const ONLY: i32 = 0;

/// A consumer of topics with one partition each.
pub struct Channels {
    reader: Reader,
}

impl Channels {
    /// Reads every one of these topics from its start.
    ///
    /// # Errors
    /// When the configuration is refused.
    pub fn open(conn: &Connection, topics: Vec<String>) -> Result<Self> {
        let places = topics.into_iter().map(|topic| (topic, ONLY, 0)).collect();
        Ok(Self { reader: Reader::open(conn, places)? })
    }

    /// The next value, whatever channel it is on.
    ///
    /// # Errors
    /// `Lost`, `MissingTopic`; after `Unreachable` it may be polled again.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Vec<u8>>> {
        self.reader.poll(wait, |_, message| message.payload().unwrap_or_default().to_vec())
    }
}
