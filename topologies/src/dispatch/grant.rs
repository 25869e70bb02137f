//! Carries out what was chosen: opens attempts and tells the workers.

use std::collections::BTreeMap;

use yardmaster_state::StateError;

use super::choose::{Grant, choose};
use super::fence::name;
use super::transition::go;
use crate::ctx::Ctx;
use crate::effect::Effect;
use crate::id::{Attempt, Pool, WorkerName};
use crate::memory::Head;
use crate::tables::PayloadTable;
use crate::task::{Json, LiveTask, OpenAttempt, TaskState};
use crate::track;
use crate::wire::{ToWorker, Work};
use crate::worker::WorkerRow;

/// Gives out what can be given; returns whether the batch's limit left something to give.
pub(crate) fn give_out(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let mut left = ctx.settings.limits.grants_per_batch_max as usize;
    let mut pools = ctx.memory.free.pools();
    pools.retain(|pool| ctx.memory.ready.waits(pool));
    if pools.len() > left {
        // There is not one for each: others come first at another time.
        let first = usize::try_from(ctx.now.processor.0 % pools.len() as u64).unwrap_or_default();
        pools.rotate_left(first);
    }
    // Each pool gets an equal share of the limit; what one does not need goes to those that took all of theirs.
    while !pools.is_empty() {
        let share = (left / pools.len()).max(1);
        let mut hungry = Vec::new();
        for pool in pools {
            let given = give(ctx, &pool, share)?;
            left -= given;
            if left == 0 {
                return Ok(true);
            }
            if given == share {
                hungry.push(pool);
            }
        }
        pools = hungry;
    }
    Ok(false)
}

/// Gives out at most `limit` tasks of a pool; returns how many.
fn give(ctx: &mut Ctx<'_, '_>, pool: &Pool, limit: usize) -> Result<usize, StateError> {
    let free = usize::try_from(ctx.memory.free.total(pool)).unwrap_or(usize::MAX);
    let heads = take(ctx, pool, free.min(limit))?;
    let workers = ctx.memory.free.best(pool, heads.len());
    let mut rows = BTreeMap::new();
    let taken = heads.len();
    let grants = choose(heads, workers);
    assert_eq!(grants.len(), taken, "no more tasks are taken than slots are free");
    for grant in grants {
        open(ctx, pool, grant, &mut rows)?;
    }
    for row in rows.into_values() {
        ctx.put_worker(pool, row)?;
    }
    Ok(taken)
}

/// The next tasks of a pool. The lines of cancelled jobs are passed over as a whole: the sweep ends their tasks.
fn take(ctx: &mut Ctx<'_, '_>, pool: &Pool, count: usize) -> Result<Vec<Head>, StateError> {
    let mut heads = Vec::with_capacity(count.min(1_024));
    let mut passed = Vec::new();
    while heads.len() < count {
        let Some(line) = ctx.memory.ready.first_line(pool) else {
            break;
        };
        let job = line.job.clone().map(|job| (pool.clone(), job));
        if job.is_some_and(|job| ctx.memory.sweeping.contains_key(&job)) {
            ctx.memory.ready.set_aside(&line);
            passed.push(line);
        } else {
            heads.extend(ctx.memory.ready.take(pool, ctx.txn)?);
        }
    }
    for line in passed {
        ctx.memory.ready.put_back(&line);
    }
    Ok(heads)
}

fn ready_task(ctx: &mut Ctx<'_, '_>, pool: &Pool, head: &Head) -> Result<LiveTask, StateError> {
    ctx.live(pool, &head.id)?
        .filter(|task| task.state == TaskState::Queued && task.seq == head.seq)
        .ok_or_else(|| {
            StateError::corrupted(format!("task {pool}/{} is in the ready index and not QUEUED", head.id))
        })
}

fn open(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    grant: Grant,
    rows: &mut BTreeMap<WorkerName, WorkerRow>,
) -> Result<(), StateError> {
    let mut task = ready_task(ctx, pool, &grant.head)?;
    let row = match rows.entry(grant.worker.clone()) {
        std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
        std::collections::btree_map::Entry::Vacant(entry) => {
            let row = ctx.worker(pool, &grant.worker)?;
            entry.insert(row.ok_or_else(|| StateError::corrupted("a worker with free slots has no row"))?)
        }
    };
    assert!(row.open < row.slots, "{} has a free slot", row.worker);
    row.open += 1;
    let to = Ctx::address(pool, row);
    task.attempt = Attempt(task.attempt.0 + 1);
    task.timer_at = task.spec.run_timeout.map(|limit| super::expire::run_backstop(ctx, limit));
    let attempt = OpenAttempt {
        worker: grant.worker.clone(),
        incarnation: to.incarnation.clone(),
        given_to: None,
        seq: to.seq,
        assigned_at: ctx.now.wall,
        started_at: None,
        progress: None,
    };
    let reference = name(ctx, &task, &attempt);
    task.open = Some(attempt);
    ctx.windows.assigned(&task, ctx.now.wall);
    // It keeps the reason for which it waited: submitted, requeued, or what ended the attempt before.
    let reason = task.reason;
    go(ctx, &mut task, TaskState::Assigned, reason)?;
    let payload = payload(ctx, &task)?;
    let message = ToWorker::Assign { to, attempt: reference, work: Box::new(work(&task, payload)) };
    ctx.effects.push(Effect::Send { pool: pool.clone(), worker: grant.worker, message });
    track::events::assigned(ctx, &task);
    // It was taken out of its line already.
    ctx.put_task(task)
}

fn payload(ctx: &mut Ctx<'_, '_>, task: &LiveTask) -> Result<Option<Json>, StateError> {
    if !task.payload_apart {
        return Ok(task.spec.payload.clone());
    }
    let key = (task.spec.pool.clone(), task.spec.id.clone());
    let payload = ctx.txn.get::<PayloadTable>(&key)?;
    payload
        .map(Some)
        .ok_or_else(|| StateError::corrupted(format!("the payload of {}/{} is gone", key.0, key.1)))
}

fn work(task: &LiveTask, payload: Option<Json>) -> Work {
    Work {
        job: task.spec.job.clone(),
        command: task.spec.command.clone(),
        env: task.spec.env.clone(),
        cwd: task.spec.cwd.clone(),
        payload,
        payload_ref: task.spec.payload_ref.clone(),
        tags: task.spec.tags.clone(),
        run_timeout: task.spec.run_timeout,
    }
}
