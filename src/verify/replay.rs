//! The second pass: every batch is decided again, and what comes out is compared with what was committed.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use yardmaster_state::{
    Batch, Checkpoint, KEY_END, NextOffset, StateError, Store, StoreRead, TableClass, Write,
};
use yardmaster_topologies::driver::Grid;

use super::decisions::{Decisions, Next, Told};
use super::event_log::EventLog;
use super::failure::Halt;
use super::fold::{Folded, Stored, fold_before};
use super::outputs::{Letters, Outputs};
use super::partition::Context;
use super::report::PartitionReport;
use super::rows;
use super::scratch::Scratch;
use super::start::Start;
use super::written::rows_written;
use crate::kafka::LogReader;
use crate::runtime::{CODE_VERSION, Replay};

/// Batches between two words about how far it is.
const SHOW_EVERY: u64 = 100;

/// Decides all batches again, from the earliest one that is possible.
pub(super) fn replay(
    context: &mut Context<'_>,
    folded: &Folded,
    stored: Option<&Stored<'_>>,
    report: &mut PartitionReport,
) -> Result<(), Halt> {
    if folded.seen.batches == 0 {
        return Ok(());
    }
    let checkpoint = stored.map(|stored| &stored.checkpoint);
    let knows_first = knows_first(context, folded)?;
    let start = match folded.beginnings.choose(knows_first, checkpoint, folded.seen.last_sequence) {
        Ok(start) => start,
        Err(why) => {
            report.unchecked.push(format!("no batch was decided again: {why}"));
            return Ok(());
        }
    };
    let first = start.sequence(checkpoint);
    if first > 1 {
        report.unchecked.push(format!("batches before {first} were not decided again"));
    }
    report.replayed_from = Some(first);
    let scratch = begin(context, start, stored)?;
    let secret = Grid::settings(folded.scratch.store())?.map(|settings| settings.secret);
    let topics = (&context.ends.changelog, &context.ends.events);
    let decisions = Decisions::open(context.conn, topics, (first, folded.settled), secret)?;
    let place = (context.partition, context.partitions);
    let mut pass = Pass {
        replay: Replay::resume(context.names, place, scratch.store())?,
        inputs: [None, None],
        outputs: Outputs::read(context, start == Start::Empty)?,
        first,
        eventless: 0,
    };
    let ended = pass.run(context, decisions, scratch.store(), (folded, stored), report);
    let compared = pass.outputs.compared;
    let all = &mut report.compared;
    (all.messages, all.events) = (compared.messages, compared.events);
    (all.replies, all.dead_letters) = (compared.replies, compared.dead_letters);
    ended?;
    pass.unchecked(report);
    Ok(())
}

/// Whether the first batch can be decided: its batch record is there, or a copy of it that says enough.
fn knows_first(context: &Context<'_>, folded: &Folded) -> Result<bool, Halt> {
    if folded.seen.first_sequence == 1 {
        return Ok(true);
    }
    if context.ends.events.from > 0 {
        return Ok(false);
    }
    let group = EventLog::open(context.conn, &context.ends.events)?.next()?;
    Ok(group.is_some_and(|group| group.sequence == 1 && group.copy.log.is_some()))
}

/// The state before the first batch that is decided.
fn begin(context: &Context<'_>, start: Start, stored: Option<&Stored<'_>>) -> Result<Scratch, Halt> {
    let records = context.ends.changelog.end - context.ends.changelog.from;
    match (start, stored) {
        (Start::Fold(_, end), _) => fold_before(context.conn, &context.ends.changelog, end),
        (Start::Store, Some(stored)) => {
            let scratch = Scratch::for_records(records)?;
            copy(stored, scratch.store())?;
            Ok(scratch)
        }
        (Start::Empty, _) | (Start::Store, None) => Ok(Scratch::for_records(records)?),
    }
}

/// All that decisions depend on: history is never read by them.
fn copy(stored: &Stored<'_>, to: &dyn Store) -> Result<(), StateError> {
    for class in [TableClass::Logged, TableClass::Derived] {
        let mut writes = Vec::new();
        stored.store.scan(class, &[], KEY_END, usize::MAX, &mut |key, value| {
            writes.push(Write { key: key.into(), value: Some(value.to_vec()), class });
            ControlFlow::Continue(())
        })?;
        to.commit(&Batch { writes, ..Batch::default() })?;
    }
    to.commit(&Batch { checkpoint: Some(stored.checkpoint.clone()), ..Batch::default() })
}

struct Pass {
    replay: Replay,
    inputs: [Option<LogReader>; 2],
    outputs: Outputs,
    first: u64,
    /// Batches of whose events not all are there.
    eventless: u64,
}

impl Pass {
    fn run(
        &mut self,
        context: &mut Context<'_>,
        mut decisions: Decisions,
        store: &dyn Store,
        (folded, stored): (&Folded, Option<&Stored<'_>>),
        report: &mut PartitionReport,
    ) -> Result<(), Halt> {
        let last = folded.seen.last_sequence;
        loop {
            let told = match decisions.next()? {
                Next::Batch(told) => told,
                Next::End => break,
                Next::Gap(sequence) => {
                    report.unchecked.push(format!(
                        "batches from {sequence} on were not decided again: the changelog does not have its batch record any \
                         more, and the copy on events does not say enough"
                    ));
                    return Ok(());
                }
            };
            let record = &told.logged.record;
            let sequence = record.sequence;
            if record.code_version != CODE_VERSION {
                report.unchecked.push(format!(
                    "batches from {sequence} on were not decided again: version {} of the rules decided it, this program has \
                     version {CODE_VERSION}",
                    record.code_version
                ));
                return Ok(());
            }
            let torn = &decisions.torn;
            self.batch(context, (&told, torn), store, (sequence <= folded.settled, report))?;
            if let Some(stored) = stored.filter(|stored| stored.checkpoint.sequence == sequence) {
                same_state(store, stored.store, &stored.name, report)?;
            } else if sequence == last {
                same_state(store, folded.scratch.store(), "the changelog's fold", report)?;
            }
            if sequence.is_multiple_of(SHOW_EVERY) {
                let count = |number: u64| i64::try_from(number).unwrap_or_default();
                context.show("deciding again", count(sequence - self.first), count(last - self.first + 1));
            }
        }
        self.outputs.finish()
    }

    /// One batch: its records, its decision, what it sends and what it writes.
    fn batch(
        &mut self,
        context: &Context<'_>,
        (told, torn): (&Told, &BTreeSet<Vec<u8>>),
        store: &dyn Store,
        (is_settled, report): (bool, &mut PartitionReport),
    ) -> Result<(), Halt> {
        let record = &told.logged.record;
        self.replay.begin(&told.logged);
        let mut ends = [0; 2];
        for (input, end) in ends.iter_mut().enumerate() {
            let (from, to) = record.inputs.get(input).copied().unwrap_or_default();
            report.compared.input_records += self.take(context, input, (from.0, to.0))?;
            *end = to.0;
        }
        self.outputs.begin(record.sequence, is_settled, told.group.as_ref());
        let has_events = told.group.as_ref().is_some_and(|group| group.is_whole);
        self.eventless += u64::from(is_settled && !has_events);
        let mut letters = Letters::default();
        let replayed = self.replay.decide::<Halt>(store, &told.logged, &mut self.outputs, &mut letters)?;
        self.outputs.letters(letters)?;
        self.outputs.end(&replayed.closed)?;
        rows_written(context, (told, torn), store, &replayed.batch)?;
        let compared = &mut report.compared;
        compared.replayed_batches += 1;
        compared.replayed_rows += u64::from(record.records);
        compared.assignments += replayed.assigned;
        report.inputs = Some(ends);
        let mut batch = replayed.batch;
        batch.writes.retain(|write| write.class != TableClass::History);
        batch.drops.clear();
        batch.checkpoint = Some(checkpoint(told));
        store.commit(&batch)?;
        Ok(())
    }

    fn take(&mut self, context: &Context<'_>, input: usize, (from, to): (i64, i64)) -> Result<u64, Halt> {
        let (Some(slot), Some(span)) = (self.inputs.get_mut(input), context.ends.inputs.get(input)) else {
            return Ok(0);
        };
        if from >= to {
            return Ok(0);
        }
        if slot.is_none() {
            *slot = Some(LogReader::open(context.conn, &span.topic, span.partition, from)?);
        }
        let mut count = 0;
        while let Some(mut record) = slot.as_mut().map_or(Ok(None), |reader| reader.next_before(to))? {
            record.input = input;
            self.replay.take(record);
            count += 1;
        }
        Ok(count)
    }

    fn unchecked(&self, report: &mut PartitionReport) {
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                report.unchecked.push(format!("{count} {what}"));
            }
        };
        say(self.outputs.gone, "messages and dead letters whose topic, or whose part of it, is gone");
        say(self.outputs.unknown_replies, "replies on topics that are gone or have lost records");
        say(self.eventless, "batches whose events are gone, all or some of them");
    }
}

/// Where the store stands behind a batch. The changelog's offset is not known of all batches, and nothing depends on it.
fn checkpoint(told: &Told) -> Checkpoint {
    let offset = told.claim.as_ref().map_or(0, |claim| claim.offset + 1);
    told.logged.record.checkpoint(NextOffset(offset))
}

/// What the replay came to is what the store holds.
fn same_state(
    replayed: &dyn Store,
    found: &dyn StoreRead,
    name: &str,
    report: &mut PartitionReport,
) -> Result<(), Halt> {
    let comparison = rows::compare(replayed, found, &BTreeSet::new())?;
    if let Some(row) = &comparison.first {
        let mut difference = rows::difference(name, &comparison, row);
        difference.detail = format!("{}, compared with what the inputs come to", difference.detail);
        return Err(difference.into());
    }
    report.compared.replayed_state_rows = comparison.same;
    Ok(())
}
