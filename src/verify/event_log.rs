//! `events` in the groups in which it was written: what one batch published, and the copy of its batch record last.

use yardmaster_topologies::wire::{BatchLog, Event, InputRange, decode_event};

use super::failure::Halt;
use super::report::{Difference, Place};
use super::trail::record_hash;
use crate::kafka::{Connection, LogReader, Span};

/// What one batch wrote.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) sequence: u64,
    pub(super) copy: Copied,
    /// Offset and hash of each record, the copy of the batch record last.
    pub(super) records: Vec<(i64, u64)>,
    /// Retention has taken nothing from it.
    pub(super) is_whole: bool,
}

/// The copy of a batch record.
#[derive(Debug, Clone)]
pub(super) struct Copied {
    pub(super) tasks: InputRange,
    pub(super) status: InputRange,
    pub(super) wall_ms: u64,
    pub(super) log: Option<BatchLog>,
}

/// Reads the groups in order.
#[derive(Debug)]
pub(super) struct EventLog {
    span: Span,
    reader: LogReader,
    /// The sequence of the last group.
    last: Option<u64>,
}

/// The key of copies of batch records.
const BATCH_KEY: &[u8] = b"#batch";

impl EventLog {
    pub(super) fn open(conn: &Connection, span: &Span) -> Result<Self, Halt> {
        let reader = LogReader::open(conn, &span.topic, span.partition, span.from)?;
        Ok(Self { span: span.clone(), reader, last: None })
    }

    pub(super) fn next(&mut self) -> Result<Option<Group>, Halt> {
        let mut records = Vec::new();
        while let Some(record) = self.reader.next_before(self.span.end)? {
            let key = record.key.as_deref().unwrap_or_default();
            let value = record.value.as_deref();
            records.push((record.offset, record_hash(key, value, &record.headers)));
            if key == BATCH_KEY
                && let Some(Ok(Event::Batch { sequence, tasks, status, at, log, .. })) =
                    value.map(decode_event)
            {
                let is_whole = self.last.is_some() || self.span.from == 0;
                if let Some(last) = self.last.filter(|last| last + 1 != sequence) {
                    return Err(self.not_next(record.offset, last, sequence));
                }
                self.last = Some(sequence);
                let copy = Copied { tasks, status, wall_ms: at.0, log: log.map(|log| *log) };
                return Ok(Some(Group { sequence, copy, records, is_whole }));
            }
        }
        match records.first() {
            None => Ok(None),
            Some((offset, _)) => Err(Difference {
                what: "event",
                detail: "records behind the last batch belong to none: somebody else wrote them".to_owned(),
                place: Some(self.place(*offset)),
                ..Difference::default()
            }
            .into()),
        }
    }

    fn not_next(&self, offset: i64, last: u64, sequence: u64) -> Halt {
        Difference {
            what: "event",
            detail: format!("the copy of batch record {sequence} follows that of {last}"),
            sequence: Some(sequence),
            place: Some(self.place(offset)),
            ..Difference::default()
        }
        .into()
    }

    fn place(&self, offset: i64) -> Place {
        Place { topic: self.span.topic.clone(), partition: self.span.partition, offset }
    }
}
