//! Puts records into Kafka from outside of the processors: submissions, and records that are rerouted. Idempotent, but
//! not transactional: a caller that got no answer sends again, and the request's id makes that harmless.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use yardmaster_topologies::id::Pool;

use super::calls::{Call, watched};
use super::client::Connection;
use super::error::{KafkaFailure, Result, failure};
use super::partition::partition_of;

/// How many records travel together: with the largest ones, the queue has room for so many.
const TOGETHER_MAX: usize = 64;

/// Where a record has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// A record that is sent on.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded<'a> {
    /// To which partition.
    pub partition: i32,
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The headers, in order.
    pub headers: &'a [(String, Vec<u8>)],
}

/// Sends records one by one; share it, it is meant to be used by many at once.
pub struct Submitter {
    conn: Connection,
    topic_tasks: String,
    partitions: i32,
    /// Replaced when it fails for good, which idempotent producers can.
    producer: Mutex<FutureProducer>,
}

impl Submitter {
    /// A submitter to the topic of tasks, which has `partitions` partitions. Connects in the background.
    ///
    /// # Errors
    /// When the configuration is refused.
    pub fn new(conn: &Connection, topic_tasks: &str, partitions: i32) -> Result<Self> {
        Ok(Self {
            conn: conn.clone(),
            topic_tasks: topic_tasks.to_owned(),
            partitions,
            producer: Mutex::new(create(conn)?),
        })
    }

    /// Sends a command to its pool's partition and waits until every in-sync replica has it.
    ///
    /// # Errors
    /// `Unreachable` after 10 s, or at once when too much is waiting; the record may have arrived all the same.
    pub async fn send(&self, pool: &Pool, value: Vec<u8>) -> Result<Position> {
        let partition = partition_of(pool, self.partitions);
        self.send_to(&self.topic_tasks, partition, pool.as_str().as_bytes(), &value, &[]).await
    }

    /// Sends any record anywhere. Needs no runtime of any kind.
    ///
    /// # Errors
    /// As [`Submitter::send`], and `MissingTopic`.
    pub async fn send_to(
        &self,
        topic: &str,
        partition: i32,
        key: &[u8],
        value: &[u8],
        headers: &[(String, Vec<u8>)],
    ) -> Result<Position> {
        let producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut record = FutureRecord::to(topic).partition(partition).key(key).payload(value);
        if !headers.is_empty() {
            record = record.headers(owned(headers));
        }
        let outcome = match producer.send_result(record) {
            Ok(delivery) => delivery.await,
            Err((error, _)) => return Err(self.failed(&producer, topic, &error)),
        };
        match outcome {
            Ok(Ok(delivery)) => Ok(Position { partition: delivery.partition, offset: delivery.offset }),
            Ok(Err((error, _))) => Err(self.failed(&producer, topic, &error)),
            Err(_) => Err(KafkaFailure::Unreachable(format!("sending to {topic}: the producer was closed"))),
        }
    }

    /// [`Submitter::send_to`] for plain threads.
    ///
    /// # Errors
    /// The same.
    pub fn send_to_blocking(
        &self,
        topic: &str,
        partition: i32,
        key: &[u8],
        value: &[u8],
        headers: &[(String, Vec<u8>)],
    ) -> Result<Position> {
        watched(Call::Send, topic, || wait(self.send_to(topic, partition, key, value, headers)))
    }

    /// Sends many records to one topic and waits for all of them. They travel together, so this takes hardly longer than
    /// one.
    ///
    /// # Errors
    /// The first that fails; others may have arrived.
    pub fn send_all_blocking(&self, topic: &str, records: &[Forwarded<'_>]) -> Result<()> {
        for together in records.chunks(TOGETHER_MAX) {
            let mut waiting = Vec::with_capacity(together.len());
            for record in together {
                let &Forwarded { partition, key, value, headers } = record;
                let mut sending = Box::pin(self.send_to(topic, partition, key, value, headers));
                // The first poll puts the record into the queue; who is to be woken is said again by `wait`.
                match sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(sent) => drop(sent?),
                    Poll::Pending => waiting.push(sending),
                }
            }
            for sending in waiting {
                watched(Call::Send, topic, || wait(sending))?;
            }
        }
        Ok(())
    }

    fn failed(
        &self,
        producer: &FutureProducer,
        topic: &str,
        error: &rdkafka::error::KafkaError,
    ) -> KafkaFailure {
        use rdkafka::error::RDKafkaErrorCode::{PurgeInflight, PurgeQueue, QueueFull};
        let doing = format!("sending to {topic}");
        if let Some((code, reason)) = producer.client().fatal_error() {
            self.replace(producer);
            return KafkaFailure::Unreachable(format!(
                "{doing}: the producer had to be replaced, {code}: {reason}"
            ));
        }
        match error.rdkafka_error_code() {
            Some(QueueFull | PurgeInflight | PurgeQueue) => {
                KafkaFailure::Unreachable(format!("{doing}: {error}"))
            }
            Some(_) | None => failure(&doing, topic, error),
        }
    }

    /// Puts a new producer in the place of a failed one, unless somebody else just did.
    fn replace(&self, failed: &FutureProducer) {
        let mut current = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::ptr::eq(current.client(), failed.client()) {
            return;
        }
        match create(&self.conn) {
            Ok(fresh) => {
                let old = std::mem::replace(&mut *current, fresh);
                // Closing it may take a while.
                if let Err(error) = thread::Builder::new().spawn(move || drop(old)) {
                    tracing::warn!(%error, "a producer was dropped in place");
                }
            }
            Err(error) => tracing::error!(%error, "a failed producer can't be replaced"),
        }
    }
}

fn create(conn: &Connection) -> Result<FutureProducer> {
    let mut config = conn.producer()?;
    config.set("message.timeout.ms", "10000");
    config.create().map_err(|error| failure("creating a producer", "", &error))
}

fn owned(headers: &[(String, Vec<u8>)]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |owned, (key, value)| {
        owned.insert(Header { key, value: Some(value) })
    })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future that somebody else drives.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
