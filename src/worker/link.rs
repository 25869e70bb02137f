//! What a registration needs from the broker. The Kafka client behind it is in `src/kafka`.

use std::sync::Arc;

/// Names a record that was sent, until the broker has said what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// The broker could not be asked or did not take it; trying again is the caller's part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

/// One registration's line: its channel and the status topic.
pub trait Link: Send {
    /// The end of the channel at this moment; 0 when it does not exist yet.
    ///
    /// # Errors
    /// The broker does not answer.
    fn channel_end(&mut self) -> Result<u64, LinkError>;

    /// Reads the channel from this offset on, as soon as it exists.
    fn read_from(&mut self, offset: u64);

    /// The values of committed records, as many as are there now. To be called a few times a second, whatever happens.
    fn poll(&mut self) -> Vec<Vec<u8>>;

    /// Calls this, from any thread, when there may be something to poll. Called before anything else.
    fn on_arrival(&mut self, call: Arc<dyn Fn() + Send + Sync>);

    /// Sends a status record, in the order of the calls.
    ///
    /// # Errors
    /// There is no room for it now.
    fn send(&mut self, record: &[u8]) -> Result<Ticket, LinkError>;

    /// What became of records that were sent: true when the broker has it.
    fn delivered(&mut self) -> Vec<(Ticket, bool)>;
}
