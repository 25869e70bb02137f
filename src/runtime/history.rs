//! History is not in the changelog: after a crash, and on a new disk, it is read back from `events`.
//!
//! Every commit notes how far `events` is folded in. What a replayed tail lacks is caught up before anything else; the
//! whole of it, on a new disk, comes in the background, and goes on after a restart where it stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use yardmaster_state::{NextOffset, StateError, Store, Table, TableClass, Txn, Write, encode, read_row};
use yardmaster_topologies::keep_record;
use yardmaster_topologies::tables::{HistoryMark, HistoryPositionTable};
use yardmaster_topologies::wire::{Event, decode_event};

use super::partition::Partition;
use super::standing::{Goal, Standing};
use super::step::Broken;
use crate::kafka::{ChangelogReader, Connection, high_watermark};

/// Records that one write into the store holds.
const CHUNK: usize = 2_000;

/// Where history is read back from.
struct Events {
    topic: String,
    partition: i32,
    /// The processor stops, or closes the store, which must not be open any more then.
    ends: [Arc<AtomicBool>; 2],
}

impl Events {
    fn of(partition: &Partition) -> Self {
        let ends = [Arc::clone(&partition.stop), Arc::clone(&partition.closing)];
        Self { topic: partition.names.events(), partition: partition.number, ends }
    }

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
    let (first, end) = high_watermark(conn, &partition.names.events(), partition.number)?;
    let at = |mark| read_row::<HistoryPositionTable>(store.as_ref(), &mark);
    match at(HistoryMark::Next)? {
        Some(next) => {
            let range = (next.max(first), end);
            fold(&Events::of(partition), conn, store.as_ref(), range, HistoryMark::Next, &mut |_| {})?;
        }
        None => {
            let marks =
                [(HistoryMark::RefillNext, first), (HistoryMark::RefillEnd, end), (HistoryMark::Next, end)];
            let mut txn = Txn::new(store.as_ref());
            for (mark, offset) in marks {
                txn.put::<HistoryPositionTable>(&mark, &offset)?;
            }
            let batch = txn.finish();
            store.commit(&batch)?;
        }
    }
    let (next, end) = (at(HistoryMark::RefillNext)?.unwrap_or(0), at(HistoryMark::RefillEnd)?.unwrap_or(0));
    partition.metrics.refilling(partition.number).set(0.0);
    if next.max(first) < end {
        refill(partition, conn, store, (next.max(first), end));
    } else if next < end {
        // Retention has taken the rest: nothing is left to read back, and readers must not wait for it.
        write(store.as_ref(), &mut Txn::new(store.as_ref()), NextOffset(end), HistoryMark::RefillNext)?;
    }
    Ok(())
}

/// The rest of history, without anybody waiting for it.
fn refill(partition: &Partition, conn: &Connection, store: &Arc<dyn Store>, range: (i64, i64)) {
    let (events, conn, store) = (Events::of(partition), conn.clone(), Arc::clone(store));
    let left = partition.metrics.refilling(partition.number);
    let thread = thread::Builder::new().name(format!("history-{}", partition.number)).spawn(move || {
        let number = events.partition;
        let (first, end) = range;
        let mut show = |next: i64| left.set(end.saturating_sub(next) as f64);
        show(first);
        match fold(&events, &conn, store.as_ref(), range, HistoryMark::RefillNext, &mut show) {
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
    conn: &Connection,
    store: &dyn Store,
    (next, end): (i64, i64),
    mark: HistoryMark,
    show: &mut dyn FnMut(i64),
) -> Result<u64, Broken> {
    if next >= end {
        return Ok(0);
    }
    let mut reader = ChangelogReader::open(conn, &events.topic, events.partition, next)?;
    let goal = Goal { conn, topic: &events.topic, partition: events.partition, end };
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
        if let Some(Ok(Event::Ended { task, .. })) = value.as_deref().map(decode_event) {
            keep_record(&mut txn, task)?;
            ended += 1;
        }
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
