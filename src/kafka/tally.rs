//! Counts what became of the records of a transaction: librdkafka reports each delivery by itself, and only a
//! transaction of which every record arrived may be committed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
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
}

/// The context that keeps count, and passes on what librdkafka reports.
#[derive(Default)]
pub(super) struct Tally {
    counts: Mutex<Counts>,
    listener: Option<Listener>,
}

impl Tally {
    /// Nothing counted yet.
    pub(super) fn new(listener: Option<Listener>) -> Self {
        Self { counts: Mutex::default(), listener }
    }

    /// The counts so far.
    pub(super) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    /// Whether any record failed.
    pub(super) fn has_failed(&self) -> bool {
        self.lock().failed > 0
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
    fn stats_raw(&self, json: &[u8]) {
        if let (Some(listener), Some(report)) = (&self.listener, report(json)) {
            listener(&report);
        }
    }
}

impl ProducerContext for Tally {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
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
