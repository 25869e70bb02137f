//! What librdkafka and the broker allow at all: consume, produce and commit exactly once, with nothing decided between.
//! The bench divides by these figures.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use xxhash_rust::xxh3::xxh3_64;

use super::serve::serve;

const PATIENCE: Duration = Duration::from_secs(60);

/// What a raw run moves.
#[derive(Debug, Clone)]
pub struct RawShape {
    /// Records in.
    pub records: usize,
    /// Bytes of each.
    pub bytes: usize,
    /// Records in per transaction.
    pub per_transaction: usize,
    /// Records out per record in; not a whole number.
    pub out_per_in: f64,
    /// Bytes of each record out.
    pub out_bytes: usize,
}

/// Moves records from one topic's only partition to another's; both exist. Returns records in per second, counted from
/// the first record read to the last commit.
///
/// # Errors
/// Whatever Kafka says first.
pub fn raw_pass(bootstrap: &str, from: &str, to: &str, shape: &RawShape) -> Result<f64, KafkaError> {
    fill(bootstrap, from, shape)?;
    let consumer = reader(bootstrap, from)?;
    let producer = transactional(bootstrap, to)?;
    let payloads = payloads(shape.out_bytes);
    let mut out = payloads.iter().cycle();
    let mut clock = None;
    let (mut done, mut open, mut sent) = (0_usize, 0_usize, 0_usize);
    while done < shape.records {
        let wait = if open > 0 { Duration::ZERO } else { Duration::from_millis(100) };
        let polled = consumer.poll(wait);
        let is_dry = polled.is_none();
        if let Some(message) = polled {
            message?;
            clock.get_or_insert_with(Instant::now);
            if open == 0 {
                producer.begin_transaction()?;
            }
            open += 1;
            done += 1;
            while (sent as f64) < done as f64 * shape.out_per_in {
                send(&producer, to, out.next().map_or(&[], Vec::as_slice))?;
                sent += 1;
            }
        }
        if open >= shape.per_transaction || done == shape.records || (is_dry && open > 0) {
            commit(&producer)?;
            open = 0;
        }
    }
    let spent = clock.map_or(Duration::ZERO, |start| start.elapsed());
    Ok(shape.records as f64 / spent.as_secs_f64())
}

/// Echoes records one transaction at a time, as soon as there are any, until `records` have passed. Run it beside a
/// sender and a reader that measure.
///
/// # Errors
/// Whatever Kafka says first.
pub fn raw_echo(bootstrap: &str, from: &str, to: &str, records: usize) -> Result<(), KafkaError> {
    let consumer = reader(bootstrap, from)?;
    let producer = transactional(bootstrap, to)?;
    let mut done = 0;
    while done < records {
        let Some(first) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        producer.begin_transaction()?;
        let mut next = Some(first);
        while let Some(message) = next {
            send(&producer, to, message?.payload().unwrap_or_default())?;
            done += 1;
            next = consumer.poll(Duration::ZERO);
        }
        commit(&producer)?;
    }
    Ok(())
}

fn fill(bootstrap: &str, topic: &str, shape: &RawShape) -> Result<(), KafkaError> {
    let producer: BaseProducer =
        sender(bootstrap).set("linger.ms", "5").set("batch.size", "1000000").create()?;
    for payload in payloads(shape.bytes).iter().cycle().take(shape.records) {
        send(&producer, topic, payload)?;
    }
    drain(&producer);
    Ok(())
}

/// More records than LZ4 looks back at: equal ones would compress to nothing, which no grid's records do.
const DISTINCT: u64 = 4_096;

/// Records of so many bytes that have what the grid's have: names that repeat, an id, a token, a time and a filler.
fn payloads(bytes: usize) -> Vec<Vec<u8>> {
    let payload = |number: u64| {
        let [token, more] = [number, number + DISTINCT].map(|seed| xxh3_64(&seed.to_le_bytes()));
        let head = format!(
            r#"{{"v":1,"type":"raw","pool":"bench","id":"t-{number}","token":"{token:016x}{more:016x}","at":{},"payload":""#,
            token / 1_000
        );
        let mut payload = head.into_bytes();
        payload.resize(bytes, b'0');
        payload
    };
    (0..DISTINCT).map(payload).collect()
}

fn reader(bootstrap: &str, topic: &str) -> Result<BaseConsumer, KafkaError> {
    let consumer: BaseConsumer = base(bootstrap)
        .set("group.id", "nobody-joins")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    Ok(consumer)
}

fn transactional(bootstrap: &str, to: &str) -> Result<BaseProducer, KafkaError> {
    let producer: BaseProducer =
        sender(bootstrap).set("transactional.id", format!("raw-{to}")).set("linger.ms", "0").create()?;
    producer.init_transactions(PATIENCE)?;
    Ok(producer)
}

fn base(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("allow.auto.create.topics", "false");
    config
}

fn sender(bootstrap: &str) -> ClientConfig {
    let mut config = base(bootstrap);
    config.set("compression.type", "lz4").set("queue.buffering.max.messages", "1000000");
    config
}

fn send(producer: &BaseProducer, topic: &str, payload: &[u8]) -> Result<(), KafkaError> {
    loop {
        match producer.send(BaseRecord::<[u8], [u8]>::to(topic).partition(0).payload(payload).key(b"raw")) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                serve(producer, &mut || false);
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Polls until nothing is on its way: `flush` would wait in steps of 100 ms.
fn drain(producer: &BaseProducer) {
    while producer.in_flight_count() > 0 {
        serve(producer, &mut || false);
    }
}

fn commit(producer: &BaseProducer) -> Result<(), KafkaError> {
    drain(producer);
    producer.commit_transaction(PATIENCE)
}
