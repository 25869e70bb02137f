//! The one broker of a test run, and a producer of records as any client would send them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use yardmaster::embedded::{Broker, BrokerOptions};

/// Never dropped: the broker ends when the pipe to its stdin closes with this process.
static BROKER: OnceLock<Broker> = OnceLock::new();
static DIR: OnceLock<PathBuf> = OnceLock::new();
static NAMESPACES: AtomicU32 = AtomicU32::new(0);

/// `host:port` of the broker, which is started by the first test that asks.
pub(crate) fn bootstrap() -> String {
    let start = || {
        let mut options = BrokerOptions::new(run_dir().join("kafka"));
        options.heap_mb = 768;
        Broker::start(options).unwrap_or_else(|error| panic!("the broker did not start: {error}"))
    };
    BROKER.get_or_init(start).bootstrap()
}

/// Everything of this run: logs stay there until the next run.
pub(crate) fn run_dir() -> &'static Path {
    DIR.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_old(root);
        let dir = root.join(format!("it-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory for the run");
        dir
    })
}

/// The directories of runs whose process is gone.
fn remove_old(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix("it-") else {
            continue;
        };
        if !Path::new("/proc").join(pid).exists() {
            // Another run may be removing it too.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// A name that no other test of this broker has.
pub(crate) fn fresh_namespace(test: &str) -> String {
    let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
    format!("{}-{number}", test.replace('_', "-"))
}

/// A producer for one topic that is not the program's own.
pub(crate) struct Topic {
    name: String,
    producer: BaseProducer,
}

impl Topic {
    /// With the program's partitioner.
    pub(crate) fn new(name: &str) -> Self {
        Self::with_partitioner(name, "murmur2_random")
    }

    /// With another partitioner of librdkafka.
    pub(crate) fn with_partitioner(name: &str, partitioner: &str) -> Self {
        Self::with(name, partitioner, true)
    }

    fn with(name: &str, partitioner: &str, is_idempotent: bool) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap())
            .set("partitioner", partitioner)
            .set("enable.idempotence", if is_idempotent { "true" } else { "false" })
            .set("linger.ms", "2")
            .set("message.max.bytes", "2000000")
            .create()
            .expect("a producer's settings");
        Self { name: name.to_owned(), producer }
    }

    /// Queues a record.
    pub(crate) fn send(&self, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.send_to(None, key, value);
    }

    /// Queues a record, for this partition if it is named.
    pub(crate) fn send_to(&self, partition: Option<i32>, key: Option<&[u8]>, value: Option<&[u8]>) {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.name);
        record.partition = partition;
        record.key = key;
        record.payload = value;
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.producer.poll(Duration::from_millis(10));
                    record = back;
                }
                Err((error, _)) => panic!("could not produce to {}: {error}", self.name),
            }
        }
    }

    /// Waits until the broker has acknowledged everything.
    pub(crate) fn flush(&self) {
        let deadline = Instant::now() + super::PATIENCE;
        while self.producer.in_flight_count() > 0 {
            assert!(Instant::now() < deadline, "the broker does not acknowledge records of {}", self.name);
            self.producer.poll(Duration::from_millis(10));
        }
    }
}

/// Reads a topic's first partition from its beginning, committed records only.
pub(crate) fn reader(topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("group.id", "reader-nobody-joins")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "100")
        .create()
        .expect("a consumer's settings");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    consumer
}

/// One record, acknowledged. Its producer is not idempotent: one that is asks for its id before it has a connection, and
/// then waits for half a second, which each of many records would cost.
pub(crate) fn produce(topic: &str, key: &str, value: &str) {
    let topic = Topic::with(topic, "murmur2_random", false);
    topic.send(Some(key.as_bytes()), Some(value.as_bytes()));
    topic.flush();
}
