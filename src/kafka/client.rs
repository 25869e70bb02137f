//! How clients are configured: what correctness rests on is set here and can't be overridden; what belongs to the site
//! (TLS, SASL, racks, timeouts of the network) is passed through.

use std::fmt;

use rdkafka::config::ClientConfig;
use yardmaster_state::chaos::Mutant;

use super::error::{KafkaFailure, Result};

/// A group that nobody joins: librdkafka wants a name even from consumers that are assigned by hand.
const NO_GROUP: &str = "yardmaster-nobody-joins";

/// Properties on which exactly-once, or this module's own timing, rests.
const OWNED: [&str; 40] = [
    "acks",
    "allow.auto.create.topics",
    "auto.commit.enable",
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "compression.codec",
    "compression.type",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "fetch.max.bytes",
    "fetch.queue.backoff.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "linger.ms",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.broker.list",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "queued.max.messages.kbytes",
    "queuing.strategy",
    "request.required.acks",
    "retries",
    "socket.timeout.ms",
    "statistics.interval.ms",
    "topic.metadata.propagation.max.ms",
    "transaction.timeout.ms",
    "transactional.id",
];

/// The largest record that a processor may write, and so the `max.message.bytes` of the topics that it writes to. What
/// comes in is held below Kafka's usual 1 MiB; a task's last event has its whole spec, its result and its attempts, and
/// a record that does not fit would fail its batch for ever.
pub const RECORD_BYTES_MAX: &str = "4194304";

/// Where Kafka is, and how to get in.
#[derive(Clone, Default)]
pub struct Connection {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// Properties of librdkafka that are passed through, in order.
    pub extra: Vec<(String, String)>,
}

impl fmt::Debug for Connection {
    /// Without the values: passwords are among them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.extra.iter().map(|(key, _)| key.as_str()).collect();
        formatter
            .debug_struct("Connection")
            .field("bootstrap", &self.bootstrap)
            .field("extra", &keys)
            .finish()
    }
}

impl Connection {
    /// A connection with no properties of its own.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), extra: Vec::new() }
    }

    /// What every client starts from.
    pub(super) fn base(&self) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        for (key, value) in &self.extra {
            if OWNED.contains(&key.trim()) {
                return Err(KafkaFailure::Fatal(format!(
                    "the kafka property {key} is set by yardmaster and can't be changed: remove it"
                )));
            }
            config.set(key.trim(), value);
        }
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("allow.auto.create.topics", "false")
            .set("socket.timeout.ms", "9900")
            // Lower than the messages' own timeout, so that a missing topic fails by name.
            .set("topic.metadata.propagation.max.ms", "5000");
        // A site may override these: Nagle's algorithm costs latency, and a broker that comes back is found soon.
        for (key, value) in [("socket.nagle.disable", "true"), ("reconnect.backoff.max.ms", "1000")] {
            if config.get(key).is_none() {
                config.set(key, value);
            }
        }
        Ok(config)
    }

    /// A consumer that is assigned by hand and sees only what was committed.
    pub(super) fn committed_reader(&self) -> Result<ClientConfig> {
        self.reader("read_committed")
    }

    /// A consumer that sees everything: only for watermarks, which it does not hold back at open transactions.
    pub(super) fn uncommitted_reader(&self) -> Result<ClientConfig> {
        self.reader("read_uncommitted")
    }

    fn reader(&self, isolation: &str) -> Result<ClientConfig> {
        let mut config = self.base()?;
        config
            .set("group.id", NO_GROUP)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "false")
            .set("auto.offset.reset", if Mutant::SkipLost.is_on() { "latest" } else { "error" })
            .set("isolation.level", isolation)
            .set("check.crcs", "true")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.max.bytes", "8388608")
            .set("fetch.queue.backoff.ms", "5");
        Ok(config)
    }

    /// What producers have in common.
    pub(super) fn producer(&self) -> Result<ClientConfig> {
        let mut config = self.base()?;
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", "0")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "65536");
        Ok(config)
    }

    /// A producer of transactions: whatever is in one gives up before the broker does.
    pub(super) fn transactional(&self, id: &str) -> Result<ClientConfig> {
        let mut config = self.producer()?;
        config
            .set("transactional.id", id)
            .set("message.max.bytes", RECORD_BYTES_MAX)
            .set("transaction.timeout.ms", "10000")
            .set("message.timeout.ms", "9000");
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str) -> Connection {
        Connection { bootstrap: "localhost:1".to_owned(), extra: vec![(key.to_owned(), "1".to_owned())] }
    }

    #[test]
    fn refuses_what_it_owns_and_names_it() {
        let error = with("isolation.level").committed_reader().unwrap_err();
        assert!(error.to_string().contains("isolation.level"), "{error}");
    }

    #[test]
    fn passes_the_rest_through() {
        let config = with("client.rack").committed_reader().unwrap();
        assert_eq!(config.get("client.rack"), Some("1"));
        assert_eq!(config.get("isolation.level"), Some("read_committed"));
    }

    #[test]
    fn owned_properties_are_sorted_and_unique() {
        assert!(OWNED.is_sorted_by(|left, right| left < right));
    }
}
