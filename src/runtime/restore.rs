//! Brings a partition's store to the end of its changelog. The end is the high watermark that was read after the fence, and
//! it is reached by position: whatever is committed or aborted before it, nothing of it is missed. A reader that does not
//! come to it waits, says for what, and never takes less for all.

use std::time::{Duration, Instant};

use yardmaster_state::{NextOffset, Restore, RestoreReport, Store};
use yardmaster_topologies::tables::GridSchema;

use super::partition::Partition;
use super::restores::RestoreProgress;
use super::standing::{Goal, Standing};
use super::step::Broken;
use crate::kafka::{ChangelogReader, Connection, KafkaFailure, high_watermark};
use crate::metrics::Restoring;

/// How often a restore says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// How often others may look at it.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// After so many records the clock is looked at.
const LOOK_EVERY: u64 = 256;

/// Reads the changelog from the store's position to the high watermark, or to an earlier one that a test's mutant read.
pub(super) fn restore(
    partition: &Partition,
    conn: &Connection,
    store: &dyn Store,
    early: Option<(i64, i64)>,
) -> Result<RestoreReport, Broken> {
    let topic = partition.names.changelog();
    let (first, end) = match early {
        Some(watermarks) => watermarks,
        None => high_watermark(conn, &topic, partition.number)?,
    };
    let end = NextOffset(end);
    let known = store.checkpoint()?;
    let wanted = known.as_ref().map_or(0, |known| known.changelog.0);
    if wanted > end.0 || wanted < first {
        // The log was cut, at its end or at its beginning, which a compacted one keeps. To start over would decide again what
        // was decided, and rebuild a store without the rows that are gone: a person has to know.
        return Err(
            KafkaFailure::Lost { topic, partition: partition.number, wanted, first, last: end.0 }.into()
        );
    }
    let mut restore = Restore::new(&GridSchema, store, known, end)?;
    let mut shown = Shown::begin(partition, restore.start().0.max(first), end);
    if !restore.is_done(None, end) {
        let mut reader = ChangelogReader::open(conn, &topic, partition.number, restore.start().0)?;
        let goal = Goal { conn, topic: &topic, partition: partition.number, end: end.0 };
        while !restore.is_done(reader.position().map(NextOffset), end) {
            match reader.poll(Duration::from_millis(50))? {
                Some((offset, key, value)) => {
                    restore.feed(offset, &key, value.as_deref())?;
                    shown.at(offset + 1, restore.report().records_read);
                }
                None => shown.stand(goal, reader.position())?,
            }
            if partition.is_stopping() {
                return Err(KafkaFailure::Unreachable("the restore was stopped".to_owned()).into());
            }
        }
    }
    let report = restore.finish()?;
    tracing::info!(
        partition = partition.number,
        records = report.records_read,
        batches = report.batches,
        torn = report.torn.len(),
        took_ms = shown.end(report.records_read).as_millis(),
        "restored to the changelog's end at {end}"
    );
    Ok(report)
}

/// What others see of a restore, and whether it goes on.
struct Shown<'p> {
    partition: &'p Partition,
    gauges: Restoring,
    start: i64,
    end: NextOffset,
    began: Instant,
    shown_at: Instant,
    said_at: Instant,
    /// The offset after the last record that was read.
    next: i64,
    standing: Standing,
}

impl<'p> Shown<'p> {
    fn begin(partition: &'p Partition, start: i64, end: NextOffset) -> Self {
        let gauges = partition.metrics.restoring(partition.number, end.0 - start);
        let now = Instant::now();
        let shown = Self {
            partition,
            gauges,
            start,
            end,
            began: now,
            shown_at: now,
            said_at: now,
            next: start,
            standing: Standing::begin(start),
        };
        shown.tell(start, None);
        shown
    }

    /// A record was read; `next` is the offset after it.
    fn at(&mut self, next: i64, records: u64) {
        self.next = next;
        self.gauges.at(records, self.end.0 - next);
        // Looking at the clock for every record would be a good part of what reading one costs.
        if !records.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let now = Instant::now();
        if now.duration_since(self.shown_at) >= SHOW_EVERY {
            self.shown_at = now;
            self.tell(next, None);
        }
        if now.duration_since(self.said_at) >= SAY_EVERY {
            self.said_at = now;
            self.say(next, records);
        }
    }

    /// Nothing was read for a moment. An error when nothing will ever be.
    fn stand(&mut self, goal: Goal<'_>, position: Option<i64>) -> Result<(), KafkaFailure> {
        // Markers are passed without a record.
        let here = position.map_or(self.next, |position| position.max(self.next));
        if let Some(why) = self.standing.look(goal, here)? {
            let partition = self.partition.number;
            tracing::warn!(partition, position = here, "the restore waits, so that it misses nothing: {why}");
            self.tell(here, Some(why));
        }
        Ok(())
    }

    fn tell(&self, next: i64, waits_for: Option<String>) {
        let count = |offsets: i64| u64::try_from(offsets).unwrap_or_default();
        self.partition.registry.restores().at(RestoreProgress {
            partition: self.partition.number,
            done: count(next - self.start),
            total: count(self.end.0 - self.start),
            waits_for,
        });
    }

    fn say(&self, next: i64, records: u64) {
        let pace =
            Pace { done: next - self.start, total: self.end.0 - self.start, took: self.began.elapsed() };
        tracing::info!(
            partition = self.partition.number,
            records,
            percent = pace.percent(),
            records_per_second = per_second(records, pace.took),
            seconds_left = pace.left().as_secs(),
            "restoring"
        );
    }

    fn end(&self, records: u64) -> Duration {
        self.gauges.end(records)
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.partition.registry.restores().end(self.partition.number);
    }
}

/// How fast it goes, in offsets.
struct Pace {
    done: i64,
    total: i64,
    took: Duration,
}

impl Pace {
    fn percent(&self) -> i64 {
        self.done.saturating_mul(100).checked_div(self.total).unwrap_or(100)
    }

    fn left(&self) -> Duration {
        let left = (self.total - self.done).max(0) as f64;
        self.took.mul_f64(left / (self.done.max(1) as f64))
    }
}

fn per_second(records: u64, took: Duration) -> u64 {
    // A rate for people: whole numbers are enough.
    u64::try_from(u128::from(records) * 1_000 / took.as_millis().max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_told_in_percent_and_time_left() {
        let pace = Pace { done: 250, total: 1_000, took: Duration::from_secs(5) };
        assert_eq!((pace.percent(), pace.left()), (25, Duration::from_secs(15)));
        let nothing = Pace { done: 0, total: 0, took: Duration::ZERO };
        assert_eq!((nothing.percent(), nothing.left()), (100, Duration::ZERO));
        assert_eq!(
            (per_second(5_000, Duration::from_secs(2)), per_second(5, Duration::ZERO)),
            (2_500, 5_000)
        );
    }
}
