//! A worker is gone, or gave up some of what it had: its attempts are closed and their tasks go to the front.

use yardmaster_state::{KeyWriter, StateError, prefix_end};

use super::close::{Closing, close_attempt};
use crate::ctx::Ctx;
use crate::id::{Pool, WorkerName};
use crate::tables::{ByWorkerTable, LeaseTable, byte};
use crate::task::{LiveTask, Reason};
use crate::track;
use crate::worker::{WorkerRow, WorkerState};

/// All tasks whose open attempt a worker holds, by id.
pub(super) fn held_by(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    worker: &WorkerName,
) -> Result<Vec<LiveTask>, StateError> {
    let prefix = KeyWriter::new(byte::BY_WORKER).str(pool.as_str()).str(worker.as_str()).finish();
    let keys = ctx.txn.scan::<ByWorkerTable>(&prefix, &prefix_end(&prefix), usize::MAX)?;
    let mut tasks = Vec::with_capacity(keys.len());
    for ((_, _, id), ()) in keys {
        tasks.extend(ctx.live(pool, &id)?);
    }
    Ok(tasks)
}

/// Closes attempts of one worker as lost. They go to the front in such an order that the first given out is first again.
pub(super) fn lose(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    row: &mut WorkerRow,
    mut tasks: Vec<LiveTask>,
    reason: Reason,
) -> Result<(), StateError> {
    tasks.sort_by_key(|task| std::cmp::Reverse(task.open.as_ref().map(|open| open.seq)));
    for task in tasks {
        row.open = row.open.checked_sub(1).expect("a worker with an open attempt counts it");
        ctx.losses += 1;
        close_attempt(ctx, task, Closing::lost(reason))?;
    }
    ctx.put_worker(pool, row.clone())
}

/// A worker leaves the pool: everything that it had is lost, its lease goes.
pub(super) fn leave(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    mut row: WorkerRow,
    state: WorkerState,
    reason: Reason,
) -> Result<(), StateError> {
    let tasks = held_by(ctx, pool, &row.worker)?;
    row.state = state;
    row.left_at = Some(ctx.now.processor);
    lose(ctx, pool, &mut row, tasks, reason)?;
    ctx.txn.delete::<LeaseTable>(&(pool.clone(), row.worker.clone()))?;
    match state {
        WorkerState::Lost => track::events::worker_lost(ctx, pool, &row, reason),
        WorkerState::Gone => track::events::worker_left(ctx, pool, &row, reason),
        WorkerState::Joining | WorkerState::Active | WorkerState::Draining => {}
    }
    Ok(())
}
