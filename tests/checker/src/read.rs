//! Reads the topics of a namespace to their ends, as any `read_committed` client sees them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, Message as _};

use crate::record::{Raw, Topics};

/// A hang guard: the longest time without any progress.
const PATIENCE: Duration = Duration::from_secs(60);
const CALL: Duration = Duration::from_secs(20);

/// Every committed record that lies there now. Who calls it runs a test: it panics when Kafka does not answer.
///
/// # Panics
/// When the broker does not answer, or an open transaction does not end.
#[must_use]
pub fn read_all(bootstrap: &str, namespace: &str) -> Topics {
    let consumer = consumer(bootstrap, "read_committed");
    let names = names(&consumer, namespace);
    let mut topics = Topics::default();
    let channel = format!("{namespace}.assign");
    let list: Vec<(String, i32)> = names
        .into_iter()
        .filter(|(name, _)| {
            let short = name.strip_prefix(&format!("{namespace}.")).unwrap_or_default();
            matches!(short, "tasks" | "status" | "events" | "dead-letter" | "changelog")
                || name.starts_with(&channel)
        })
        .collect();
    for raw in read_partitions(bootstrap, &consumer, &list) {
        match raw.topic.strip_prefix(&format!("{namespace}.")).unwrap_or_default() {
            "tasks" => topics.tasks.push(raw),
            "status" => topics.status.push(raw),
            "events" => topics.events.push(raw),
            "dead-letter" => topics.dead_letter.push(raw),
            "changelog" => topics.changelog.push(raw),
            _ => topics.assign.push(raw),
        }
    }
    topics
}

/// The high watermark of each partition of a topic.
///
/// # Panics
/// When the broker does not answer.
#[must_use]
pub fn end_offsets(bootstrap: &str, topic: &str) -> Vec<i64> {
    let consumer = consumer(bootstrap, "read_uncommitted");
    let end = |partition: i32| consumer.fetch_watermarks(topic, partition, CALL).expect("watermarks").1;
    names(&consumer, topic.rsplit_once('.').expect("a namespace").0)
        .into_iter()
        .filter(|(name, _)| name == topic)
        .map(|(_, partition)| end(partition))
        .collect()
}

fn consumer(bootstrap: &str, isolation: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "checker-nobody-joins")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        // A partition that came too late for a fetch waits for that one's end.
        .set("fetch.wait.max.ms", "50")
        .set("fetch.message.max.bytes", "4194304")
        .create()
        .expect("a consumer's settings")
}

fn names(consumer: &BaseConsumer, namespace: &str) -> Vec<(String, i32)> {
    let metadata = consumer.fetch_metadata(None, CALL).expect("the broker's metadata");
    let prefix = format!("{namespace}.");
    let of_ours = metadata.topics().iter().filter(|topic| topic.name().starts_with(&prefix));
    of_ours
        .flat_map(|topic| topic.partitions().iter().map(|part| (topic.name().to_owned(), part.id())))
        .collect()
}

/// Up to the high watermark, which is asked for with `read_uncommitted`: a transaction that is open then is waited for, and
/// read as a whole.
fn read_partitions(bootstrap: &str, consumer: &BaseConsumer, list: &[(String, i32)]) -> Vec<Raw> {
    let plain = self::consumer(bootstrap, "read_uncommitted");
    let mut open: BTreeMap<(String, i32), i64> = BTreeMap::new();
    let mut positions = TopicPartitionList::new();
    for (topic, partition) in list {
        let (low, high) = plain.fetch_watermarks(topic, *partition, CALL).expect("watermarks");
        if low < high {
            let end = stable_end(consumer, topic, *partition, high);
            open.insert((topic.clone(), *partition), end);
            positions
                .add_partition_offset(topic, *partition, rdkafka::Offset::Offset(low))
                .expect("an offset");
        }
    }
    let mut found = Vec::new();
    if open.is_empty() {
        return found;
    }
    consumer.assign(&positions).expect("assigned");
    let mut last = Instant::now();
    while !open.is_empty() {
        assert!(last.elapsed() < PATIENCE, "no progress while reading up to {open:?}");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                last = Instant::now();
                let place = (message.topic().to_owned(), message.partition());
                // What came after the watermark was asked for belongs to the next reading.
                if open.get(&place).is_some_and(|high| message.offset() < *high) {
                    found.push(to_raw(&message));
                }
            }
            // At the end of something: positions have passed the commit markers by now.
            Some(Err(KafkaError::PartitionEOF(_))) | None => close_read(consumer, &mut open),
            Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::UnknownTopicOrPartition))) => {}
            Some(Err(error)) => panic!("reading failed: {error}"),
        }
    }
    consumer.unassign().expect("unassigned");
    found.sort_by(|one, other| {
        (&one.topic, one.partition, one.offset).cmp(&(&other.topic, other.partition, other.offset))
    });
    found
}

/// Where the first open transaction begins, or the end, once that has passed `high`. By a `read_committed` client.
fn stable_end(consumer: &BaseConsumer, topic: &str, partition: i32, high: i64) -> i64 {
    let began = Instant::now();
    loop {
        let (_, stable) = consumer.fetch_watermarks(topic, partition, CALL).expect("watermarks");
        if stable >= high {
            return stable;
        }
        assert!(began.elapsed() < PATIENCE, "a transaction stays open in {topic}[{partition}] at {stable}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn close_read(consumer: &BaseConsumer, open: &mut BTreeMap<(String, i32), i64>) {
    let positions = consumer.position().expect("positions");
    open.retain(|(topic, partition), high| {
        positions
            .find_partition(topic, *partition)
            .and_then(|position| position.offset().to_raw())
            .is_none_or(|position| position < *high)
    });
}

fn to_raw(message: &rdkafka::message::BorrowedMessage<'_>) -> Raw {
    let headers = message.headers().map(|headers| {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
    });
    Raw {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        at_ms: message.timestamp().to_millis(),
    }
}
