//! What time alone does: leases, backoffs, run timeouts, queue TTLs, the grace of a cancel, and what may be forgotten.
//! A bounded number per tick; the driver ticks again at once when something is left.
//!
//! **Run timeouts.** The worker ends a run that takes too long and reports it. The server's own timer comes after that:
//! the limit, and twice the grace that the worker has for SIGTERM and SIGKILL, counted from the start, or from the
//! assignment while no start was reported. When it fires, the worker is told to stop the run and the attempt is closed as
//! TIMED_OUT, a failure, without waiting for an answer. By then a worker that keeps to the protocol has stopped it; what
//! one that doesn't still says about it is fenced.

use yardmaster_state::{KeyWriter, StateError, Txn, prefix_end};

use super::close::{Closing, close_attempt, end, free_slot};
use super::hello::stop;
use super::leave::leave;
use super::sweep::sweep;
use super::transition::go;
use crate::ctx::Ctx;
use crate::effect::Effect;
use crate::id::Pool;
use crate::memory::{DueIndex, DueTimes};
use crate::tables::{
    CounterDueTable, DueTable, ForgetTable, JobDueTable, LeaseDueTable, LeaseTable, LeftTable, TaskTable,
    TimerKey, TimerKind, TimerTable,
};
use crate::task::{Outcome, Reason, Report, TaskState};
use crate::time::{Millis, ProcessorMs};
use crate::track;
use crate::worker::{LeaseRow, WorkerRow, WorkerState};

/// Fires what is due; returns whether something due is left.
pub(crate) fn tick(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let mut is_left = leases(ctx)?;
    is_left |= timers(ctx)?;
    is_left |= sweep(ctx)?;
    is_left |= forget_markers(ctx)?;
    is_left |= forget_workers(ctx)?;
    is_left |= track::retention::tick(ctx)?;
    Ok(is_left)
}

/// When the next lease, timer or retention is due: never too late.
pub(crate) fn next_due(
    txn: &Txn<'_>,
    due: &mut DueTimes,
    channel_kept: Millis,
) -> Result<Option<ProcessorMs>, StateError> {
    look::<LeaseDueTable>(txn, due)?;
    look::<TimerTable>(txn, due)?;
    look::<ForgetTable>(txn, due)?;
    look::<LeftTable>(txn, due)?;
    look::<JobDueTable>(txn, due)?;
    look::<CounterDueTable>(txn, due)?;
    let times = DueIndex::ALL.map(|index| {
        let at = due.not_before(index);
        if index == DueIndex::Left { at.after(channel_kept) } else { at }
    });
    Ok(times.into_iter().min().filter(|at| at.0 < u64::MAX))
}

/// Looks for the first row of an index where it is not known.
fn look<T: DueTable>(txn: &Txn<'_>, due: &mut DueTimes) -> Result<(), StateError> {
    if due.is_unknown(T::INDEX) {
        let from = KeyWriter::new(T::ID).u64(due.not_before(T::INDEX).0).finish();
        let first = txn.scan::<T>(&from, &prefix_end(&[T::ID]), 1)?;
        due.found(T::INDEX, first.first().map(|(key, _)| T::at(key)));
    }
    Ok(())
}

/// When the server ends a run that its worker should have ended: the worker's limit, and the grace twice.
pub(super) fn run_backstop(ctx: &Ctx<'_, '_>, limit: Millis) -> ProcessorMs {
    let grace = ctx.settings.grace.0.saturating_mul(2);
    ctx.now.processor.after(Millis(limit.0.saturating_add(grace)))
}

/// What is due in an index at a moment, at most `limit`, and whether more may be. The caller must do all of it.
pub(crate) fn due<T: DueTable>(
    ctx: &mut Ctx<'_, '_>,
    until: ProcessorMs,
    limit: u32,
) -> Result<(Vec<T::Key>, bool), StateError> {
    let from = ctx.memory.due.not_before(T::INDEX);
    if from > until {
        return Ok((Vec::new(), false));
    }
    let limit = limit as usize;
    let from = KeyWriter::new(T::ID).u64(from.0).finish();
    let after = until.after(Millis(1));
    let rows = ctx.txn.scan::<T>(&from, &KeyWriter::new(T::ID).u64(after.0).finish(), limit)?;
    let keys: Vec<T::Key> = rows.into_iter().map(|(key, _)| key).collect();
    let is_left = keys.len() == limit;
    let done_before = keys.last().filter(|_| is_left).map_or(after, T::at);
    ctx.memory.due.done_before(T::INDEX, done_before);
    Ok((keys, is_left))
}

/// Workers that were silent for too long: first they get nothing new, then they are lost. A worker may hold thousands of
/// attempts, so what is counted against the limit is the attempts that are closed; the rest has to wait for the next batch.
fn leases(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let limit = ctx.settings.limits.timers_per_tick_max;
    let (due, is_left) = due::<LeaseDueTable>(ctx, ctx.now.processor, limit)?;
    let mut silent = Vec::with_capacity(due.len());
    for (at, pool, worker) in due {
        let key = (pool, worker);
        let (row, lease) = (ctx.worker(&key.0, &key.1)?, ctx.txn.get::<LeaseTable>(&key)?);
        let (Some(row), Some(lease)) = (row, lease) else {
            return Err(StateError::corrupted(format!("the lease of {}/{} has no worker", key.0, key.1)));
        };
        silent.push((at, key, row, lease));
    }
    // The index has some by the time when they become SUSPECT. They are lost in the order in which their leases ended.
    silent.sort_by_key(|(_, _, _, lease)| lease.expires_at);
    let mut first_left: Option<ProcessorMs> = None;
    for (at, key, row, lease) in silent {
        let is_over = lease.expires_at <= ctx.now.processor;
        if is_over && !ctx.has_lost_enough() {
            leave(ctx, &key.0, row, WorkerState::Lost, Reason::LeaseExpired)?;
        } else {
            let left = is_over.then_some(at);
            first_left = first_left.into_iter().chain(left).min();
            suspect(ctx, &key.0, row, lease)?;
        }
    }
    if let Some(at) = first_left {
        ctx.memory.due.done_before(DueIndex::Lease, at);
    }
    Ok(is_left || first_left.is_some())
}

/// A worker gets nothing new until it speaks; its lease runs on.
fn suspect(ctx: &mut Ctx<'_, '_>, pool: &Pool, row: WorkerRow, lease: LeaseRow) -> Result<(), StateError> {
    let key = (pool.clone(), row.worker.clone());
    let lease = LeaseRow { suspect_at: None, ..lease };
    ctx.memory.due.note(DueIndex::Lease, lease.due_at());
    ctx.txn.put_owned::<LeaseTable>(&key, lease)?;
    ctx.put_worker(pool, WorkerRow { is_suspect: true, ..row })
}

fn timers(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let limit = ctx.settings.limits.timers_per_tick_max;
    let (due, is_left) = due::<TimerTable>(ctx, ctx.now.processor, limit)?;
    for key in due {
        match key.kind {
            TimerKind::State => state_timer(ctx, &key)?,
            TimerKind::Ttl => queue_ttl(ctx, &key)?,
        }
    }
    Ok(is_left)
}

/// The state's own timer, if the task did not go on since.
fn state_timer(ctx: &mut Ctx<'_, '_>, key: &TimerKey) -> Result<(), StateError> {
    let task = ctx.live(&key.pool, &key.id)?;
    let Some(mut task) = task.filter(|task| task.timer_at == Some(key.at)) else {
        return Ok(());
    };
    match task.state {
        TaskState::Scheduled => {
            task.timer_at = None;
            task.seq = ctx.back_seq();
            go(ctx, &mut task, TaskState::Queued, Reason::Backoff)?;
            track::events::state(ctx, &task);
            ctx.put_task(task)
        }
        // The worker should have ended it long ago. It is told once more; its token is void from now on.
        TaskState::Assigned | TaskState::Running => overrun(ctx, task),
        TaskState::Cancelling => {
            let reason = task.reason;
            let worker = task.open.as_ref().map(|open| open.worker.clone());
            if let Some(worker) = worker {
                free_slot(ctx, &key.pool, &worker)?;
            }
            let report = Report {
                error_message: Some("its worker did not confirm in time".into()),
                ..Report::default()
            };
            let outcome = Outcome::Cancelled;
            close_attempt(ctx, task, Closing { outcome, reason, report, is_reported: false })
        }
        TaskState::Blocked
        | TaskState::Queued
        | TaskState::Held
        | TaskState::Completed
        | TaskState::Failed
        | TaskState::Cancelled
        | TaskState::Expired
        | TaskState::Aborted => {
            unreachable!("{} is {} and has a timer", key.id, task.state.name())
        }
    }
}

fn overrun(ctx: &mut Ctx<'_, '_>, task: crate::task::LiveTask) -> Result<(), StateError> {
    let pool = task.spec.pool.clone();
    let open = task.open.clone().expect("ASSIGNED and RUNNING have an open attempt");
    let attempt = super::fence::name(ctx, &task, &open);
    if let Some(mut row) = ctx.worker(&pool, &open.worker)? {
        row.open = row.open.checked_sub(1).expect("a worker with an open attempt counts it");
        if row.channel_ready {
            stop(ctx, &pool, &mut row, attempt, Reason::RunTimeout);
        }
        ctx.put_worker(&pool, row)?;
    }
    let report = Report { error_kind: Some("timeout".into()), ..Report::default() };
    let (outcome, reason) = (Outcome::TimedOut, Reason::RunTimeout);
    close_attempt(ctx, task, Closing { outcome, reason, report, is_reported: false })
}

/// The queue TTL, unless the task went on since. It has no timer while a worker has the task.
fn queue_ttl(ctx: &mut Ctx<'_, '_>, key: &TimerKey) -> Result<(), StateError> {
    let task = ctx.live(&key.pool, &key.id)?;
    match task.filter(|task| task.ttl_due() == Some(key.at)) {
        Some(task) => end(ctx, task, TaskState::Expired, Reason::QueueTtl, false),
        None => Ok(()),
    }
}

/// Done markers whose dedup window is over: as many as a batch can make, or they would pile up.
fn forget_markers(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let limit = ctx.settings.limits.forgotten_per_tick_max;
    let (due, is_left) = due::<ForgetTable>(ctx, ctx.now.processor, limit)?;
    for (_, pool, id) in due {
        ctx.txn.delete::<TaskTable>(&(pool, id))?;
    }
    Ok(is_left)
}

/// Workers that left long ago: their channel goes, and their row unless an operator's drain order stands in it.
fn forget_workers(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let Some(until) = ctx.now.processor.0.checked_sub(ctx.settings.channel_kept.0) else {
        return Ok(false);
    };
    let limit = ctx.settings.limits.timers_per_tick_max;
    let (due, is_left) = due::<LeftTable>(ctx, ProcessorMs(until), limit)?;
    for (_, pool, worker) in due {
        match ctx.worker(&pool, &worker)?.filter(|row| row.drained_by_operator) {
            Some(row) => ctx.put_worker(&pool, WorkerRow { left_at: None, channel_ready: false, ..row })?,
            None => ctx.delete_worker(&pool, &worker)?,
        }
        ctx.effects.push(Effect::ForgetChannel { pool, worker });
    }
    Ok(is_left)
}
