//! Reads a partition up to a given end and says when it is there: what an audit reads, several logs side by side.

use std::time::{Duration, Instant};

use super::client::Connection;
use super::error::{KafkaFailure, Result};
use super::reader::Reader;
use super::source::{Taken, taken};

const POLL: Duration = Duration::from_millis(50);
/// A reader that gets no further for so long is stuck.
const STALL: Duration = Duration::from_secs(60);

/// Reads the committed records of one partition, with one record in hand.
pub struct LogReader {
    reader: Reader,
    place: String,
    next: i64,
    ahead: Option<Taken>,
}

impl LogReader {
    /// Reads from the offset `from` on, which must be there.
    ///
    /// # Errors
    /// When the configuration is refused. What the broker refuses comes from [`LogReader::next_before`].
    pub fn open(conn: &Connection, topic: &str, partition: i32, from: i64) -> Result<Self> {
        let reader = Reader::open(conn, vec![(topic.to_owned(), partition, from)])?;
        Ok(Self { reader, place: format!("{topic}-{partition}"), next: from, ahead: None })
    }

    /// The next record with an offset below `end`; none when there is no other.
    ///
    /// # Errors
    /// `Lost` when an offset is gone, `MissingTopic`, `Unreachable` when nothing came for a minute.
    pub fn next_before(&mut self, end: i64) -> Result<Option<Taken>> {
        let mut progress = Instant::now();
        loop {
            if let Some(record) = self.ahead.take_if(|record| record.offset < end) {
                self.next = record.offset + 1;
                return Ok(Some(record));
            }
            if self.ahead.is_some() || self.next >= end {
                return Ok(None);
            }
            match self.reader.poll(POLL, taken) {
                Ok(Some(record)) => self.ahead = Some(record),
                // The position passes the markers of transactions, which are no records.
                Ok(None) if self.reader.position(0).is_some_and(|position| position > self.next) => {
                    self.next = self.reader.position(0).unwrap_or(self.next);
                    progress = Instant::now();
                }
                Ok(None) | Err(KafkaFailure::Unreachable(_)) if progress.elapsed() > STALL => {
                    return Err(KafkaFailure::Unreachable(format!(
                        "{}: nothing came at offset {} for a minute, {end} was to be reached",
                        self.place, self.next
                    )));
                }
                Ok(None) | Err(KafkaFailure::Unreachable(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LogReader").field("place", &self.place).field("next", &self.next).finish()
    }
}

/// A part of a partition: from an offset, before another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset after the last.
    pub end: i64,
}

/// Reads many short logs with one client; `visit` gets the index of the span with each committed record in it.
///
/// # Errors
/// As [`LogReader::next_before`].
pub fn read_spans(conn: &Connection, spans: &[Span], visit: &mut dyn FnMut(usize, &Taken)) -> Result<()> {
    let mut open: Vec<usize> = (0..spans.len()).collect();
    open.retain(|index| spans.get(*index).is_some_and(|span| span.from < span.end));
    if open.is_empty() {
        return Ok(());
    }
    let place = |index: &usize| spans.get(*index).map(|span| (span.topic.clone(), span.partition, span.from));
    let assigned = open.clone();
    let mut reader = Reader::open(conn, assigned.iter().filter_map(place).collect())?;
    let mut progress = Instant::now();
    // Places are counted by the reader in the order in which they were given.
    let mut left: Vec<usize> = (0..assigned.len()).collect();
    while !left.is_empty() {
        let of = |place: usize| assigned.get(place).and_then(|index| Some((*index, spans.get(*index)?)));
        match reader.poll(POLL, taken) {
            Ok(Some(record)) => {
                progress = Instant::now();
                let Some((index, span)) = of(record.input) else { continue };
                if record.offset < span.end {
                    visit(index, &record);
                }
                if record.offset + 1 >= span.end {
                    left.retain(|place| *place != record.input);
                }
            }
            Ok(None) | Err(KafkaFailure::Unreachable(_)) if progress.elapsed() > STALL => {
                let waiting = left.first().and_then(|place| of(*place)).map(|(_, span)| span.clone());
                return Err(KafkaFailure::Unreachable(format!("nothing came for a minute of {waiting:?}")));
            }
            Ok(None) => left.retain(|place| {
                let end = of(*place).map_or(0, |(_, span)| span.end);
                reader.position(*place).is_none_or(|position| position < end)
            }),
            Err(KafkaFailure::Unreachable(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
