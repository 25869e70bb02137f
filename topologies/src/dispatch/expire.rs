//! What time alone does: leases, backoffs, run timeouts, queue TTLs, the grace of a cancel, and what may be forgotten.
//! A bounded number per tick; the driver ticks again at once when something is left.

use yardmaster_state::{KeyWriter, StateError, Table, Txn, prefix_end};

use super::close::{Closing, close_attempt, end, free_slot};
use super::leave::leave;
use super::sweep::sweep;
use super::transition::go;
use crate::ctx::Ctx;
use crate::effect::Effect;
use crate::id::{Pool, TaskId};
use crate::tables::{ForgetTable, LeaseDueTable, LeftTable, TaskTable, TimerKind, TimerTable};
use crate::task::{Outcome, Reason, Report, TaskState};
use crate::time::{Millis, ProcessorMs};
use crate::track;
use crate::worker::WorkerState;

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

/// When the next lease, timer or retention is due.
pub(crate) fn next_due(txn: &Txn<'_>, channel_kept: Millis) -> Result<Option<ProcessorMs>, StateError> {
    let lease = first::<LeaseDueTable>(txn)?.map(|(at, _, _)| at);
    let timer = first::<TimerTable>(txn)?.map(|key| key.at);
    let marker = first::<ForgetTable>(txn)?.map(|(at, _, _)| at);
    let left = first::<LeftTable>(txn)?.map(|(at, _, _)| at.after(channel_kept));
    let job = first::<crate::tables::JobDueTable>(txn)?.map(|(at, _, _)| at);
    Ok([lease, timer, marker, left, job].into_iter().flatten().min())
}

/// When the server ends a run that its worker should have ended: the worker's limit, and the grace twice.
pub(super) fn run_backstop(ctx: &Ctx<'_, '_>, limit: Millis) -> ProcessorMs {
    let grace = ctx.settings.grace.0.saturating_mul(2);
    ctx.now.processor.after(Millis(limit.0.saturating_add(grace)))
}

fn first<T: Table>(txn: &Txn<'_>) -> Result<Option<T::Key>, StateError> {
    let all = KeyWriter::new(T::ID).finish();
    Ok(txn
        .scan::<T>(&all, &prefix_end(&all), 1)?
        .into_iter()
        .next()
        .map(|(key, _)| key))
}

/// The keys of an index that begins with the time, up to now.
pub(crate) fn due<T: Table>(
    txn: &Txn<'_>,
    until: ProcessorMs,
    limit: usize,
) -> Result<Vec<T::Key>, StateError> {
    let from = KeyWriter::new(T::ID).finish();
    let to = KeyWriter::new(T::ID).u64(until.0.saturating_add(1)).finish();
    Ok(txn
        .scan::<T>(&from, &to, limit)?
        .into_iter()
        .map(|(key, _)| key)
        .collect())
}

fn limit(ctx: &Ctx<'_, '_>) -> usize {
    ctx.settings.limits.timers_per_tick_max as usize
}

fn leases(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let limit = limit(ctx);
    let due = due::<LeaseDueTable>(ctx.txn, ctx.now.processor, limit)?;
    let is_left = due.len() == limit;
    for (_, pool, worker) in due {
        if let Some(row) = ctx.worker(&pool, &worker)? {
            leave(ctx, &pool, row, WorkerState::Lost, Reason::LeaseExpired)?;
        }
    }
    Ok(is_left)
}

fn timers(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let limit = limit(ctx);
    let due = due::<TimerTable>(ctx.txn, ctx.now.processor, limit)?;
    let is_left = due.len() == limit;
    for key in due {
        match key.kind {
            TimerKind::State => state_timer(ctx, &key.pool, &key.id)?,
            TimerKind::Ttl => queue_ttl(ctx, &key.pool, &key.id)?,
        }
    }
    Ok(is_left)
}

fn state_timer(ctx: &mut Ctx<'_, '_>, pool: &Pool, id: &TaskId) -> Result<(), StateError> {
    let Some(mut task) = ctx.live(pool, id)? else {
        return Ok(());
    };
    match task.state {
        TaskState::Scheduled => {
            task.timer_at = None;
            task.seq = ctx.back_seq();
            go(ctx, &mut task, TaskState::Queued, Reason::Backoff)?;
            track::events::state(ctx, &task);
            ctx.put_task(None, task)
        }
        // The worker should have ended it long ago. It is told once more; its token is void from now on.
        TaskState::Assigned | TaskState::Running => overrun(ctx, task),
        TaskState::Cancelling => {
            let reason = task.reason;
            let worker = task.open.as_ref().map(|open| open.worker.clone());
            if let Some(worker) = worker {
                free_slot(ctx, pool, &worker)?;
            }
            let report = Report {
                error_message: Some("its worker did not confirm in time".into()),
                ..Report::default()
            };
            close_attempt(
                ctx,
                task,
                Closing {
                    outcome: Outcome::Cancelled,
                    reason,
                    report,
                },
            )
        }
        TaskState::Blocked
        | TaskState::Queued
        | TaskState::Held
        | TaskState::Completed
        | TaskState::Failed
        | TaskState::Cancelled
        | TaskState::Expired
        | TaskState::Aborted => Ok(()),
    }
}

fn overrun(ctx: &mut Ctx<'_, '_>, task: crate::task::LiveTask) -> Result<(), StateError> {
    let pool = task.spec.pool.clone();
    let open = task
        .open
        .clone()
        .expect("ASSIGNED and RUNNING have an open attempt");
    let attempt = super::fence::name(ctx, &task, &open);
    if let Some(mut row) = ctx.worker(&pool, &open.worker)? {
        row.open = row
            .open
            .checked_sub(1)
            .expect("a worker with an open attempt counts it");
        if row.channel_ready {
            let to = Ctx::address(&pool, &mut row);
            let reason = Reason::RunTimeout;
            let message = crate::wire::ToWorker::Cancel {
                to,
                attempt,
                grace: ctx.settings.grace,
                reason,
            };
            ctx.effects.push(Effect::Send {
                pool: pool.clone(),
                worker: open.worker.clone(),
                message,
            });
        }
        ctx.put_worker(&pool, row)?;
    }
    let report = Report {
        error_kind: Some("timeout".into()),
        ..Report::default()
    };
    close_attempt(
        ctx,
        task,
        Closing {
            outcome: Outcome::TimedOut,
            reason: Reason::RunTimeout,
            report,
        },
    )
}

fn queue_ttl(ctx: &mut Ctx<'_, '_>, pool: &Pool, id: &TaskId) -> Result<(), StateError> {
    let Some(mut task) = ctx.live(pool, id)? else {
        return Ok(());
    };
    match task.state {
        TaskState::Blocked | TaskState::Scheduled | TaskState::Queued | TaskState::Held => {
            end(ctx, task, TaskState::Expired, Reason::QueueTtl)
        }
        // It may come back without having been started: look again after a lease.
        TaskState::Assigned => {
            task.ttl_at = Some(ctx.now.processor.after(ctx.settings.lease));
            ctx.put_task(None, task)
        }
        TaskState::Running
        | TaskState::Cancelling
        | TaskState::Completed
        | TaskState::Failed
        | TaskState::Cancelled
        | TaskState::Expired
        | TaskState::Aborted => {
            task.ttl_at = None;
            ctx.put_task(None, task)
        }
    }
}

/// Done markers whose dedup window is over.
fn forget_markers(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let limit = limit(ctx);
    let due = due::<ForgetTable>(ctx.txn, ctx.now.processor, limit)?;
    let is_left = due.len() == limit;
    for (_, pool, id) in due {
        ctx.txn.delete::<TaskTable>(&(pool, id))?;
    }
    Ok(is_left)
}

/// Workers that left long ago: their row goes, and their channel.
fn forget_workers(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let limit = limit(ctx);
    let Some(until) = ctx.now.processor.0.checked_sub(ctx.settings.channel_kept.0) else {
        return Ok(false);
    };
    let due = due::<LeftTable>(ctx.txn, ProcessorMs(until), limit)?;
    let is_left = due.len() == limit;
    for (_, pool, worker) in due {
        ctx.delete_worker(&pool, &worker)?;
        ctx.effects.push(Effect::ForgetChannel { pool, worker });
    }
    Ok(is_left)
}
