//! How clients are configured: what correctness rests on is set here and can't be overridden; what belongs to the site
//! (TLS, SASL, racks, timeouts of the network) is passed through.

use std::fmt;

use rdkafka::config::ClientConfig;
use yardmaster_state::chaos::Mutant;

use super::error::{KafkaFailure, Result};
use super::properties::refusal;

/// A group that nobody joins: librdkafka wants a name even from consumers that are assigned by hand.
const NO_GROUP: &str = "yardmaster-nobody-joins";

/// How long an answer of a broker is waited for; at least 100 ms below the transaction's timeout (librdkafka's rule).
pub(super) const SOCKET_TIMEOUT_MS: u64 = 9_900;

/// How long a transaction may be open before the broker aborts it.
pub(super) const TRANSACTION_TIMEOUT_MS: u64 = 10_000;

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
            if let Some(why) = refusal(key.trim()) {
                return Err(KafkaFailure::Fatal(format!("kafka.{key} can't be set: {why}; remove it")));
            }
            config.set(key.trim(), value);
        }
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("allow.auto.create.topics", "false")
            .set("socket.timeout.ms", SOCKET_TIMEOUT_MS.to_string())
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
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string())
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

    fn assert_set(config: &ClientConfig, wanted: &[(&str, &str)]) {
        for (key, value) in wanted {
            assert_eq!(config.get(key), Some(*value), "{key}");
        }
    }

    #[test]
    fn readers_are_set_up_so_that_nothing_is_skipped_or_committed_behind_our_back() {
        let conn = Connection::new("localhost:1");
        let wanted = [
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("check.crcs", "true"),
            ("allow.auto.create.topics", "false"),
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.max.bytes", "8388608"),
            ("fetch.queue.backoff.ms", "5"),
            ("group.id", NO_GROUP),
        ];
        let committed = conn.committed_reader().unwrap();
        assert_set(&committed, &wanted);
        assert_set(&committed, &[("isolation.level", "read_committed")]);
        let all = conn.uncommitted_reader().unwrap();
        assert_set(&all, &wanted);
        assert_set(&all, &[("isolation.level", "read_uncommitted")]);
    }

    #[test]
    fn producers_are_set_up_so_that_each_gives_up_before_the_broker_does() {
        let config = Connection::new("localhost:1").transactional("ns-3").unwrap();
        let wanted = [
            ("transactional.id", "ns-3"),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("allow.auto.create.topics", "false"),
            ("partitioner", "murmur2_random"),
            ("queue.buffering.max.kbytes", "65536"),
            ("compression.type", "lz4"),
            ("linger.ms", "0"),
            ("message.max.bytes", RECORD_BYTES_MAX),
        ];
        assert_set(&config, &wanted);
        let number = |key: &str| config.get(key).unwrap().parse::<u64>().unwrap();
        assert!(number("socket.timeout.ms") + 100 <= number("transaction.timeout.ms"));
        assert!(number("message.timeout.ms") <= number("transaction.timeout.ms"));
    }

    #[test]
    fn a_connection_shows_no_values() {
        let conn =
            Connection { extra: vec![("sasl.password".into(), "hunter2".into())], ..Connection::new("b:1") };
        let shown = format!("{conn:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }
}
