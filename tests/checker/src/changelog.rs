//! The changelog by itself: each row belongs to a batch, batches follow each other, and no owner writes after a newer one.

use std::collections::{BTreeMap, BTreeSet};

use crate::batches::{Batch, Range};
use crate::event::Event;
use crate::record::Raw;
use crate::varint::Numbers;
use crate::violation::{Faults, Invariant};

const BATCH_KEY: &[u8] = b"__batch/";

/// What a batch record says, as far as it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BatchRecord {
    pub(crate) sequence: u64,
    pub(crate) inputs: Vec<Range>,
    pub(crate) rows: u64,
    pub(crate) at_ms: u64,
    pub(crate) owner_epoch: u64,
}

impl BatchRecord {
    /// Version 1: sequence, inputs, count, digest, two times, local events, the owner's epoch, the code's version.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let (1, rest) = value.split_first()? else { return None };
        let mut numbers = Numbers(rest);
        let sequence = numbers.unsigned()?;
        let inputs = (0..numbers.unsigned()?).map(|_| Some((numbers.signed()?, numbers.signed()?)));
        let inputs = inputs.collect::<Option<Vec<Range>>>()?;
        let (rows, _digest, at_ms, _wall_ms) =
            (numbers.unsigned()?, numbers.unsigned()?, numbers.unsigned()?, numbers.unsigned()?);
        numbers.skip_bytes()?;
        let owner_epoch = numbers.unsigned()?;
        Some(Self { sequence, inputs, rows, at_ms, owner_epoch })
    }
}

pub(crate) fn is_batch(raw: &Raw) -> bool {
    raw.key.as_deref().is_some_and(|key| key.starts_with(BATCH_KEY))
}

/// One partition, as far as it was read.
#[derive(Default)]
struct Walk {
    /// Offsets of rows that no batch has claimed yet.
    waiting: Vec<i64>,
    last: Option<BatchRecord>,
}

pub(crate) fn check_changelog(changelog: &[Raw], events: &[Event<'_>], faults: &mut Faults) {
    let mut walks: BTreeMap<i32, Walk> = BTreeMap::new();
    let mut logged = BTreeSet::new();
    for raw in changelog {
        let walk = walks.entry(raw.partition).or_default();
        if !is_batch(raw) {
            walk.waiting.push(raw.offset);
            continue;
        }
        let Some(batch) = raw.value.as_deref().and_then(BatchRecord::decode) else {
            faults.add(Invariant::WholeBatches, raw.place(), "a batch record can't be read");
            continue;
        };
        logged.insert((raw.partition, batch.sequence));
        claim(walk, raw, &batch, faults);
        walk.last = Some(batch);
    }
    for (partition, walk) in &walks {
        for offset in &walk.waiting {
            torn(&format!("changelog[{partition}]@{offset}"), faults);
        }
    }
    if !changelog.is_empty() {
        check_copies(&logged, events, faults);
    }
}

fn claim(walk: &mut Walk, raw: &Raw, batch: &BatchRecord, faults: &mut Faults) {
    let from = raw.offset - i64::try_from(batch.rows).unwrap_or(i64::MAX);
    let claimed = walk.waiting.iter().filter(|offset| **offset >= from).count() as u64;
    // What lies before the first batch record that is left lost its own to compaction.
    if walk.last.is_some() {
        for offset in walk.waiting.iter().filter(|offset| **offset < from) {
            torn(&format!("{}[{}]@{offset}", raw.topic, raw.partition), faults);
        }
    }
    walk.waiting.clear();
    let mut wrong = |invariant, text: String| {
        faults.add(invariant, raw.place(), format!("batch {}: {text}", batch.sequence));
    };
    if claimed > batch.rows {
        wrong(Invariant::WholeBatches, format!("{claimed} rows where it counts {}", batch.rows));
    }
    let Some(last) = &walk.last else { return };
    if batch.sequence != last.sequence + 1 {
        wrong(Invariant::WholeBatches, format!("follows batch {}", last.sequence));
    }
    let ends = last.inputs.iter().map(|(_, to)| *to);
    if !ends.eq(batch.inputs.iter().map(|(from, _)| *from)) {
        let text = format!("takes {:?}, the one before took {:?}", batch.inputs, last.inputs);
        wrong(Invariant::WholeBatches, text);
    }
    if batch.owner_epoch < last.owner_epoch {
        let text = format!("its owner has epoch {}, {} wrote before", batch.owner_epoch, last.owner_epoch);
        wrong(Invariant::OneAttempt, text);
    }
    if batch.at_ms < last.at_ms {
        wrong(Invariant::Forward, format!("its time {} is before {}", batch.at_ms, last.at_ms));
    }
}

fn torn(place: &str, faults: &mut Faults) {
    faults.add(Invariant::WholeBatches, place, "a row that no batch record claims: its batch is torn");
}

/// Each batch has its record in the changelog and its event. Compaction may have taken old records.
fn check_copies(logged: &BTreeSet<(i32, u64)>, events: &[Event<'_>], faults: &mut Faults) {
    let mut told = BTreeSet::new();
    for event in events.iter().filter(|event| event.text("type") == "batch") {
        let sequence = Batch::of(event).and_then(|batch| u64::try_from(batch.sequence).ok());
        told.extend(sequence.map(|sequence| (event.raw.partition, sequence)));
    }
    let first = |partition: i32| logged.range((partition, 0)..).next().copied();
    for (partition, sequence) in told.difference(logged) {
        let is_compacted = first(*partition).is_some_and(|first| (*partition, *sequence) < first);
        if !is_compacted {
            let text = format!("batch {sequence} of partition {partition} has an event and no batch record");
            faults.add(Invariant::WholeBatches, "changelog", text);
        }
    }
    for (partition, sequence) in logged.difference(&told) {
        let text = format!("batch {sequence} of partition {partition} has a batch record and no event");
        faults.add(Invariant::WholeBatches, "events", text);
    }
}
