//! History is not in the changelog: after a crash, and on a new disk, it is read back from `events`.
//!
//! Every commit notes how far `events` is folded in. What a replayed tail lacks is caught up before anything else; the
//! whole of it, on a new disk, comes in the background, and goes on after a restart where it stopped. A copy of another's
//! partition follows `events` as it follows the changelog.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use yardmaster_state::{NextOffset, StateError, Store, Table, TableClass, Txn, Write, encode, read_row};
use yardmaster_topologies::driver::Grid;
use yardmaster_topologies::tables::{HistoryKey, HistoryMark, HistoryPositionTable};
use yardmaster_topologies::wire::{Event, decode_event};
use yardmaster_topologies::{drop_hours, keep_record};

use super::clock::wall;
use super::partition::Partition;
use super::standing::{Goal, Standing};
use super::step::Broken;
use crate::kafka::{ChangelogReader, Connection, high_watermark};
use crate::metrics::Metrics;

/// Records that one write into the store holds.
const CHUNK: usize = 2_000;

/// Where the history of a partition is read back from.
#[derive(Clone)]
pub(super) struct Events {
    pub(super) conn: Connection,
    pub(super) topic: String,
    pub(super) partition: i32,
    /// Who reads it back stops, or closes the store, which must not be open any more then.
    pub(super) ends: [Arc<AtomicBool>; 2],
    pub(super) metrics: Arc<Metrics>,
}

impl Events {
    fn is_stopping(&self) -> bool {
        self.ends.iter().any(|end| end.load(Ordering::Relaxed))
    }
}

/// Notes in a batch that history has everything before this offset of `events`.
pub(super) fn mark(next: i64) -> Write {
    Write {
        key: HistoryPositionTable::key(&HistoryMark::Next).into(),
        value: Some(encode(HistoryPositionTable::VERSION, &next)),
        class: TableClass::History,
    }
}

/// Brings history to the end of `events`, or starts to.
pub(super) fn catch_up(
    partition: &Partition,
    conn: &Connection,
    store: &Arc<dyn Store>,
) -> Result<(), Broken> {
    let (topic, metrics) = (partition.names.events(), Arc::clone(&partition.metrics));
    let ends = [Arc::clone(&partition.stop), Arc::clone(&partition.closing)];
    let events = Events { conn: conn.clone(), topic, partition: partition.number, ends, metrics };
    let (first, end) = high_watermark(conn, &events.topic, events.partition)?;
    let next = begin(store.as_ref(), (first, end))?;
    fold(&events, store.as_ref(), (next, end), HistoryMark::Next, &mut |_| {})?;
    refill_rest(&events, store, first)
}

/// Where history goes on, as far as it is followed. On a new disk that is the end: what lies before is noted to be refilled.
fn begin(store: &dyn Store, (first, end): (i64, i64)) -> Result<i64, StateError> {
    if let Some(next) = read_row::<HistoryPositionTable>(store, &HistoryMark::Next)? {
        return Ok(next.max(first));
    }
    let marks = [(HistoryMark::RefillNext, first), (HistoryMark::RefillEnd, end), (HistoryMark::Next, end)];
    let mut txn = Txn::new(store);
    for (mark, offset) in marks {
        txn.put::<HistoryPositionTable>(&mark, &offset)?;
    }
    let batch = txn.finish();
    store.commit(&batch)?;
    Ok(end)
}

fn refill_rest(events: &Events, store: &Arc<dyn Store>, first: i64) -> Result<(), Broken> {
    let at = |mark| read_row::<HistoryPositionTable>(store.as_ref(), &mark);
    let (next, end) = (at(HistoryMark::RefillNext)?.unwrap_or(0), at(HistoryMark::RefillEnd)?.unwrap_or(0));
    events.metrics.refilling(events.partition).set(0.0);
    if next.max(first) < end {
        refill(events, store, (next.max(first), end));
    } else if next < end {
        // Retention has taken the rest: nothing is left to read back, and readers must not wait for it.
        write(store.as_ref(), &mut Txn::new(store.as_ref()), NextOffset(end), HistoryMark::RefillNext)?;
    }
    Ok(())
}

/// The rest of history, without anybody waiting for it.
fn refill(events: &Events, store: &Arc<dyn Store>, range: (i64, i64)) {
    let (events, store) = (events.clone(), Arc::clone(store));
    let left = events.metrics.refilling(events.partition);
    let thread = thread::Builder::new().name(format!("history-{}", events.partition)).spawn(move || {
        let number = events.partition;
        let (first, end) = range;
        let mut show = |next: i64| left.set(end.saturating_sub(next) as f64);
        show(first);
        match fold(&events, store.as_ref(), range, HistoryMark::RefillNext, &mut show) {
            Ok(ended) => tracing::info!(partition = number, ended, "history is read back from events"),
            Err(error) => {
                tracing::warn!(partition = number, %error, "history is not read back: the next start goes on")
            }
        }
    });
    if let Err(error) = thread {
        tracing::warn!(%error, "no thread to read history back: the next start tries again");
    }
}

/// Folds a range of `events` into history, chunk by chunk, each with its mark. Returns how many tasks it brought.
fn fold(
    events: &Events,
    store: &dyn Store,
    (next, end): (i64, i64),
    mark: HistoryMark,
    show: &mut dyn FnMut(i64),
) -> Result<u64, Broken> {
    if next >= end {
        return Ok(0);
    }
    let mut reader = ChangelogReader::open(&events.conn, &events.topic, events.partition, next)?;
    let goal = Goal { conn: &events.conn, topic: &events.topic, partition: events.partition, end };
    let mut standing = Standing::begin(next);
    let (mut txn, mut records, mut ended) = (Txn::new(store), 0, 0);
    while reader.position().is_none_or(|position| position < end) && !events.is_stopping() {
        let Some((offset, _, value)) = reader.poll(Duration::from_millis(50))? else {
            if let Some(why) = standing.look(goal, reader.position().unwrap_or(next))? {
                tracing::warn!(
                    partition = events.partition,
                    "the history waits, so that it misses nothing: {why}"
                );
            }
            continue;
        };
        if offset >= end {
            break;
        }
        ended += u64::from(keep(&mut txn, value.as_deref())?);
        records += 1;
        if records % CHUNK == 0 {
            write(store, &mut txn, NextOffset(offset + 1), mark)?;
            show(offset + 1);
        }
    }
    if !events.is_stopping() {
        write(store, &mut txn, NextOffset(end), mark)?;
        show(end);
    }
    Ok(ended)
}

/// Keeps the record of a task that has ended; says whether the event was one.
fn keep(txn: &mut Txn<'_>, event: Option<&[u8]>) -> Result<bool, StateError> {
    let Some(Ok(Event::Ended { task, .. })) = event.map(decode_event) else { return Ok(false) };
    keep_record(txn, task)?;
    Ok(true)
}

fn write<'s>(
    store: &'s dyn Store,
    txn: &mut Txn<'s>,
    next: NextOffset,
    mark: HistoryMark,
) -> Result<(), StateError> {
    txn.put::<HistoryPositionTable>(&mark, &next.0)?;
    let whole = std::mem::replace(txn, Txn::new(store));
    store.commit(&whole.finish())
}

/// The history of a copy, which somebody else feeds with events.
pub(super) struct Followed<'s> {
    store: &'s dyn Store,
    txn: Txn<'s>,
    next: NextOffset,
    is_changed: bool,
    /// The hour in which the hours that are over were dropped last.
    hour: u32,
}

impl<'s> Followed<'s> {
    /// Goes on where the store stands; what is missing from before comes in the background.
    pub(super) fn begin(events: &Events, store: &'s Arc<dyn Store>) -> Result<Self, Broken> {
        let (first, end) = high_watermark(&events.conn, &events.topic, events.partition)?;
        let next = begin(store.as_ref(), (first, end))?.min(end);
        refill_rest(events, store, first)?;
        let store = store.as_ref();
        Ok(Self { store, txn: Txn::new(store), next: NextOffset(next), is_changed: false, hour: 0 })
    }

    /// The next event that it needs.
    pub(super) fn next(&self) -> NextOffset {
        self.next
    }

    /// Takes an event.
    pub(super) fn take(&mut self, offset: i64, event: Option<&[u8]>) -> Result<(), StateError> {
        keep(&mut self.txn, event)?;
        (self.next, self.is_changed) = (NextOffset(offset + 1), true);
        if self.txn.writes() >= CHUNK { self.write() } else { Ok(()) }
    }

    /// Writes what was taken.
    pub(super) fn write(&mut self) -> Result<(), StateError> {
        if !self.is_changed {
            return Ok(());
        }
        self.drop_hours()?;
        self.is_changed = false;
        write(self.store, &mut self.txn, self.next, HistoryMark::Next)
    }

    /// What the owner drops once an hour, the copy drops too.
    fn drop_hours(&mut self) -> Result<(), StateError> {
        let now = wall();
        let hour = HistoryKey::hour_of(now);
        if hour != self.hour
            && let Some(settings) = Grid::settings(self.store)?
        {
            drop_hours(&mut self.txn, &settings, now);
            self.hour = hour;
        }
        Ok(())
    }
}
