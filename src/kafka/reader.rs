//! The consumer below all readers: assigned by hand, committed records only. An offset that is gone is an error with
//! its particulars, never a silent jump.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::apart::Apart;
use super::client::Connection;
use super::error::{KafkaFailure, Result, code_of, failure, is_missing};
use super::statistics::{CONSUMER_REPORT_MS, Ends, Listener};

/// How long asking for the particulars of a lost offset may take.
const PARTICULARS: Duration = Duration::from_secs(2);

/// A partition that is read, and what was read of it.
struct Place {
    topic: String,
    partition: i32,
    start: i64,
    next: i64,
}

/// A consumer with a fixed assignment.
pub(super) struct Reader {
    consumer: Apart<BaseConsumer<Ends>>,
    places: Vec<Place>,
    /// Where the last record came from: they come in runs, so it is looked at first.
    last: usize,
}

impl Reader {
    /// Reads from the given offsets on: topic, partition, next offset.
    pub(super) fn open(conn: &Connection, places: Vec<(String, i32, i64)>) -> Result<Self> {
        Self::create(&conn.committed_reader()?, places, Ends::default())
    }

    /// As [`Reader::open`], of all records, those of open and of aborted transactions included.
    pub(super) fn open_uncommitted(conn: &Connection, places: Vec<(String, i32, i64)>) -> Result<Self> {
        Self::create(&conn.uncommitted_reader()?, places, Ends::default())
    }

    /// As [`Reader::open`]; `listener` hears about the client, and [`Reader::end`] knows where the places end.
    pub(super) fn open_heard(
        conn: &Connection,
        places: Vec<(String, i32, i64)>,
        listener: Listener,
    ) -> Result<Self> {
        let mut config = conn.committed_reader()?;
        config.set("statistics.interval.ms", CONSUMER_REPORT_MS);
        let ends = Ends::of(listener, &places);
        Self::create(&config, places, ends)
    }

    fn create(config: &ClientConfig, places: Vec<(String, i32, i64)>, ends: Ends) -> Result<Self> {
        let consumer: BaseConsumer<Ends> =
            config.create_with_context(ends).map_err(|error| failure("creating a consumer", "", &error))?;
        let mut list = TopicPartitionList::new();
        let mut kept = Vec::with_capacity(places.len());
        for (topic, partition, start) in places {
            list.add_partition_offset(&topic, partition, Offset::Offset(start)).map_err(|error| {
                failure(&format!("assigning {topic}-{partition} at {start}"), &topic, &error)
            })?;
            kept.push(Place { topic, partition, start, next: start });
        }
        consumer.assign(&list).map_err(|error| failure("assigning partitions", "", &error))?;
        Ok(Self { consumer: Apart::new("a reader", consumer), places: kept, last: 0 })
    }

    /// Waits for one record and hands it to `read`, with the index of its place.
    pub(super) fn poll<T>(
        &mut self,
        wait: Duration,
        read: impl FnOnce(usize, &BorrowedMessage<'_>) -> T,
    ) -> Result<Option<T>> {
        let reports = self.consumer.context().reports();
        let mut polled = self.consumer.poll(wait);
        if polled.is_none() && self.consumer.context().reports() > reports {
            // A report ends the poll, too: without a second look, records that wait would be taken for none.
            polled = self.consumer.poll(Duration::ZERO);
        }
        let message = match polled {
            None => return Ok(None),
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(self.sort(&error)),
        };
        let is_it = |place: &Place| place.partition == message.partition() && place.topic == message.topic();
        let found = if self.places.get(self.last).is_some_and(is_it) {
            Some(self.last)
        } else {
            self.places.iter().position(is_it)
        };
        let Some((index, place)) = found.and_then(|index| Some((index, self.places.get_mut(index)?))) else {
            return Err(KafkaFailure::Fatal(format!(
                "got a record of {}-{}, which is not assigned",
                message.topic(),
                message.partition()
            )));
        };
        self.last = index;
        place.next = message.offset() + 1;
        Ok(Some(read(index, &message)))
    }

    /// The offset that comes next; it passes the markers of transactions once they were polled over. A partition of
    /// which nothing came yet stands at its start. None when there is no such place.
    pub(super) fn position(&self, index: usize) -> Option<i64> {
        let place = self.places.get(index)?;
        let list = self.consumer.position().ok();
        let offset = list.and_then(|list| Some(list.find_partition(&place.topic, place.partition)?.offset()));
        match offset {
            Some(Offset::Offset(offset)) => Some(offset.max(place.next)),
            Some(
                Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_),
            )
            | None => Some(place.next.max(place.start)),
        }
    }

    /// Where a place ended when the client last reported.
    pub(super) fn end(&self, index: usize) -> Option<i64> {
        self.consumer.context().end(index)
    }

    fn sort(&self, error: &KafkaError) -> KafkaFailure {
        match code_of(error) {
            Some(
                RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::LogTruncation,
            ) => self.lost(),
            Some(code) if is_missing(code) => KafkaFailure::MissingTopic(self.missing()),
            Some(_) | None => failure("reading", "", error),
        }
    }

    /// The topics that the broker does not know; all when it does not say.
    fn missing(&self) -> String {
        let mut names: Vec<&str> = self.places.iter().map(|place| place.topic.as_str()).collect();
        names.dedup();
        let is_unknown = |name: &&str| {
            let metadata = self.consumer.fetch_metadata(Some(name), PARTICULARS);
            metadata.is_ok_and(|metadata| metadata.topics().iter().all(|topic| topic.error().is_some()))
        };
        let unknown: Vec<&str> = names.iter().copied().filter(|name| is_unknown(name)).collect();
        if unknown.is_empty() { names.join(" or ") } else { unknown.join(", ") }
    }

    /// The error does not say which partition it is about: their watermarks do.
    fn lost(&self) -> KafkaFailure {
        let mut unknown = None;
        for place in &self.places {
            let marks = self.consumer.fetch_watermarks(&place.topic, place.partition, PARTICULARS);
            let (first, last) = marks.unwrap_or((-1, -1));
            let wanted = self.wanted(place);
            let is_known = last >= 0;
            let lost = KafkaFailure::Lost {
                topic: place.topic.clone(),
                partition: place.partition,
                wanted,
                first,
                last,
            };
            if is_known && (wanted < first || wanted > last) {
                return lost;
            }
            if !is_known || unknown.is_none() {
                unknown = Some(lost);
            }
        }
        unknown.unwrap_or_else(|| KafkaFailure::Fatal("lost an offset of no partition".to_owned()))
    }

    fn wanted(&self, place: &Place) -> i64 {
        let index = self.places.iter().position(|other| std::ptr::eq(other, place));
        index.and_then(|index| self.position(index)).unwrap_or(place.next)
    }
}
