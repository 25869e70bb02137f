//! Counts what became of the records of a transaction: librdkafka reports each delivery by itself, and only a
//! transaction of which every record arrived may be committed. Notes trouble on the way, too: what was sent twice over two
//! connections may arrive in the next transaction (KAFKA-17754), so a producer that met trouble is not used again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use yardmaster_state::fail_point;

use super::error::{code_of, is_missing, is_refusal};
use super::statistics::{Listener, report};

/// How many topics are watched.
pub(super) const WATCHED: usize = 2;

/// What a record carries so that its delivery can be told: its number, and which watched topic it goes to, if one.
pub(super) fn opaque(number: usize, watched: Option<usize>) -> usize {
    number.saturating_mul(WATCHED + 1) + watched.map_or(0, |at| at + 1)
}

/// What was reported since the last reset.
#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    /// Records that arrived.
    pub(super) delivered: u64,
    /// Records that did not.
    pub(super) failed: u64,
    /// The first failure, in words.
    pub(super) first_failure: Option<String>,
    /// Topics that don't exist, in the order in which they were met.
    pub(super) missing_topics: Vec<String>,
    /// Topics whose broker will never take such a record.
    pub(super) refusing_topics: Vec<String>,
    /// Topics that records failed to reach for any other reason.
    pub(super) unreached_topics: Vec<String>,
    /// Number and offset of the last record to each watched topic.
    pub(super) watched: [Option<(usize, i64)>; WATCHED],
    /// The first trouble with a connection, in words.
    pub(super) trouble: Option<String>,
}

/// The context that keeps count, and passes on what librdkafka reports.
#[derive(Default)]
pub(super) struct Tally {
    counts: Mutex<Counts>,
    listener: Option<Listener>,
    /// How many reports of any kind came.
    heard: AtomicU64,
}

/// What librdkafka logs its trouble with a connection under: it was cut, or requests on it timed out.
const TROUBLES: [&str; 3] = ["FAIL", "REQTMOUT", "TXNERR"];

/// Whether the code says that a request may have been sent, and sent again, without an answer to the first.
fn is_trouble(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::TimedOutQueue
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::NetworkException
    )
}

impl Tally {
    /// Nothing counted yet.
    pub(super) fn new(listener: Option<Listener>) -> Self {
        Self { listener, ..Self::default() }
    }

    /// How many reports of any kind came: when polling brings no more of them, all were heard.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    fn hear(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    fn note_trouble(&self, words: String) {
        self.lock().trouble.get_or_insert(words);
    }

    /// The counts so far.
    pub(super) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    /// Whether any record failed.
    pub(super) fn has_failed(&self) -> bool {
        self.lock().failed > 0
    }

    /// The first trouble with a connection since the last reset.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// Forgets everything, before the next transaction.
    pub(super) fn reset(&self) {
        *self.lock() = Counts::default();
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Tally {
    fn log(&self, level: RDKafkaLogLevel, topic: &str, text: &str) {
        self.hear();
        if TROUBLES.contains(&topic) {
            self.note_trouble(format!("{topic}: {text}"));
        }
        // As every other client does it.
        DefaultClientContext.log(level, topic, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.hear();
        if code_of(&error).is_some_and(is_trouble) {
            self.note_trouble(format!("{error}: {reason}"));
        }
        DefaultClientContext.error(error, reason);
    }

    fn stats_raw(&self, json: &[u8]) {
        self.hear();
        if let (Some(listener), Some(report)) = (&self.listener, report(json)) {
            listener(&report);
        }
    }
}

impl ProducerContext for Tally {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        self.hear();
        let mut counts = self.lock();
        match result {
            Ok(message) => {
                counts.delivered += 1;
                fail_point!("some_delivered", counts.delivered == 1);
                let (number, topic) = (opaque / (WATCHED + 1), opaque % (WATCHED + 1));
                if let Some(watched) = topic.checked_sub(1).and_then(|at| counts.watched.get_mut(at))
                    && watched.is_none_or(|(last, _)| last < number)
                {
                    *watched = Some((number, message.offset()));
                }
            }
            Err((error, message)) => {
                counts.failed += 1;
                let topic = message.topic().to_owned();
                if counts.first_failure.is_none() {
                    counts.first_failure = Some(format!("{topic}: {error}"));
                }
                let code = code_of(error);
                let Counts { missing_topics, refusing_topics, unreached_topics, .. } = &mut *counts;
                let list = match code {
                    Some(code) if is_missing(code) => missing_topics,
                    Some(code) if is_refusal(code) => refusing_topics,
                    Some(_) | None => unreached_topics,
                };
                if !list.contains(&topic) {
                    list.push(topic);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tell: impl FnOnce(&Tally)) -> Option<String> {
        let tally = Tally::default();
        tell(&tally);
        assert!(tally.heard() > 0);
        tally.counts().trouble
    }

    #[test]
    fn a_connection_that_was_cut_is_trouble() {
        let cut = |tally: &Tally| tally.log(RDKafkaLogLevel::Error, "FAIL", "b:9092/1: Disconnected");
        assert_eq!(told(cut).as_deref(), Some("FAIL: b:9092/1: Disconnected"));
        let late = |tally: &Tally| tally.log(RDKafkaLogLevel::Warning, "REQTMOUT", "Timed out 1 in-flight");
        assert!(told(late).is_some());
        let down = KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
        assert!(told(|tally| tally.error(down, "1/1 brokers are down")).is_some());
    }

    #[test]
    fn other_words_of_the_client_are_none() {
        assert_eq!(told(|tally| tally.log(RDKafkaLogLevel::Warning, "CONFWARN", "a property")), None);
        let other = KafkaError::Global(RDKafkaErrorCode::TopicAuthorizationFailed);
        assert_eq!(told(|tally| tally.error(other, "not for you")), None);
        assert_eq!(told(|tally| tally.stats_raw(b"{}")), None);
    }

    #[test]
    fn the_first_trouble_is_kept_until_the_next_transaction() {
        let tally = Tally::default();
        tally.log(RDKafkaLogLevel::Error, "FAIL", "first");
        tally.log(RDKafkaLogLevel::Error, "FAIL", "second");
        assert_eq!(tally.counts().trouble.as_deref(), Some("FAIL: first"));
        tally.reset();
        assert_eq!(tally.counts().trouble, None);
    }
}
