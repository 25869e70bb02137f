//! Takes what batches send and looks for it where it must stand: channels, `events`, `dead-letter` and reply topics.

use std::collections::{BTreeMap, VecDeque};

use super::event_log::Group;
use super::failure::Halt;
use super::partition::Context;
use super::report::{Compared, Difference, Place};
use super::trail::{Sent, Step, Trail, record_hash};
use crate::kafka::{Connection, KafkaFailure, LogReader, OutRecord, Span, Topics, read_spans, settled_ends};
use crate::runtime::{Names, Outlet};

/// Texts of records are shown up to here.
const SHOWN_MAX: usize = 2_000;

/// What lies on the outputs of a partition, and how far it was met.
pub(super) struct Outputs {
    conn: Connection,
    names: Names,
    events: String,
    dead_letter: String,
    /// The channels and `dead-letter`, by topic.
    trails: BTreeMap<String, (i32, Trail)>,
    /// By topic: how often each record is there; none when it is not known.
    replies: BTreeMap<String, Option<BTreeMap<u64, u64>>>,
    group: Option<VecDeque<(i64, u64)>>,
    partition: i32,
    sequence: u64,
    /// All records of the batch lie below the ends.
    is_settled: bool,
    pub(super) compared: Compared,
    pub(super) gone: u64,
    pub(super) unknown_replies: u64,
    difference: Option<Difference>,
}

impl Outputs {
    /// Reads what is there; `knows_all` when the replay begins with the first batch.
    pub(super) fn read(context: &Context<'_>, knows_all: bool) -> Result<Self, KafkaFailure> {
        let mut spans = context.ends.channels.clone();
        spans.push(context.ends.dead_letter.clone());
        let mut found: Vec<Trail> = spans.iter().map(|span| Trail::new(span.from == 0, knows_all)).collect();
        read_spans(context.conn, &spans, &mut |index, record| {
            if let Some(trail) = found.get_mut(index) {
                let key = record.key.as_deref().unwrap_or_default();
                trail.push(record.offset, record_hash(key, record.value.as_deref(), &record.headers));
            }
        })?;
        let place = |(span, trail): (Span, Trail)| (span.topic, (span.partition, trail));
        Ok(Self {
            conn: context.conn.clone(),
            names: context.names.clone(),
            events: context.names.events(),
            dead_letter: context.names.dead_letter(),
            trails: spans.into_iter().zip(found).map(place).collect(),
            replies: BTreeMap::new(),
            group: None,
            partition: context.partition,
            sequence: 0,
            is_settled: false,
            compared: Compared::default(),
            gone: 0,
            unknown_replies: 0,
            difference: None,
        })
    }

    /// What comes now is of this batch. Without a group nobody knows what it wrote onto `events`.
    pub(super) fn begin(&mut self, sequence: u64, is_settled: bool, group: Option<&Group>) {
        (self.sequence, self.is_settled) = (sequence, is_settled);
        let mut records: Option<VecDeque<(i64, u64)>> =
            group.filter(|group| group.is_whole).map(|group| group.records.iter().copied().collect());
        if let Some(records) =
            records.as_mut().filter(|_| group.is_some_and(|group| group.copy.log.is_none()))
        {
            // The copy of an older server lacks members that ours has; its fields were compared already.
            records.pop_back();
        }
        self.group = records;
    }

    /// The bad records of the batch, in whatever order; each stands once.
    pub(super) fn letters(&mut self, mut letters: Letters) -> Result<(), KafkaFailure> {
        let trail = self.trails.get(&self.dead_letter).map(|(_, trail)| trail);
        letters.0.sort_by_cached_key(|letter| {
            trail.and_then(|trail| trail.place_of(letter.hash())).unwrap_or(usize::MAX)
        });
        let topic = self.dead_letter.clone();
        for letter in &letters.0 {
            self.put(OutRecord {
                topic: &topic,
                partition: Some(self.partition),
                key: &letter.key,
                value: letter.value.as_deref(),
                headers: &letter.headers,
            })?;
        }
        Ok(())
    }

    /// The batch is over: nothing more of it may be there.
    pub(super) fn end(&mut self, closed: &[String]) -> Result<(), Halt> {
        let left = self.group.as_ref().and_then(|group| group.front().copied());
        if let (None, Some((offset, _))) = (&self.difference, left) {
            let topic = self.events.clone();
            let detail = format!("batch {} did not publish this", self.sequence);
            self.differ("event", detail, (&topic, self.partition, Some(offset)), None)?;
        }
        for topic in closed {
            if let Some((_, trail)) = self.trails.get_mut(topic) {
                trail.forget();
            }
            if let Some(reply) = self.replies.get_mut(topic) {
                *reply = None;
            }
        }
        self.difference.take().map_or(Ok(()), |difference| Err(difference.into()))
    }

    /// All batches are over: nothing may be left.
    pub(super) fn finish(&mut self) -> Result<(), Halt> {
        let left = self.trails.iter().find_map(|(topic, (partition, trail))| {
            trail.left_over().map(|offset| (topic.clone(), *partition, offset))
        });
        if let Some((topic, partition, offset)) = left {
            let what = self.kind(&topic);
            let detail =
                "no batch has sent this record: somebody else wrote it, or it was written twice".to_owned();
            self.differ(what, detail, (&topic, partition, Some(offset)), None)?;
        }
        let lost = self.trails.iter().find_map(|(topic, (partition, trail))| {
            trail.lost().map(|sent| (topic.clone(), *partition, sent.clone()))
        });
        if let Some((topic, partition, sent)) = lost {
            self.sequence = sent.sequence;
            let detail =
                format!("what batch {} sends is not on {topic}, which has lost nothing", sent.sequence);
            let what = self.kind(&topic);
            self.differ(what, detail, (&topic, partition, None), Some((sent.key, sent.value)))?;
        }
        self.difference.take().map_or(Ok(()), |difference| Err(difference.into()))
    }

    fn kind(&self, topic: &str) -> &'static str {
        if topic == self.dead_letter { "dead_letter" } else { "message" }
    }

    fn event(&mut self, record: &OutRecord<'_>, hash: u64) -> Result<(), KafkaFailure> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let found = group.pop_front();
        if found.is_some_and(|(_, found)| found == hash) {
            self.compared.events += 1;
            return Ok(());
        }
        if found.is_none() && record.key == b"#batch" {
            return Ok(());
        }
        let detail = format!("batch {} publishes something else here", self.sequence);
        let place = (record.topic, self.partition, found.map(|(offset, _)| offset));
        self.differ("event", detail, place, Some(shown(record)))
    }

    fn message(&mut self, record: &OutRecord<'_>, hash: u64) -> Result<(), KafkaFailure> {
        let (sequence, what) = (self.sequence, self.kind(record.topic));
        let Some((partition, trail)) = self.trails.get_mut(record.topic) else {
            self.gone += 1;
            return Ok(());
        };
        let is_settled = self.is_settled;
        let (partition, step) =
            (*partition, trail.expect(hash, || is_settled.then(|| sent(sequence, record))));
        let (detail, offset) = match step {
            Step::Same if what == "dead_letter" => {
                self.compared.dead_letters += 1;
                return Ok(());
            }
            Step::Same => {
                self.compared.messages += 1;
                return Ok(());
            }
            Step::Gone => {
                self.gone += u64::from(is_settled);
                return Ok(());
            }
            Step::Missing if !self.is_settled => return Ok(()),
            Step::Missing => (format!("what batch {sequence} sends is not there"), None),
            Step::Foreign(offset) => {
                let detail = "no batch has sent this record: somebody else wrote it, or it was written twice"
                    .to_owned();
                return self.differ(what, detail, (record.topic, partition, Some(offset)), None);
            }
            Step::Other(offset) => (format!("batch {sequence} sends something else here"), Some(offset)),
        };
        self.differ(what, detail, (record.topic, partition, offset), Some(shown(record)))
    }

    fn reply(&mut self, record: &OutRecord<'_>, hash: u64) -> Result<(), KafkaFailure> {
        if !self.replies.contains_key(record.topic) {
            let found = read_replies(&self.conn, record.topic)?;
            self.replies.insert(record.topic.to_owned(), found);
        }
        let Some(Some(found)) = self.replies.get_mut(record.topic) else {
            self.unknown_replies += 1;
            return Ok(());
        };
        if let Some(count) = found.get_mut(&hash).filter(|count| **count > 0) {
            *count -= 1;
            self.compared.replies += 1;
            return Ok(());
        }
        if !self.is_settled {
            return Ok(());
        }
        let detail = format!("the reply that batch {} sends is not there", self.sequence);
        self.differ("reply", detail, (record.topic, 0, None), Some(shown(record)))
    }

    /// Keeps the first difference; what stands at the place is read again to be shown.
    fn differ(
        &mut self,
        what: &'static str,
        detail: String,
        (topic, partition, offset): (&str, i32, Option<i64>),
        expected: Option<(String, String)>,
    ) -> Result<(), KafkaFailure> {
        if self.difference.is_some() {
            return Ok(());
        }
        let found = match offset {
            Some(offset) => read_one(&self.conn, topic, partition, offset)?,
            None => None,
        };
        let key = expected.as_ref().or(found.as_ref()).map(|(key, _)| key.clone());
        self.difference = Some(Difference {
            what,
            detail,
            sequence: Some(self.sequence),
            place: offset.map(|offset| Place { topic: topic.to_owned(), partition, offset }),
            key,
            expected: expected.map(|(_, value)| value),
            found: found.map(|(_, value)| value),
            ..Difference::default()
        });
        Ok(())
    }
}

impl Outlet for Outputs {
    fn put(&mut self, record: OutRecord<'_>) -> Result<(), KafkaFailure> {
        // One difference is told: what follows from it is noise.
        if self.difference.is_some() {
            return Ok(());
        }
        let hash = record_hash(record.key, record.value, record.headers);
        if record.topic == self.events {
            self.event(&record, hash)
        } else if self.trails.contains_key(record.topic) || self.names.channel_of(record.topic).is_some() {
            self.message(&record, hash)
        } else {
            self.reply(&record, hash)
        }
    }
}

/// Bad records of one batch.
#[derive(Default)]
pub(super) struct Letters(Vec<Letter>);

struct Letter {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Letter {
    fn hash(&self) -> u64 {
        record_hash(&self.key, self.value.as_deref(), &self.headers)
    }
}

impl Outlet for Letters {
    fn put(&mut self, record: OutRecord<'_>) -> Result<(), KafkaFailure> {
        let (key, value) = (record.key.to_vec(), record.value.map(<[u8]>::to_vec));
        self.0.push(Letter { key, value, headers: record.headers.to_vec() });
        Ok(())
    }
}

/// All records of a reply topic; none when some may be gone.
fn read_replies(conn: &Connection, topic: &str) -> Result<Option<BTreeMap<u64, u64>>, KafkaFailure> {
    let Some(partitions) = Topics::new(conn)?.partitions(topic)? else { return Ok(None) };
    let places: Vec<(String, i32)> = (0..partitions).map(|partition| (topic.to_owned(), partition)).collect();
    let mut spans = Vec::new();
    for ((topic, partition), ends) in places.iter().zip(settled_ends(conn, &places)?) {
        let Some((0, end)) = ends else { return Ok(None) };
        spans.push(Span { topic: topic.clone(), partition: *partition, from: 0, end });
    }
    let mut found: BTreeMap<u64, u64> = BTreeMap::new();
    read_spans(conn, &spans, &mut |_, record| {
        let key = record.key.as_deref().unwrap_or_default();
        *found.entry(record_hash(key, record.value.as_deref(), &record.headers)).or_default() += 1;
    })?;
    Ok(Some(found))
}

fn read_one(
    conn: &Connection,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<(String, String)>, KafkaFailure> {
    let record = LogReader::open(conn, topic, partition, offset)?.next_before(offset + 1)?;
    Ok(record.map(|record| {
        let value = record.value.as_deref().map_or_else(|| "no value".to_owned(), text);
        (text(record.key.as_deref().unwrap_or_default()), value)
    }))
}

fn sent(sequence: u64, record: &OutRecord<'_>) -> Sent {
    let (key, value) = shown(record);
    Sent { sequence, key, value }
}

fn shown(record: &OutRecord<'_>) -> (String, String) {
    (text(record.key), record.value.map_or_else(|| "no value".to_owned(), text))
}

fn text(bytes: &[u8]) -> String {
    let head = bytes.get(..bytes.len().min(SHOWN_MAX)).unwrap_or_default();
    let end = if bytes.len() > SHOWN_MAX { " ..." } else { "" };
    format!("{}{end}", String::from_utf8_lossy(head))
}
