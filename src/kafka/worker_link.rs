//! A worker's line to the broker: reads its channel from an offset on, and sends statuses in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, NoCustomPartitioner, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use yardmaster_state::chaos::Mutant;
use yardmaster_topologies::id::{Pool, WorkerName};

use super::client::Connection;
use crate::worker::{Link, LinkError, Ticket};

/// A question to the broker waits no longer than this.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A look whether the channel exists is taken between heartbeats, and must not hold them up.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);
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

/// A broker that is away is spoken of by the registration; librdkafka would repeat it twenty times a second.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "channel reader");
    }
}

impl ConsumerContext for Quiet {}

/// One registration's consumer and producer.
pub struct WorkerLink {
    connection: Connection,
    consumer: BaseConsumer<Quiet>,
    /// Replaced when it fails for good, which idempotent producers can.
    producer: BaseProducer<Reports>,
    delivered: Receiver<(Ticket, bool)>,
    /// Given to the producer, and not heard of again yet.
    open: BTreeSet<Ticket>,
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
        let reading = if Mutant::WorkerReadsAll.is_on() {
            connection.uncommitted_reader()
        } else {
            connection.committed_reader()
        };
        let mut reading = reading.map_err(|error| refused(&error))?;
        // A channel that is deleted and made again starts at 0.
        reading.set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "500");
        let (consumer, (producer, delivered)) =
            match (reading.create_with_context(Quiet), producer(connection)?) {
                (Ok(consumer), made) => (consumer, made),
                (Err(error), _) => return Err(refused(&error)),
            };
        Ok(Self {
            connection: connection.clone(),
            consumer,
            producer,
            delivered,
            open: BTreeSet::new(),
            channel: format!("{namespace}.assign.{pool}.{worker}"),
            status: format!("{namespace}.status"),
            key: pool.to_string(),
            next_ticket: 0,
            reading: Reading::No,
        })
    }

    fn exists(&self, timeout: Duration) -> Result<bool, LinkError> {
        let found = self.consumer.fetch_metadata(Some(&self.channel), timeout).map_err(unanswered)?;
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
        if matches!(self.exists(LOOK_TIMEOUT), Ok(true)) {
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

    /// After a fatal error a producer takes nothing any more: another one is made, and what the old one had is lost.
    fn replace_if_dead(&mut self) -> Vec<(Ticket, bool)> {
        let Some((code, reason)) = self.producer.client().fatal_error() else {
            return Vec::new();
        };
        let (fresh, delivered) = match producer(&self.connection) {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(%error, "a status producer that failed can't be replaced, trying again");
                return Vec::new();
            }
        };
        tracing::warn!(%code, reason, "the status producer had to be replaced");
        let old = std::mem::replace(&mut self.producer, fresh);
        let known: Vec<_> = std::mem::replace(&mut self.delivered, delivered).try_iter().collect();
        // Closing it may take a while.
        if let Err(error) = thread::Builder::new().name("status-end".to_owned()).spawn(move || drop(old)) {
            tracing::warn!(%error, "a producer was dropped in place");
        }
        let mut heard = self.heard(known);
        heard.extend(std::mem::take(&mut self.open).into_iter().map(|ticket| (ticket, false)));
        heard
    }

    fn heard(&mut self, known: Vec<(Ticket, bool)>) -> Vec<(Ticket, bool)> {
        for (ticket, _) in &known {
            self.open.remove(ticket);
        }
        known
    }
}

impl Link for WorkerLink {
    fn channel_end(&mut self) -> Result<u64, LinkError> {
        self.consumer.unassign().map_err(unanswered)?;
        self.reading = Reading::No;
        if !self.exists(CALL_TIMEOUT)? {
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

    fn on_arrival(&mut self, call: Arc<dyn Fn() + Send + Sync>) {
        self.consumer.set_nonempty_callback(move || call());
    }

    fn poll(&mut self) -> Vec<Vec<u8>> {
        self.look();
        let mut values = Vec::new();
        // Until it is empty: only then its next message calls.
        while values.len() < MESSAGES_MAX
            && let Some(polled) = self.consumer.poll(Duration::ZERO)
        {
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
        self.open.insert(Ticket(ticket));
        Ok(Ticket(ticket))
    }

    fn delivered(&mut self) -> Vec<(Ticket, bool)> {
        self.producer.poll(Duration::ZERO);
        let known = self.delivered.try_iter().collect();
        let mut heard = self.heard(known);
        heard.extend(self.replace_if_dead());
        heard
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

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    /// Sends records until the broker has one; returns what became of the first.
    fn outcomes(link: &mut WorkerLink, records: usize) -> Vec<bool> {
        let mut open: BTreeSet<Ticket> = (0..records).map(|_| link.send(b"{}").unwrap()).collect();
        let mut outcomes = Vec::new();
        while !open.is_empty() {
            for (ticket, has_arrived) in link.delivered() {
                assert!(open.remove(&ticket), "{ticket:?} was heard of twice");
                outcomes.push(has_arrived);
            }
            thread::sleep(Duration::from_millis(1));
        }
        outcomes
    }

    #[test]
    fn a_producer_that_failed_for_good_is_replaced_and_its_records_are_lost() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("ns.status", 1, 1).unwrap();
        let connection = Connection { bootstrap: cluster.bootstrap_servers(), extra: Vec::new() };
        let (pool, worker) = (Pool::trusted("p"), WorkerName::trusted("w"));
        let mut link = WorkerLink::new(&connection, "ns", &pool, &worker).unwrap();
        assert_eq!(outcomes(&mut link, 1), [true]);
        let fatal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        cluster.request_errors(RDKafkaApiKey::Produce, &[fatal]);
        assert_eq!(outcomes(&mut link, 1), [false]);
        assert_eq!(outcomes(&mut link, 3), [true, true, true]);
    }
}
