//! Batches follow each other: numbers without a gap, and each takes on where the last one stopped.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Report;
use crate::event::Event;
use crate::record::Topics;
use crate::violation::{Faults, Invariant};

/// From, and the offset behind the last.
pub(crate) type Range = (i64, i64);

/// The `batch` event: it stands behind the events of its batch.
pub(crate) struct Batch {
    pub(crate) sequence: i64,
    pub(crate) tasks: Range,
    pub(crate) status: Range,
}

impl Batch {
    pub(crate) fn of(event: &Event<'_>) -> Option<Self> {
        Some(Self {
            sequence: event.number("sequence")?,
            tasks: range(event, "tasks"),
            status: range(event, "status"),
        })
    }
}

/// Per partition, up to the very end of the commands.
pub(crate) fn check_batches(topics: &Topics, events: &[Event<'_>], report: &mut Report, faults: &mut Faults) {
    let mut last: BTreeMap<i32, Batch> = BTreeMap::new();
    let mut open: BTreeMap<i32, String> = BTreeMap::new();
    for event in events {
        let partition = event.raw.partition;
        if event.text("type") != "batch" {
            open.entry(partition).or_insert_with(|| event.raw.place());
            continue;
        }
        open.remove(&partition);
        report.batches += 1;
        let Some(batch) = Batch::of(event).filter(|_| event.number("partition") == Some(partition.into()))
        else {
            faults.add(
                Invariant::WholeBatches,
                event.raw.place(),
                "a batch has no sequence, or another partition",
            );
            continue;
        };
        if batch.tasks.0 > batch.tasks.1 || batch.status.0 > batch.status.1 {
            let text = format!(
                "batch {} of partition {partition} goes back in its input: {:?} and {:?}",
                batch.sequence, batch.tasks, batch.status
            );
            faults.add(Invariant::WholeBatches, event.raw.place(), text);
        }
        if let Some(before) = last.get(&partition) {
            follow(before, &batch, event, faults);
        }
        last.insert(partition, batch);
    }
    for (partition, place) in open {
        let text = format!("events of partition {partition} belong to no batch");
        faults.add(Invariant::WholeBatches, place, text);
    }
    // Statuses go on after the run's end; commands don't.
    for raw in &topics.tasks {
        if raw.offset >= last.get(&raw.partition).map_or(0, |batch| batch.tasks.1) {
            faults.add(Invariant::Kept, raw.place(), "the record was never taken");
        }
    }
}

fn follow(before: &Batch, batch: &Batch, event: &Event<'_>, faults: &mut Faults) {
    let expected = (before.sequence + 1, before.tasks.1, before.status.1);
    if (batch.sequence, batch.tasks.0, batch.status.0) != expected {
        let text = format!(
            "batch {} of partition {} takes from {} and {}, but batch {} stopped at {} and {}",
            batch.sequence,
            event.raw.partition,
            batch.tasks.0,
            batch.status.0,
            before.sequence,
            before.tasks.1,
            before.status.1
        );
        faults.add(Invariant::WholeBatches, event.raw.place(), text);
    }
}

fn range(event: &Event<'_>, input: &str) -> Range {
    let bound = |name: &str| event.json.get(input).and_then(|range| range.get(name)).and_then(Value::as_i64);
    (bound("from").unwrap_or(-1), bound("to").unwrap_or(-1))
}
