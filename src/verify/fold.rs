//! The first pass: folds the changelog as a restore does, keeps an eye on its rules, and compares with a store where that
//! store stands.

use std::collections::BTreeSet;

use yardmaster_state::{Checkpoint, NextOffset, Restore, StoreRead};
use yardmaster_topologies::tables::{GridSchema, describe};

use super::claims::{Breach, Claim, Claims, Row, Seen};
use super::failure::Halt;
use super::partition::Context;
use super::report::{Difference, PartitionReport, Place};
use super::rows::{self, RowDifference};
use super::scratch::Scratch;
use super::start::Beginnings;
use crate::kafka::{Connection, LogReader, Span};

/// Records between two words about how far it is.
const SHOW_EVERY: u64 = 10_000;
/// A deletion may be gone from the changelog after so long: `delete.retention.ms` of the topic.
const DELETIONS_KEPT_MS: u64 = 86_400_000;

/// A store to compare with.
pub(super) struct Stored<'s> {
    pub(super) store: &'s dyn StoreRead,
    pub(super) checkpoint: Checkpoint,
    /// What it is called in words: its path.
    pub(super) name: String,
}

/// What the changelog came to.
pub(super) struct Folded {
    /// Its rows at the end.
    pub(super) scratch: Scratch,
    pub(super) seen: Seen,
    /// The last batch that has all of its records below the ends of all topics.
    pub(super) settled: u64,
    /// Where a replay could begin.
    pub(super) beginnings: Beginnings,
}

/// Folds to the end.
pub(super) fn fold(
    context: &mut Context<'_>,
    stored: Option<&Stored<'_>>,
    report: &mut PartitionReport,
) -> Result<Folded, Halt> {
    let span = context.ends.changelog.clone();
    if let Some(ahead) = stored.filter(|stored| stored.checkpoint.changelog.0 > span.end) {
        return Err(ahead_of_log(ahead, &span).into());
    }
    let scratch = Scratch::for_records(span.end - span.from)?;
    let mut claims = Claims::new();
    let mut beginnings = Beginnings::new(context.from_sequence, &context.ends.inputs);
    let mut settled = 0;
    let mut reader = LogReader::open(context.conn, &span.topic, span.partition, span.from)?;
    let mut restore = Restore::new(&GridSchema, scratch.store(), None, NextOffset(span.end))?;
    let mut waits = stored;
    while let Some(record) = reader.next_before(span.end)? {
        if let Some(stored) = waits.take_if(|stored| record.offset >= stored.checkpoint.changelog.0) {
            restore.position(stored.checkpoint.changelog)?;
            compare(context, stored, (&scratch, claims.seen().is_whole), report)?;
        }
        let (offset, key) = (record.offset, record.key.unwrap_or_default());
        let fed = restore.feed(offset, &key, record.value.as_deref());
        // What breaks a rule is told by the rule; the restore has fewer words for it.
        let claim = claims.feed(Row { offset, key, value: record.value });
        if let Some(claim) = claim.map_err(|found| breach(&span, found))? {
            count(report, claims.seen());
            if claim.offset < context.ends.settled {
                settled = claim.record.sequence;
            }
            beginnings.see(&claim, &claims.seen());
        }
        fed?;
        if report.compared.changelog_records.is_multiple_of(SHOW_EVERY) {
            context.show("reading the changelog", offset - span.from, span.end - span.from);
        }
        report.compared.changelog_records += 1;
    }
    restore.position(NextOffset(span.end))?;
    drop(restore);
    if let Some(stored) = waits {
        compare(context, stored, (&scratch, claims.seen().is_whole), report)?;
    }
    let seen = claims.finish().map_err(|found| breach(&span, found))?;
    count(report, seen);
    Ok(Folded { scratch, seen, settled, beginnings })
}

/// Folds up to a batch: its end in the changelog is known, and nothing before was compacted.
pub(super) fn fold_before(conn: &Connection, span: &Span, end: NextOffset) -> Result<Scratch, Halt> {
    let scratch = Scratch::for_records(end.0 - span.from)?;
    let mut reader = LogReader::open(conn, &span.topic, span.partition, span.from)?;
    let mut restore = Restore::new(&GridSchema, scratch.store(), None, end)?;
    while let Some(record) = reader.next_before(end.0)? {
        restore.feed(record.offset, &record.key.unwrap_or_default(), record.value.as_deref())?;
    }
    restore.position(end)?;
    drop(restore);
    Ok(scratch)
}

fn count(report: &mut PartitionReport, seen: Seen) {
    report.sequence = seen.last_sequence;
    report.compared.batches = seen.batches;
    report.compared.digests = seen.digests;
    report.compared.torn_repaired = seen.repaired;
}

/// The fold stands where the store does: the same batches, the same rows.
fn compare(
    context: &Context<'_>,
    stored: &Stored<'_>,
    (scratch, is_whole): (&Scratch, bool),
    report: &mut PartitionReport,
) -> Result<(), Halt> {
    let folded = scratch.store().checkpoint()?.unwrap_or_default();
    if folded != stored.checkpoint {
        return Err(Difference {
            what: "row",
            detail: format!("the checkpoint in {} is not that of any batch", stored.name),
            place: Some(Place::before(&context.ends.changelog, stored.checkpoint.changelog)),
            expected: Some(format!("{folded:?}")),
            found: Some(format!("{:?}", stored.checkpoint)),
            ..Difference::default()
        }
        .into());
    }
    let store = scratch.store();
    let mut comparison = rows::compare(store, stored.store, &BTreeSet::new())?;
    if comparison.first.is_some() && !is_whole {
        // Compaction may have taken rows that were written again since: nothing can be said about them.
        let (later, is_old) = written_later(context, &stored.checkpoint)?;
        if is_old {
            let why = "it is more than a day behind the changelog, which may have lost deletions since";
            report.unchecked.push(format!("the rows of {}: {why}", stored.name));
            return Ok(());
        }
        comparison = rows::compare(store, stored.store, &later)?;
    }
    if let Some(row) = comparison.first.as_ref() {
        let mut difference = rows::difference(&stored.name, &comparison, row);
        difference.place = last_writer(context, row, stored.checkpoint.changelog)?;
        return Err(difference.into());
    }
    if !comparison.undecided.is_empty() {
        let count = comparison.undecided.len();
        report.unchecked.push(format!(
            "{count} rows of {} that were written again behind its position: compaction has taken what they were then",
            stored.name
        ));
    }
    report.compared.store_rows = comparison.same;
    Ok(())
}

/// The keys that were written behind a checkpoint, if compaction can have taken what was there before; and whether the
/// checkpoint is so old that deletions are gone, too.
fn written_later(context: &Context<'_>, at: &Checkpoint) -> Result<(BTreeSet<Vec<u8>>, bool), Halt> {
    let span = &context.ends.changelog;
    let mut reader = LogReader::open(context.conn, &span.topic, span.partition, at.changelog.0)?;
    let (mut keys, mut claims, mut newest) = (BTreeSet::new(), Claims::new(), at.wall_ms);
    while let Some(record) = reader.next_before(span.end)? {
        let key = record.key.unwrap_or_default();
        keys.insert(key.clone());
        let row = Row { offset: record.offset, key, value: record.value };
        if let Ok(Some(claim)) = claims.feed(row) {
            newest = newest.max(claim.record.wall_ms);
        }
    }
    Ok((keys, newest.saturating_sub(at.wall_ms) > DELETIONS_KEPT_MS))
}

/// Who wrote a row last, before an offset. Index rows are in no log.
fn last_writer(context: &Context<'_>, row: &RowDifference, end: NextOffset) -> Result<Option<Place>, Halt> {
    let span = &context.ends.changelog;
    let mut reader = LogReader::open(context.conn, &span.topic, span.partition, span.from)?;
    let mut last = None;
    while let Some(record) = reader.next_before(end.0)? {
        if record.key.as_deref() == Some(row.key.as_slice()) {
            last = Some(Place::at(span, record.offset));
        }
    }
    Ok(last)
}

fn ahead_of_log(stored: &Stored<'_>, span: &Span) -> Difference {
    Difference {
        what: "changelog",
        detail: format!(
            "{} stands at offset {} of the changelog, which ends at {}: the log was cut, or it is that of another cluster",
            stored.name, stored.checkpoint.changelog, span.end
        ),
        ..Difference::default()
    }
}

/// A broken rule in words.
pub(super) fn breach(span: &Span, found: Breach) -> Difference {
    let words = found.row.as_ref().map(|row| describe(&row.key, row.value.as_deref()));
    let (table, key, value) = match words {
        Some(words) => (Some(words.table), Some(words.key), words.value),
        None => (None, None, None),
    };
    Difference {
        what: "changelog",
        detail: found.detail,
        sequence: found.sequence,
        place: Some(Place::at(span, found.offset)),
        table,
        key,
        expected: None,
        found: value,
    }
}

impl Place {
    pub(super) fn at(span: &Span, offset: i64) -> Self {
        Self { topic: span.topic.clone(), partition: span.partition, offset }
    }

    /// The record before a position.
    pub(super) fn before(span: &Span, next: NextOffset) -> Self {
        Self::at(span, next.0 - 1)
    }
}

/// What a claim says about where it begins, for those who look for a place to begin.
pub(super) fn begins_at(claim: &Claim) -> [i64; 2] {
    let from = |input: usize| claim.record.inputs.get(input).map_or(0, |(from, _)| from.0);
    [from(0), from(1)]
}
