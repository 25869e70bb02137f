//! Exact numbers of tasks by state: of the pool, of each queue, job and tag. Those of a queue, job or tag without a live
//! task are forgotten after a time, so that names that are not used any more don't fill the limits and the store; when
//! the name comes again, it counts from zero. Those of a pool stay.

use yardmaster_state::{KeyWriter, StateError, prefix_end};

use super::tally::Which;
use crate::ctx::Ctx;
use crate::id::{JobId, Pool};
use crate::job::{CounterKey, Dimension, JobRow};
use crate::memory::{DueIndex, DueTimes};
use crate::settings::Settings;
use crate::tables::{CounterTable, JobTable, byte};
use crate::task::{Counts, TaskSpec, TaskState};
use crate::time::{Now, ProcessorMs};

/// Moves a task from one state to another in every count that it belongs to; absent is outside.
pub(crate) fn shift(
    ctx: &mut Ctx<'_, '_>,
    spec: &TaskSpec,
    from: Option<TaskState>,
    to: Option<TaskState>,
) -> Result<(), StateError> {
    let mut count = |dimension: Which<'_>| counter(ctx, &spec.pool, dimension, from, to);
    count(Which::Pool)?;
    count(Which::Queue(&spec.queue))?;
    for (name, value) in &spec.tags {
        count(Which::Tag(name, value))?;
    }
    match &spec.job {
        Some(job) => job_count(ctx, &spec.pool, job, from, to),
        None => Ok(()),
    }
}

fn counter(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    dimension: Which<'_>,
    from: Option<TaskState>,
    to: Option<TaskState>,
) -> Result<(), StateError> {
    let row = ctx.tally.row(ctx.txn, pool, dimension)?;
    leave_or_go(&mut row.counts, from, to);
    if row.counts.live() > 0 || dimension == Which::Pool {
        row.forget_at = None;
    } else if row.forget_at.is_none() {
        row.forget_at = Some(forget_at(ctx.now, ctx.settings, &mut ctx.memory.due, DueIndex::Counter));
    }
    Ok(())
}

fn job_count(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    job: &JobId,
    from: Option<TaskState>,
    to: Option<TaskState>,
) -> Result<(), StateError> {
    let key = (pool.clone(), job.clone());
    let mut row = ctx.txn.get::<JobTable>(&key)?.unwrap_or_else(|| JobRow {
        created_at: ctx.now.wall,
        counts: Counts::default(),
        done_at: None,
        forget_at: None,
    });
    leave_or_go(&mut row.counts, from, to);
    if row.counts.live() > 0 {
        row.done_at = None;
        row.forget_at = None;
    } else if row.done_at.is_none() {
        row.done_at = Some(ctx.now.wall);
        row.forget_at = Some(forget_at(ctx.now, ctx.settings, &mut ctx.memory.due, DueIndex::Job));
    }
    ctx.txn.put_owned::<JobTable>(&key, row)
}

/// When a row without live tasks may be forgotten: not before the tasks that it counts, which may be requeued until then.
fn forget_at(now: Now, settings: &Settings, due: &mut DueTimes, index: DueIndex) -> ProcessorMs {
    let at = now.processor.after(settings.job_kept.max(settings.dedup));
    due.note(index, at);
    at
}

/// A terminal task that runs again may have been counted in a row that is forgotten since, under other settings.
fn leave_or_go(counts: &mut Counts, from: Option<TaskState>, to: Option<TaskState>) {
    let from = from.filter(|state| !state.is_terminal() || counts.of(*state) > 0);
    counts.shift(from, to);
}

/// The limit of queues, if this task would name one more.
pub(crate) fn too_many_queues(ctx: &mut Ctx<'_, '_>, spec: &TaskSpec) -> Result<Option<usize>, StateError> {
    if ctx.tally.has_queue(&spec.pool, &spec.queue) {
        return Ok(None);
    }
    let key = CounterKey { pool: spec.pool.clone(), dimension: Dimension::Queue(spec.queue.clone()) };
    if ctx.txn.contains::<CounterTable>(&key)? {
        return Ok(None);
    }
    ctx.tally.write(ctx.txn)?;
    let limit = ctx.settings.limits.queues_max as usize;
    let queues = KeyWriter::new(byte::COUNTER).str(spec.pool.as_str()).u8(1).finish();
    let known = ctx.txn.scan::<CounterTable>(&queues, &prefix_end(&queues), limit)?.len();
    Ok((known >= limit).then_some(limit))
}
