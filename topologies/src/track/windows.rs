//! Windowed statistics: what happens is added up in memory while a batch is decided, and folded into the rows of the
//! present windows once, at its end. So the cost of rows is one per queue and size, not one per task.

use std::collections::BTreeMap;

use yardmaster_state::{StateError, prefix_end};

use crate::ctx::Ctx;
use crate::id::{Pool, QueueName};
use crate::job::{CounterKey, Dimension};
use crate::tables::{CounterTable, WindowTable};
use crate::task::{ClosedAttempt, LiveTask, OpenAttempt, Outcome, TaskSpec, TaskState};
use crate::time::{Millis, WallMs};
use crate::window::{Happened, Tally, WindowKey, WindowRow, WindowSize};

/// What happened in the batch so far, by pool and queue.
#[derive(Debug, Default)]
pub(crate) struct Windows(BTreeMap<Pool, BTreeMap<QueueName, Tally>>);

impl Windows {
    fn of(&mut self, spec: &TaskSpec) -> &mut Tally {
        // Names are copied only for what is new.
        if !self.0.contains_key(&spec.pool) {
            self.0.insert(spec.pool.clone(), BTreeMap::new());
        }
        let queues = self.0.get_mut(&spec.pool).expect("it was just put there");
        if !queues.contains_key(&spec.queue) {
            queues.insert(spec.queue.clone(), Tally::default());
        }
        queues.get_mut(&spec.queue).expect("it was just put there")
    }

    /// One more of something.
    pub(crate) fn note(&mut self, spec: &TaskSpec, what: Happened) {
        self.of(spec).count(what);
    }

    /// A task is about to get its worker: call it while the task is still QUEUED.
    pub(crate) fn assigned(&mut self, task: &LiveTask, now: WallMs) {
        let tally = self.of(&task.spec);
        tally.count(Happened::Assigned);
        tally.queued.record(between(task.since, now));
    }

    /// An attempt runs.
    pub(crate) fn started(&mut self, spec: &TaskSpec, open: &OpenAttempt, at: WallMs) {
        let tally = self.of(spec);
        tally.count(Happened::Started);
        tally.starting.record(between(open.assigned_at, at));
    }

    /// An attempt is over; `was_started` when its start was taken in before its end.
    pub(crate) fn closed(&mut self, spec: &TaskSpec, closed: &ClosedAttempt, was_started: bool) {
        let tally = self.of(spec);
        if closed.outcome == Outcome::Lost {
            tally.count(Happened::Lost);
        }
        let Some(started_at) = closed.started_at else { return };
        if !was_started {
            tally.count(Happened::Started);
            tally.starting.record(between(closed.assigned_at, started_at));
        }
        match closed.outcome {
            Outcome::Succeeded | Outcome::Failed | Outcome::TimedOut => {
                tally.running.record(between(started_at, closed.closed_at));
            }
            // How long those would have run nobody knows.
            Outcome::Lost | Outcome::Rejected | Outcome::Cancelled => {}
        }
    }
}

/// The wall's clock may be set back meanwhile.
fn between(from: WallMs, to: WallMs) -> Millis {
    Millis(to.0.saturating_sub(from.0))
}

/// What the end of a task is counted as.
pub(crate) fn end_of(state: TaskState) -> Option<Happened> {
    match state {
        TaskState::Completed => Some(Happened::Completed),
        TaskState::Failed => Some(Happened::Failed),
        TaskState::Cancelled => Some(Happened::Cancelled),
        TaskState::Expired => Some(Happened::Expired),
        TaskState::Aborted => Some(Happened::Aborted),
        TaskState::Blocked
        | TaskState::Scheduled
        | TaskState::Queued
        | TaskState::Held
        | TaskState::Assigned
        | TaskState::Running
        | TaskState::Cancelling => None,
    }
}

/// Adds what happened in this batch to the windows of its time: of each queue, and of its pool.
pub(crate) fn fold(ctx: &mut Ctx<'_, '_>) -> Result<(), StateError> {
    for (pool, queues) in std::mem::take(&mut ctx.windows.0) {
        let mut whole = Tally::default();
        for (queue, tally) in queues {
            whole.merge(&tally);
            // One that this batch forgot has no windows either.
            let dimension = Dimension::Queue(queue.clone());
            if ctx.txn.contains::<CounterTable>(&CounterKey { pool: pool.clone(), dimension })? {
                add(ctx, &pool, Some(&queue), &tally)?;
            }
        }
        add(ctx, &pool, None, &whole)?;
    }
    Ok(())
}

fn add(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    queue: Option<&QueueName>,
    tally: &Tally,
) -> Result<(), StateError> {
    for size in WindowSize::ALL {
        let start = size.start_of(ctx.now.wall);
        let key = WindowKey { pool: pool.clone(), queue: queue.cloned(), size, slot: size.slot_of(start) };
        // Another window in its slot is over, or was of a clock that was set back.
        let here = ctx.txn.get::<WindowTable>(&key)?.filter(|row| row.start == start);
        let mut row = here.unwrap_or_else(|| WindowRow { start, tally: Tally::default() });
        row.tally.merge(tally);
        ctx.txn.put_owned::<WindowTable>(&key, row)?;
    }
    Ok(())
}

/// Forgets the windows of a queue that is forgotten; returns how many there were: at most those of its three rings.
pub(crate) fn forget(ctx: &mut Ctx<'_, '_>, counter: &CounterKey) -> Result<usize, StateError> {
    let Dimension::Queue(queue) = &counter.dimension else {
        return Ok(0);
    };
    let prefix = WindowTable::rings(&counter.pool, Some(queue));
    let rows = ctx.txn.scan::<WindowTable>(&prefix, &prefix_end(&prefix), usize::MAX)?;
    let count = rows.len();
    for (key, _) in rows {
        ctx.txn.delete::<WindowTable>(&key)?;
    }
    Ok(count)
}
