//! Transactions of one processor. Whatever is not a plain success is doubt: the producer is not used again, and the
//! next claim of the same id settles at the broker what became of the transaction. After a success that came with trouble,
//! too, the producer is not used again: what it sent twice could still arrive, in the middle of the next transaction.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::util::Timeout;
use yardmaster_state::chaos::Mutant;
use yardmaster_state::fail_point;

use super::apart::Apart;
use super::calls::{Call, watched};
use super::client::{Connection, SOCKET_TIMEOUT_MS};
use super::error::{KafkaFailure, Result, code_of, failure, is_fenced, is_missing};
use super::serve::serve;
use super::statistics::{Listener, PRODUCER_REPORT_MS};
use super::tally::{Tally, WATCHED, opaque};

/// A little over the time in which librdkafka gives up on every record by itself.
const PATIENCE: Duration = Duration::from_secs(12);
/// A commit that takes longer was sent more than once, or soon would have been: half of the time after which librdkafka
/// gives up on a request.
const SLOW_COMMIT: Duration = Duration::from_millis(SOCKET_TIMEOUT_MS / 2);
/// How many words of librdkafka are heard at once; there are that many only when a broker was away for an hour.
const WORDS_MAX: usize = 10_000;
/// How long the broker may take to say whether a topic exists.
const LOOKUP: Duration = Duration::from_secs(2);

/// A record to be sent.
#[derive(Debug, Clone, Copy)]
pub struct OutRecord<'a> {
    /// Where to.
    pub topic: &'a str,
    /// To which partition; None leaves it to the key, as Java would hash it.
    pub partition: Option<i32>,
    /// The key.
    pub key: &'a [u8],
    /// The value; None is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: &'a [(String, Vec<u8>)],
}

/// What a commit has put into Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The offset of the last record that was sent to each watched topic.
    pub watched: [Option<i64>; 2],
    /// How many records the transaction had.
    pub records: u64,
    /// Their keys and values together, in bytes, before compression.
    pub bytes: u64,
}

/// A claimed transactional id.
pub struct Transactions {
    producer: Apart<BaseProducer<Tally>>,
    id: String,
    watched: [String; WATCHED],
    produced: u64,
    bytes: u64,
    /// Nobody knows what became of a transaction.
    is_doubtful: bool,
    /// Why it must not be used for another transaction, though the last one is certain.
    taint: Option<String>,
}

impl Transactions {
    /// Claims the id: whoever held it is fenced, and its open transaction is aborted or completed, markers written,
    /// before this returns. Takes up to 20 s.
    ///
    /// # Errors
    /// `Unreachable`: try again. `Fenced`: somebody else claimed it at the same time.
    pub fn claim(conn: &Connection, transactional_id: &str) -> Result<Self> {
        Self::claim_with(&conn.transactional(transactional_id)?, transactional_id, Tally::default())
    }

    /// As [`Transactions::claim`]; `listener` hears about the client.
    ///
    /// # Errors
    /// As [`Transactions::claim`].
    pub fn claim_heard(conn: &Connection, transactional_id: &str, listener: Listener) -> Result<Self> {
        let mut config = conn.transactional(transactional_id)?;
        config.set("statistics.interval.ms", PRODUCER_REPORT_MS);
        Self::claim_with(&config, transactional_id, Tally::new(Some(listener)))
    }

    fn claim_with(config: &ClientConfig, transactional_id: &str, tally: Tally) -> Result<Self> {
        let producer: BaseProducer<Tally> =
            config.create_with_context(tally).map_err(|error| failure("creating a producer", "", &error))?;
        let producer = Apart::new("a producer", producer);
        let claimed = watched(Call::Claim, transactional_id, || producer.init_transactions(Timeout::Never));
        let this = Self {
            producer,
            id: transactional_id.to_owned(),
            watched: <[String; WATCHED]>::default(),
            produced: 0,
            bytes: 0,
            is_doubtful: false,
            taint: None,
        };
        match claimed {
            Ok(()) => Ok(this),
            Err(error) => Err(this.unclaimed(transactional_id, &error)),
        }
    }

    /// From the next [`Transactions::begin`] on, commits report the offset of the last record sent to each of these topics.
    pub fn watch(&mut self, topics: [String; 2]) {
        self.watched = topics;
    }

    /// Begins a transaction; costs nothing by itself.
    ///
    /// # Errors
    /// `Fenced`, `Doubt` or, when there was trouble on the way of the last transaction, `Tainted`.
    pub fn begin(&mut self) -> Result<()> {
        if let Some(taint) = self.taint.as_ref().filter(|_| !Mutant::TaintIgnored.is_on()) {
            return Err(KafkaFailure::Tainted(taint.clone()));
        }
        let producer = self.usable()?;
        // A connection that was closed while nothing was open has no request on it that could come late.
        hear_out(producer);
        producer.context().reset();
        let begun = producer.begin_transaction();
        (self.produced, self.bytes) = (0, 0);
        begun.map_err(|error| self.doubt(&format!("beginning: {error}"), Some(&error)))?;
        fail_point!("after_begin");
        Ok(())
    }

    /// Queues a record. Blocks only while the queue is full.
    ///
    /// # Errors
    /// `Fenced` or `Doubt`.
    pub fn send(&mut self, record: OutRecord<'_>) -> Result<()> {
        let watched = self.watched.iter().position(|topic| topic == record.topic);
        let number = usize::try_from(self.produced + 1).unwrap_or(usize::MAX);
        let opaque = opaque(number, watched);
        match queue(self.usable()?, &record, opaque) {
            Ok(()) => {
                self.produced += 1;
                fail_point!("first_produce_enqueued", self.produced == 1);
                self.bytes += (record.key.len() + record.value.map_or(0, <[u8]>::len)) as u64;
                Ok(())
            }
            Err(error) => Err(self.doubt(&format!("sending to {}: {error}", record.topic), Some(&error))),
        }
    }

    /// Serves what has been reported so far, without waiting.
    ///
    /// # Errors
    /// `Fenced`, or `Doubt` when a record could not be delivered: there is no point in going on with the transaction.
    pub fn serve(&mut self) -> Result<()> {
        let producer = self.usable()?;
        producer.poll(Duration::ZERO);
        if producer.context().has_failed() { Err(self.undelivered()) } else { Ok(()) }
    }

    /// Waits until every record has arrived, and commits.
    ///
    /// # Errors
    /// As [`Transactions::commit_while`].
    pub fn commit(&mut self) -> Result<Delivered> {
        self.commit_while(&mut || false)
    }

    /// Waits until every record has arrived, and commits. `meanwhile` is called while there is nothing to do but to wait;
    /// it returns whether it did something.
    ///
    /// # Errors
    /// `Fenced` or `Doubt`; then [`Transactions::closed_topics`] may tell why. Claim again.
    pub fn commit_while(&mut self, meanwhile: &mut dyn FnMut() -> bool) -> Result<Delivered> {
        let producer = self.usable()?;
        let has_arrived = watched(Call::Deliver, &self.id, || drain(producer, meanwhile));
        fail_point!("after_flush");
        let counts = self.usable()?.context().counts();
        if !has_arrived || counts.failed > 0 || counts.delivered != self.produced {
            return Err(self.undelivered());
        }
        fail_point!("before_endtxn");
        let producer = self.usable()?;
        // Never means what is left of the transaction's timeout; other values may lose track of the state (rdkafka.h).
        let began = Instant::now();
        let committed = watched(Call::Commit, &self.id, || {
            while_unanswered(|| producer.commit_transaction(Timeout::Never))
        });
        match committed {
            Ok(()) => {
                self.taint = taint(producer, began.elapsed());
                Ok(Delivered {
                    watched: counts.watched.map(|last| last.map(|(_, offset)| offset)),
                    records: counts.delivered,
                    bytes: self.bytes,
                })
            }
            Err(error) => Err(self.doubt(&format!("committing: {error}"), Some(&error))),
        }
    }

    /// Topics that records of this transaction can't get into, however often that is tried: they don't exist, or refuse
    /// the record. Call it after a failure: records to a topic that was deleted just time out, so the broker is asked,
    /// for up to 2 s.
    #[must_use]
    pub fn closed_topics(&self) -> Vec<String> {
        let producer = &self.producer;
        let counts = producer.context().counts();
        let mut closed = counts.missing_topics;
        closed.extend(counts.refusing_topics);
        for topic in counts.unreached_topics {
            match is_unknown(producer, &topic) {
                Some(true) if !closed.contains(&topic) => closed.push(topic),
                Some(_) => {}
                None => break,
            }
        }
        closed
    }

    fn usable(&self) -> Result<&BaseProducer<Tally>> {
        if self.is_doubtful {
            return Err(KafkaFailure::Doubt("this producer has failed before: claim again".to_owned()));
        }
        Ok(&self.producer)
    }

    fn undelivered(&mut self) -> KafkaFailure {
        let counts = self.producer.context().counts();
        let first = counts.first_failure.unwrap_or_else(|| "no report".to_owned());
        let (delivered, produced) = (counts.delivered, self.produced);
        self.doubt(&format!("{delivered} of {produced} records were delivered; first failure: {first}"), None)
    }

    /// Gives the producer up and sorts the failure.
    fn doubt(&mut self, text: &str, error: Option<&KafkaError>) -> KafkaFailure {
        self.is_doubtful = true;
        let by_error = error.and_then(code_of).is_some_and(is_fenced);
        if by_error || self.is_fenced() { KafkaFailure::Fenced } else { KafkaFailure::Doubt(text.to_owned()) }
    }

    fn is_fenced(&self) -> bool {
        self.producer.client().fatal_error().is_some_and(|(code, _)| is_fenced(code))
    }

    fn unclaimed(&self, id: &str, error: &KafkaError) -> KafkaFailure {
        if self.is_fenced() { KafkaFailure::Fenced } else { failure(&format!("claiming {id}"), "", error) }
    }
}

fn queue(
    producer: &BaseProducer<Tally>,
    record: &OutRecord<'_>,
    opaque: usize,
) -> std::result::Result<(), KafkaError> {
    let deadline = Instant::now() + PATIENCE;
    let mut out = BaseRecord::<[u8], [u8], usize>::with_opaque_to(record.topic, opaque).key(record.key);
    out.partition = record.partition;
    out.payload = record.value;
    if !record.headers.is_empty() {
        out.headers = Some(owned(record.headers));
    }
    loop {
        match producer.send(out) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                if Instant::now() < deadline =>
            {
                out = back;
                serve(producer, &mut || false);
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Whether a producer met trouble in a transaction that is committed now, and which.
fn taint(producer: &BaseProducer<Tally>, took: Duration) -> Option<String> {
    hear_out(producer);
    let slow = || format!("the commit took {} ms", took.as_millis());
    producer.context().trouble().or_else(|| (took > SLOW_COMMIT).then(slow))
}

/// What librdkafka has to say waits in its queue until somebody polls; usually that is nothing.
fn hear_out(producer: &BaseProducer<Tally>) {
    let tally = producer.context();
    for _ in 0..WORDS_MAX {
        let before = tally.heard();
        producer.poll(Duration::ZERO);
        if tally.heard() == before {
            break;
        }
    }
}

fn owned(headers: &[(String, Vec<u8>)]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |owned, (key, value)| {
        owned.insert(Header { key, value: Some(value) })
    })
}

/// Whether the broker says that there is no such topic; None when it doesn't answer.
fn is_unknown(producer: &BaseProducer<Tally>, topic: &str) -> Option<bool> {
    let metadata = producer.client().fetch_metadata(Some(topic), LOOKUP).ok()?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    Some(found.is_none_or(|found| found.error().is_some_and(|error| is_missing(error.into()))))
}

/// Commits. A test may break the process meanwhile, after it was asked for and before there is an answer; this thread waits
/// then, so another one passes that place.
#[cfg(feature = "chaos")]
fn while_unanswered<T>(commit: impl FnOnce() -> T) -> T {
    use std::sync::atomic::{AtomicBool, Ordering};

    /// The request is out by then, and the broker's answer takes some milliseconds.
    const REQUEST_OUT: Duration = Duration::from_micros(500);
    let is_answered = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(REQUEST_OUT);
            if !is_answered.load(Ordering::SeqCst) {
                fail_point!("endtxn_sent_no_reply");
            }
        });
        let committed = commit();
        is_answered.store(true, Ordering::SeqCst);
        committed
    })
}

#[cfg(not(feature = "chaos"))]
fn while_unanswered<T>(commit: impl FnOnce() -> T) -> T {
    commit()
}

/// Serves until nothing is on its way: `flush` would wait in steps of 100 ms. False when a record failed or it took too
/// long: then the transaction can't be committed any more.
fn drain(producer: &BaseProducer<Tally>, meanwhile: &mut dyn FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while producer.in_flight_count() > 0 {
        serve(producer, meanwhile);
        if producer.context().has_failed() || Instant::now() >= deadline {
            return false;
        }
    }
    true
}
