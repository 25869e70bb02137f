//! Sends many records to one topic without waiting for each: what the bench submits, and what its simulated workers say.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::client::Connection;
use super::error::{KafkaFailure, Result, failure};
use super::serve::serve;

/// How long all records together may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts what did not arrive.
#[derive(Debug, Default)]
struct Failures(AtomicU64);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An idempotent producer to one topic.
pub struct Flood {
    producer: BaseProducer<Failures>,
    topic: String,
}

impl Flood {
    /// A producer to this topic. Connects in the background.
    ///
    /// # Errors
    /// When the configuration is refused.
    pub fn open(conn: &Connection, topic: &str) -> Result<Self> {
        let mut config = conn.producer()?;
        config.set("message.timeout.ms", "30000");
        let producer = config
            .create_with_context(Failures::default())
            .map_err(|error| failure("creating a producer", topic, &error))?;
        Ok(Self { producer, topic: topic.to_owned() })
    }

    /// Queues a record. Blocks only while the queue is full.
    ///
    /// # Errors
    /// When librdkafka does not take the record.
    pub fn send(&self, partition: i32, key: &[u8], value: &[u8]) -> Result<()> {
        let mut record =
            BaseRecord::<[u8], [u8]>::to(&self.topic).partition(partition).key(key).payload(value);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    serve(&self.producer, &mut || false);
                }
                Err((error, _)) => return Err(failure("sending", &self.topic, &error)),
            }
        }
    }

    /// Takes note of what has arrived, without waiting: call it now and then.
    pub fn serve(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until everything has arrived.
    ///
    /// # Errors
    /// `Unreachable` when a record did not arrive.
    pub fn finish(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            serve(&self.producer, &mut || false);
        }
        let lost = self.producer.context().0.load(Ordering::Relaxed);
        let waiting = self.producer.in_flight_count();
        if lost == 0 && waiting == 0 {
            return Ok(());
        }
        Err(KafkaFailure::Unreachable(format!(
            "sending to {}: {lost} records were not delivered, {waiting} still wait",
            self.topic
        )))
    }
}

impl std::fmt::Debug for Flood {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Flood").field("topic", &self.topic).finish_non_exhaustive()
    }
}
