//! Reads a changelog back. It ends where the position reaches the high watermark that was read after the fence, not
//! where no record comes any more.

use std::time::Duration;

use rdkafka::message::Message;

use super::client::Connection;
use super::error::Result;
use super::reader::Reader;
use super::watermark::high_watermark;

/// Offset, key (empty when there is none) and value; no value deletes the key.
pub type ChangelogRecord = (i64, Vec<u8>, Option<Vec<u8>>);

/// Reads one partition of a changelog, committed records only.
pub struct ChangelogReader {
    reader: Reader,
}

impl ChangelogReader {
    /// Reads from the offset `from` on; 0 means the first one that there is.
    ///
    /// # Errors
    /// When the configuration is refused or, with 0, the broker can't be asked where the partition begins.
    pub fn open(conn: &Connection, topic: &str, partition: i32, from: i64) -> Result<Self> {
        // A concrete offset, so that an empty partition has a position that can be compared with the high watermark.
        let start = if from == 0 { high_watermark(conn, topic, partition)?.0 } else { from };
        let reader = Reader::open(conn, vec![(topic.to_owned(), partition, start)])?;
        Ok(Self { reader })
    }

    /// The next record. None also while markers are passed: look at [`ChangelogReader::position`] then.
    ///
    /// # Errors
    /// `Lost` when the offset is gone, `MissingTopic`; after `Unreachable` it may be polled again.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<ChangelogRecord>> {
        self.reader.poll(wait, |_, message| {
            let key = message.key().unwrap_or_default().to_vec();
            (message.offset(), key, message.payload().map(<[u8]>::to_vec))
        })
    }

    /// The offset that comes next, past the markers of transactions.
    #[must_use]
    pub fn position(&self) -> Option<i64> {
        self.reader.position(0)
    }
}
