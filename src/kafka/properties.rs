//! Which properties of librdkafka a site may set: what correctness rests on is ours, what opens a door needs a word of its
//! own, and what is secret is shown to nobody.

/// Why a property can't be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(&'static str);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

const BROKERS: &str = "kafka.bootstrap says it";
const EXACTLY_ONCE: &str = "exactly-once rests on it, so yardmaster sets it";
const POSITIONS: &str = "positions are kept with the state and no group is joined, so yardmaster sets it";
const SIZES: &str = "batches and topics are made for its value, so yardmaster sets it";
const TIMING: &str =
    "a stop, a recovery and the broker's own timeout are made for its value, so yardmaster sets it";
const PARTITIONING: &str =
    "a pool belongs to one partition, which Java's clients must find too, so yardmaster sets it";
const FOREIGN_CODE: &str = "it loads code into the process";

/// What is ours, in order.
const OWNED: [(&str, &str); 49] = [
    ("acks", EXACTLY_ONCE),
    ("allow.auto.create.topics", EXACTLY_ONCE),
    ("api.version.request", EXACTLY_ONCE),
    ("auto.commit.enable", POSITIONS),
    ("auto.commit.interval.ms", POSITIONS),
    ("auto.offset.reset", POSITIONS),
    ("bootstrap.servers", BROKERS),
    ("broker.version.fallback", EXACTLY_ONCE),
    ("check.crcs", EXACTLY_ONCE),
    ("compression.codec", SIZES),
    ("compression.type", SIZES),
    ("delivery.timeout.ms", TIMING),
    ("enable.auto.commit", POSITIONS),
    ("enable.auto.offset.store", POSITIONS),
    ("enable.gapless.guarantee", EXACTLY_ONCE),
    ("enable.idempotence", EXACTLY_ONCE),
    ("enable.partition.eof", POSITIONS),
    ("fetch.max.bytes", SIZES),
    ("fetch.queue.backoff.ms", TIMING),
    ("group.id", POSITIONS),
    ("group.instance.id", POSITIONS),
    ("group.protocol", POSITIONS),
    ("isolation.level", EXACTLY_ONCE),
    ("linger.ms", TIMING),
    ("log.queue", TIMING),
    ("max.in.flight", EXACTLY_ONCE),
    ("max.in.flight.requests.per.connection", EXACTLY_ONCE),
    ("message.max.bytes", SIZES),
    ("message.send.max.retries", EXACTLY_ONCE),
    ("message.timeout.ms", TIMING),
    ("metadata.broker.list", BROKERS),
    ("partitioner", PARTITIONING),
    ("plugin.library.paths", FOREIGN_CODE),
    ("queue.buffering.max.kbytes", SIZES),
    ("queue.buffering.max.messages", SIZES),
    ("queue.buffering.max.ms", TIMING),
    ("queued.max.messages.kbytes", SIZES),
    ("queuing.strategy", EXACTLY_ONCE),
    ("request.required.acks", EXACTLY_ONCE),
    ("request.timeout.ms", TIMING),
    ("retries", EXACTLY_ONCE),
    ("socket.timeout.ms", TIMING),
    ("ssl.engine.location", FOREIGN_CODE),
    ("ssl.providers", FOREIGN_CODE),
    ("statistics.interval.ms", TIMING),
    ("test.mock.num.brokers", BROKERS),
    ("topic.metadata.propagation.max.ms", TIMING),
    ("transaction.timeout.ms", TIMING),
    ("transactional.id", EXACTLY_ONCE),
];

/// Words of `debug` under which what is sent and who one is may be printed.
const PRINTING: [&str; 4] = ["all", "msg", "protocol", "security"];
const PRINTS: &str = "it may print records and credentials into the log";
const ANYBODY: &str = "anybody may pass for a broker then, and is given the credentials: name the brokers' authority with \
                       kafka.ssl.ca.location";

/// Words in the name of a property whose value is nobody's business.
const SECRET_WORDS: [&str; 6] = ["password", "secret", "token", "jaas", "key.pem", "credential"];

/// Why a site can't set this property, if it can't.
#[must_use]
pub fn refusal(property: &str) -> Option<Refusal> {
    OWNED.iter().find(|(owned, _)| *owned == property).map(|(_, why)| Refusal(why))
}

/// Whether nobody but Kafka may see the value.
#[must_use]
pub fn is_secret(property: &str) -> bool {
    // The address where a token is asked for is no token.
    !property.ends_with(".url") && SECRET_WORDS.iter().any(|word| property.contains(word))
}

/// What this value gives away, if it gives away anything: only who says so explicitly gets it.
#[must_use]
pub fn insecurity(property: &str, value: &str) -> Option<Refusal> {
    let value = value.trim().to_ascii_lowercase();
    let is_any = |of: &[&str]| value.split(',').any(|part| of.contains(&part.trim()));
    match property {
        "enable.ssl.certificate.verification" if is_any(&["false", "f", "0"]) => Some(Refusal(ANYBODY)),
        "ssl.endpoint.identification.algorithm" if is_any(&["none"]) => Some(Refusal(ANYBODY)),
        "debug" if is_any(&PRINTING) => Some(Refusal(PRINTS)),
        _other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_properties_are_sorted_and_unique() {
        assert!(OWNED.is_sorted_by(|left, right| left.0 < right.0));
    }

    #[test]
    fn what_correctness_rests_on_is_refused_with_the_reason() {
        for owned in [
            "transactional.id",
            "enable.auto.commit",
            "isolation.level",
            "group.id",
            "auto.offset.reset",
            "enable.idempotence",
            "partitioner",
            "allow.auto.create.topics",
            "check.crcs",
            "transaction.timeout.ms",
        ] {
            assert!(
                refusal(owned).is_some_and(|why| why.to_string().contains("yardmaster sets it")),
                "{owned}"
            );
        }
        assert_eq!(refusal("plugin.library.paths"), Some(Refusal(FOREIGN_CODE)));
        assert_eq!(refusal("client.rack"), None);
        assert_eq!(refusal("security.protocol"), None);
    }

    #[test]
    fn what_opens_a_door_is_known() {
        assert!(insecurity("enable.ssl.certificate.verification", "False").is_some());
        assert!(insecurity("enable.ssl.certificate.verification", "0").is_some());
        assert!(insecurity("ssl.endpoint.identification.algorithm", "none").is_some());
        assert!(insecurity("debug", "broker, security").is_some());
        assert_eq!(insecurity("enable.ssl.certificate.verification", "true"), None);
        assert_eq!(insecurity("ssl.endpoint.identification.algorithm", "https"), None);
        assert_eq!(insecurity("debug", "broker,eos"), None);
    }

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in ["sasl.password", "ssl.key.pem", "ssl.key.password", "sasl.oauthbearer.client.secret"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["security.protocol", "ssl.ca.location", "sasl.oauthbearer.token.endpoint.url"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
