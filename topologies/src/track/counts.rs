//! Exact numbers of tasks by state: of the pool, of each queue, job and tag.

use yardmaster_state::{KeyWriter, StateError, prefix_end};

use crate::ctx::Ctx;
use crate::id::{JobId, Pool};
use crate::job::{CounterKey, Dimension, JobRow};
use crate::memory::DueIndex;
use crate::tables::{CounterTable, JobTable, byte};
use crate::task::{Counts, TaskSpec, TaskState};

/// Moves a task from one state to another in every count that it belongs to; absent is outside.
pub(crate) fn shift(
    ctx: &mut Ctx<'_, '_>,
    spec: &TaskSpec,
    from: Option<TaskState>,
    to: Option<TaskState>,
) -> Result<(), StateError> {
    counter(ctx, &spec.pool, Dimension::Pool, from, to)?;
    counter(ctx, &spec.pool, Dimension::Queue(spec.queue.clone()), from, to)?;
    for (name, value) in &spec.tags {
        counter(ctx, &spec.pool, Dimension::Tag(name.clone(), value.clone()), from, to)?;
    }
    match &spec.job {
        Some(job) => job_count(ctx, &spec.pool, job, from, to),
        None => Ok(()),
    }
}

fn counter(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    dimension: Dimension,
    from: Option<TaskState>,
    to: Option<TaskState>,
) -> Result<(), StateError> {
    let key = CounterKey { pool: pool.clone(), dimension };
    let mut counts = ctx.txn.get::<CounterTable>(&key)?.unwrap_or_default();
    leave_or_go(&mut counts, from, to);
    ctx.txn.put_owned::<CounterTable>(&key, counts)
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
        let forget_at = ctx.now.processor.after(ctx.settings.job_kept);
        ctx.memory.due.note(DueIndex::Job, forget_at);
        row.forget_at = Some(forget_at);
    }
    ctx.txn.put_owned::<JobTable>(&key, row)
}

/// A terminal task that runs again may have been counted in a job's row that is forgotten since.
fn leave_or_go(counts: &mut Counts, from: Option<TaskState>, to: Option<TaskState>) {
    let from = from.filter(|state| !state.is_terminal() || counts.of(*state) > 0);
    counts.shift(from, to);
}

/// The limit of queues, if this task would name one more.
pub(crate) fn too_many_queues(ctx: &mut Ctx<'_, '_>, spec: &TaskSpec) -> Result<Option<usize>, StateError> {
    let key = CounterKey { pool: spec.pool.clone(), dimension: Dimension::Queue(spec.queue.clone()) };
    if ctx.txn.contains::<CounterTable>(&key)? {
        return Ok(None);
    }
    let limit = ctx.settings.limits.queues_max as usize;
    let queues = KeyWriter::new(byte::COUNTER).str(spec.pool.as_str()).u8(1).finish();
    let known = ctx.txn.scan::<CounterTable>(&queues, &prefix_end(&queues), limit)?.len();
    Ok((known >= limit).then_some(limit))
}
