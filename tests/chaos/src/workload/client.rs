//! Plain Kafka clients, as anybody's program would have them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

/// Where the broker is and which namespace is meant.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) bootstrap: String,
    pub(crate) namespace: String,
}

impl Client {
    /// `<namespace>.<name>`.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.namespace)
    }

    /// A reader that is assigned by hand.
    pub(crate) fn reader(&self, isolation: &str) -> Result<BaseConsumer> {
        Ok(ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "chaos-nobody-joins")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", isolation)
            .set("fetch.wait.max.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .set("log_level", "0")
            .create()?)
    }

    /// The partitions of a topic; none while it does not exist.
    pub(crate) fn partitions(&self, consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10));
        let of = |metadata: rdkafka::metadata::Metadata| {
            let parts = metadata.topics().iter().flat_map(|topic| topic.partitions());
            parts.map(rdkafka::metadata::MetadataPartition::id).collect()
        };
        metadata.map(of).unwrap_or_default()
    }

    /// A writer of one topic.
    pub(crate) fn outbox(&self, topic: &str) -> Result<Outbox> {
        let delivered = Delivered::default();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("linger.ms", "2")
            .set("message.timeout.ms", "900000")
            .set("reconnect.backoff.max.ms", "500")
            .set("message.max.bytes", "2000000")
            .set("log_level", "0")
            .create_with_context(delivered.clone())?;
        Ok(Outbox { topic: self.topic(topic), producer, delivered })
    }
}

/// Ids that travel with a record come back once the broker has acknowledged it.
#[derive(Clone, Default)]
struct Delivered(Arc<Mutex<BTreeSet<String>>>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = Box<Vec<String>>;

    fn delivery(&self, result: &DeliveryResult<'_>, ids: Self::DeliveryOpaque) {
        if result.as_ref().is_ok_and(|message| message.offset() >= 0) {
            self.0.lock().expect("the acknowledged ids").extend(*ids);
        }
    }
}

/// A producer of one topic.
pub(crate) struct Outbox {
    topic: String,
    producer: BaseProducer<Delivered>,
    delivered: Delivered,
}

impl Outbox {
    /// Queues a record that carries these ids.
    pub(crate) fn send(&self, key: &str, value: &str, ids: Vec<String>) -> Result<()> {
        let mut record = BaseRecord::with_opaque_to(&self.topic, Box::new(ids)).key(key).payload(value);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.producer.poll(Duration::from_millis(10));
                    record = back;
                }
                Err((error, _)) => bail!("could not produce to {}: {error}", self.topic),
            }
        }
    }

    /// Takes in what the broker has said.
    pub(crate) fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until everything is acknowledged.
    pub(crate) fn flush(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        while self.producer.in_flight_count() > 0 {
            if Instant::now() >= deadline {
                bail!("the broker does not acknowledge records of {}", self.topic);
            }
            self.producer.poll(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The ids that were acknowledged since the last time.
    pub(crate) fn take_delivered(&self) -> BTreeSet<String> {
        self.poll();
        std::mem::take(&mut self.delivered.0.lock().expect("the acknowledged ids"))
    }
}
