//! A worker's line to the broker: reads its channel from an offset on, and sends statuses in order.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, NoCustomPartitioner, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use yardmaster_topologies::id::{Pool, WorkerName};

use super::client::Connection;
use crate::worker::{Link, LinkError, Ticket};

/// A question to the broker waits no longer than this.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks whether the channel exists: at first, and after a while.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(50);
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Messages handed over at once.
const MESSAGES_MAX: usize = 500;

/// Tells what became of each record.
struct Reports(Sender<(Ticket, bool)>);

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "status producer");
    }
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<u64>) {
        // The line may be closing: then nobody wants to know.
        self.0.send((Ticket(*ticket), result.is_ok())).ok();
    }
}

/// One registration's consumer and producer.
pub struct WorkerLink {
    consumer: BaseConsumer,
    producer: BaseProducer<Reports>,
    delivered: Receiver<(Ticket, bool)>,
    channel: String,
    status: String,
    key: String,
    next_ticket: u64,
    reading: Reading,
}

/// How far the reading of the channel is.
enum Reading {
    /// Not begun.
    No,
    /// The channel does not exist yet.
    Awaited { from: u64, look_at: Instant, interval: Duration },
    /// It is assigned.
    Assigned,
}

impl WorkerLink {
    /// A line for a registration. Connects in the background.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn new(
        connection: &Connection,
        namespace: &str,
        pool: &Pool,
        worker: &WorkerName,
    ) -> Result<Self, LinkError> {
        let refused =
            |error: &dyn std::fmt::Display| LinkError(format!("the Kafka client's settings: {error}"));
        let mut reading = connection.committed_reader().map_err(|error| refused(&error))?;
        // A channel that is deleted and made again starts at 0.
        reading.set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "500");
        let (consumer, (producer, delivered)) = match (reading.create(), producer(connection)?) {
            (Ok(consumer), made) => (consumer, made),
            (Err(error), _) => return Err(refused(&error)),
        };
        Ok(Self {
            consumer,
            producer,
            delivered,
            channel: format!("{namespace}.assign.{pool}.{worker}"),
            status: format!("{namespace}.status"),
            key: pool.to_string(),
            next_ticket: 0,
            reading: Reading::No,
        })
    }

    fn exists(&self) -> Result<bool, LinkError> {
        let found = self.consumer.fetch_metadata(Some(&self.channel), CALL_TIMEOUT).map_err(unanswered)?;
        let is_there = |topic: &rdkafka::metadata::MetadataTopic| {
            topic.name() == self.channel && topic.error().is_none() && !topic.partitions().is_empty()
        };
        Ok(found.topics().iter().any(is_there))
    }

    /// Assigns the channel if it exists by now.
    fn look(&mut self) {
        let Reading::Awaited { from, look_at, interval } = self.reading else {
            return;
        };
        if Instant::now() < look_at {
            return;
        }
        if matches!(self.exists(), Ok(true)) {
            let offset = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
            let mut list = TopicPartitionList::new();
            let added = list.add_partition_offset(&self.channel, 0, offset);
            if added.and_then(|()| self.consumer.assign(&list)).is_ok() {
                self.reading = Reading::Assigned;
                return;
            }
        }
        let next = (interval * 2).min(LOOK_INTERVAL_MAX);
        self.reading = Reading::Awaited { from, look_at: Instant::now() + interval, interval: next };
    }
}

impl Link for WorkerLink {
    fn channel_end(&mut self) -> Result<u64, LinkError> {
        self.consumer.unassign().map_err(unanswered)?;
        self.reading = Reading::No;
        if !self.exists()? {
            return Ok(0);
        }
        let (_, end) = self.consumer.fetch_watermarks(&self.channel, 0, CALL_TIMEOUT).map_err(unanswered)?;
        Ok(u64::try_from(end).unwrap_or_default())
    }

    fn read_from(&mut self, offset: u64) {
        self.reading =
            Reading::Awaited { from: offset, look_at: Instant::now(), interval: LOOK_INTERVAL_MIN };
        self.look();
    }

    fn poll(&mut self, wait: Duration) -> Vec<Vec<u8>> {
        self.look();
        let mut values = Vec::new();
        let mut wait = wait;
        while values.len() < MESSAGES_MAX
            && let Some(polled) = self.consumer.poll(wait)
        {
            wait = Duration::ZERO;
            match polled {
                Ok(message) => values.extend(message.payload().map(<[u8]>::to_vec)),
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownPartition,
                )) => {
                    tracing::warn!(channel = self.channel, "the channel is gone, waiting for it");
                    self.consumer.unassign().ok();
                    let look_at = Instant::now() + LOOK_INTERVAL_MIN;
                    self.reading = Reading::Awaited { from: 0, look_at, interval: LOOK_INTERVAL_MIN };
                    break;
                }
                Err(error) => {
                    // librdkafka goes on by itself.
                    tracing::debug!(%error, "reading the channel");
                    break;
                }
            }
        }
        values
    }

    fn send(&mut self, record: &[u8]) -> Result<Ticket, LinkError> {
        let ticket = self.next_ticket;
        let message =
            BaseRecord::with_opaque_to(&self.status, Box::new(ticket)).key(&self.key).payload(record);
        self.producer
            .send(message)
            .map_err(|(error, _)| LinkError(format!("the status was not sent: {error}")))?;
        self.next_ticket += 1;
        Ok(Ticket(ticket))
    }

    fn delivered(&mut self) -> Vec<(Ticket, bool)> {
        self.producer.poll(Duration::ZERO);
        self.delivered.try_iter().collect()
    }
}

type Producing = (BaseProducer<Reports>, Receiver<(Ticket, bool)>);

fn producer(connection: &Connection) -> Result<Producing, LinkError> {
    let (sender, delivered) = channel();
    let config: ClientConfig = connection
        .producer()
        .map(|mut config| {
            // A status that is older than this is made anew, if it is still true.
            config.set("message.timeout.ms", "30000");
            config
        })
        .map_err(|error| LinkError(error.to_string()))?;
    let producer = config.create_with_context(Reports(sender)).map_err(unanswered)?;
    Ok((producer, delivered))
}

fn unanswered(error: KafkaError) -> LinkError {
    LinkError(format!("Kafka: {error}"))
}

impl std::fmt::Debug for WorkerLink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WorkerLink").field("channel", &self.channel).finish_non_exhaustive()
    }
}
