//! The changelog's own rules: batch records come in sequence and continue each other's inputs, each claims the rows before
//! it, digests are right where no row is missing, and above the oldest batch record nothing is left unclaimed.

use std::collections::{BTreeMap, VecDeque};

use yardmaster_state::{BATCH_RING, BatchRecord, Digest, NextOffset, batch_key, is_batch_key};

/// A row of the changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) offset: i64,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

/// A batch record, and what it claims.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) record: BatchRecord,
    pub(super) offset: i64,
    pub(super) rows: Vec<Row>,
    /// No row was compacted away.
    pub(super) is_whole: bool,
    /// Rows before it that nobody claims.
    pub(super) torn: Vec<Row>,
}

/// Something that breaks the rules.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breach {
    pub(super) offset: i64,
    pub(super) sequence: Option<u64>,
    pub(super) row: Option<Row>,
    pub(super) detail: String,
}

/// How much was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) records: u64,
    pub(super) batches: u64,
    pub(super) digests: u64,
    pub(super) repaired: u64,
    pub(super) first_sequence: u64,
    pub(super) last_sequence: u64,
    /// Every batch from the first one on was there with all its rows.
    pub(super) is_whole: bool,
}

/// Rows before the oldest batch record are the live ones of old batches: they are not kept.
const UNCLAIMED_BYTES_MAX: usize = 64 << 20;

/// Follows a changelog from its beginning.
#[derive(Debug)]
pub(super) struct Claims {
    waiting: VecDeque<Row>,
    waiting_bytes: usize,
    /// What was claimed last ends here.
    floor: i64,
    last: Option<BatchRecord>,
    /// Where rows stand that nobody claimed and nobody has written again.
    torn: BTreeMap<Vec<u8>, Row>,
    missing_max: Option<u64>,
    seen: Seen,
}

impl Claims {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            floor: 0,
            last: None,
            torn: BTreeMap::new(),
            missing_max: None,
            seen: Seen { is_whole: true, ..Seen::default() },
        }
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen
    }

    /// Takes the next committed record; of a batch record its claim comes back.
    pub(super) fn feed(&mut self, row: Row) -> Result<Option<Claim>, Breach> {
        self.seen.records += 1;
        if !is_batch_key(&row.key) {
            self.waiting_bytes += bytes(&row);
            self.waiting.push_back(row);
            while self.last.is_none() && self.waiting_bytes > UNCLAIMED_BYTES_MAX {
                self.waiting_bytes -= self.waiting.pop_front().as_ref().map_or(0, bytes);
                self.seen.is_whole = false;
            }
            return Ok(None);
        }
        let value = row.value.as_deref().unwrap_or_default();
        match BatchRecord::decode(value) {
            Ok(record) => self.close(row.offset, &row.key, record).map(Some),
            Err(error) => {
                let detail = format!("a batch record can't be read: {error}");
                Err(Breach { offset: row.offset, sequence: None, row: None, detail })
            }
        }
    }

    /// Everything that is committed was fed.
    pub(super) fn finish(mut self) -> Result<Seen, Breach> {
        if let Some(row) = self.waiting.pop_front() {
            let detail = match &self.last {
                Some(last) => format!(
                    "a row behind batch {}, the last one, belongs to no batch: it was written by somebody else, or its \
                     commit was torn",
                    last.sequence
                ),
                None => "there are rows and no batch record".to_owned(),
            };
            return Err(Breach { offset: row.offset, sequence: None, row: Some(row), detail });
        }
        if let Some(row) = self.torn.into_values().min_by_key(|row| row.offset) {
            let detail =
                "a row belongs to no batch, and none has written its key again since: it was written by somebody else, \
                 or its commit was torn"
                    .to_owned();
            return Err(Breach { offset: row.offset, sequence: None, row: Some(row), detail });
        }
        // Compaction takes a batch record only when the ring has come round to its key.
        if let Some(missing) = self.missing_max
            && missing.saturating_add(BATCH_RING) > self.seen.last_sequence
        {
            let detail = format!(
                "batch record {missing} is not there, though {} is the last one and the last {BATCH_RING} are kept",
                self.seen.last_sequence
            );
            return Err(Breach { offset: self.floor, sequence: Some(missing), row: None, detail });
        }
        Ok(self.seen)
    }

    fn close(&mut self, offset: i64, key: &[u8], record: BatchRecord) -> Result<Claim, Breach> {
        let sequence = record.sequence;
        let fail = |detail: String| Err(Breach { offset, sequence: Some(sequence), row: None, detail });
        let before = self.last.as_ref().map_or(0, |last| last.sequence);
        if key != batch_key(sequence) {
            return fail(format!("batch record {sequence} has the key of another one"));
        }
        if sequence <= before {
            return fail(format!("batch record {sequence} comes after batch {before}"));
        }
        let claimed_from = offset - i64::from(record.records);
        if claimed_from < self.floor {
            return fail(format!(
                "batch {sequence} claims {} rows, the batch before ends at {}",
                record.records, self.floor
            ));
        }
        let is_next = sequence == before + 1;
        if let Some(last) = self.last.as_ref().filter(|_| is_next)
            && let Some(detail) = discontinued(last, &record)
        {
            return fail(detail);
        }
        let unclaimed = self.waiting.partition_point(|row| row.offset < claimed_from);
        let rows: Vec<Row> = self.waiting.split_off(unclaimed).into();
        let torn: Vec<Row> = std::mem::take(&mut self.waiting).into();
        self.waiting_bytes = 0;
        let torn = if is_next { torn } else { Vec::new() };
        if !is_next {
            self.missing_max = Some(sequence - 1);
        }
        self.torn.extend(torn.iter().map(|row| (row.key.clone(), row.clone())));
        for row in &rows {
            self.seen.repaired += u64::from(self.torn.remove(&row.key).is_some());
        }
        let is_whole = rows.len() == record.records as usize;
        if is_whole && digest(&rows) != record.digest {
            return fail(format!("the rows of batch {sequence} have another digest than it says"));
        }
        self.count(&record, is_whole, is_next);
        self.floor = offset + 1;
        self.last = Some(record.clone());
        Ok(Claim { record, offset, rows, is_whole, torn })
    }

    fn count(&mut self, record: &BatchRecord, is_whole: bool, is_next: bool) {
        let seen = &mut self.seen;
        if seen.batches == 0 {
            seen.first_sequence = record.sequence;
        }
        seen.batches += 1;
        seen.digests += u64::from(is_whole);
        seen.last_sequence = record.sequence;
        seen.is_whole &= is_whole && is_next;
    }
}

/// How a batch does not go on where the one before it stopped.
fn discontinued(last: &BatchRecord, next: &BatchRecord) -> Option<String> {
    let to = |record: &BatchRecord| record.inputs.iter().map(|(_, to)| *to).collect::<Vec<NextOffset>>();
    let from =
        |record: &BatchRecord| record.inputs.iter().map(|(from, _)| *from).collect::<Vec<NextOffset>>();
    let (ended, began) = (to(last), from(next));
    if ended != began {
        return Some(format!(
            "batch {} begins at {began:?} of the inputs, the one before it ended at {ended:?}",
            next.sequence
        ));
    }
    if next.inputs.iter().any(|(from, to)| to < from) {
        return Some(format!("batch {} takes its inputs backwards: {:?}", next.sequence, next.inputs));
    }
    (next.at_ms < last.at_ms)
        .then(|| format!("the time of batch {} is before that of the last", next.sequence))
}

fn bytes(row: &Row) -> usize {
    row.key.len() + row.value.as_ref().map_or(0, Vec::len)
}

pub(super) fn digest(rows: &[Row]) -> u64 {
    let mut digest = Digest::new();
    for row in rows {
        digest.add(&row.key, row.value.as_deref());
    }
    digest.finish()
}

#[cfg(test)]
mod tests;
