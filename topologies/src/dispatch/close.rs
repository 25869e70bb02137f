//! An attempt is over: what becomes of its task. Failures and losses are counted apart and have limits of their own.

use xxhash_rust::xxh3::xxh3_64;
use yardmaster_state::StateError;

use super::transition::go;
use crate::ctx::Ctx;
use crate::id::{Attempt, Pool, TaskId};
use crate::memory::DueIndex;
use crate::tables::{JobCancelTable, PayloadTable};
use crate::task::{
    CLOSED_ATTEMPTS_MAX, ClosedAttempt, DoneMarker, LiveTask, OpenAttempt, Outcome, Reason, Report, Retry,
    Stopping, TAILS_MAX, TaskRow, TaskState,
};
use crate::time::{Millis, ProcessorMs};
use crate::track;
use crate::window::Happened;

/// How an attempt ended.
pub(super) struct Closing {
    pub(super) outcome: Outcome,
    pub(super) reason: Reason,
    pub(super) report: Report,
    /// Its worker said so itself.
    pub(super) is_reported: bool,
}

impl Closing {
    /// The worker is gone, so nobody reported.
    pub(super) fn lost(reason: Reason) -> Self {
        Self { outcome: Outcome::Lost, reason, report: Report::default(), is_reported: false }
    }
}

/// Closes the open attempt of a task and moves the task on. The worker's row is the caller's to free.
pub(super) fn close_attempt(
    ctx: &mut Ctx<'_, '_>,
    mut task: LiveTask,
    closing: Closing,
) -> Result<(), StateError> {
    let open = task.open.take().expect("only an open attempt is closed");
    let retryable = closing.report.retryable.unwrap_or(true);
    let (outcome, reason, is_reported) = (closing.outcome, closing.reason, closing.is_reported);
    let was_started = open.started_at.is_some();
    let closed = record(ctx, &task, open, closing);
    ctx.windows.closed(&task.spec, &closed, was_started);
    count(&mut task, outcome, reason);
    keep(&mut task.closed, closed);
    task.timer_at = None;
    if task.stopping.is_none() && outcome != Outcome::Succeeded {
        task.stopping = stopped_by_job(ctx, &task)?;
    }
    match next_state(&task, outcome, retryable) {
        next if next.is_terminal() => {
            let reason = match (next, task.state) {
                // The reason for which it was told to stop.
                (TaskState::Cancelled | TaskState::Expired, TaskState::Cancelling) => task.reason,
                (TaskState::Cancelled, _) => Reason::JobCancelled,
                _ => reason,
            };
            end(ctx, task, next, reason, is_reported)
        }
        next => go_on(ctx, task, next, outcome, reason),
    }
}

/// Frees the slot of a worker whose attempt was closed.
pub(super) fn free_slot(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    worker: &crate::id::WorkerName,
) -> Result<(), StateError> {
    if let Some(mut row) = ctx.worker(pool, worker)? {
        row.open = row.open.checked_sub(1).expect("a worker with an open attempt counts it");
        ctx.put_worker(pool, row)?;
    }
    Ok(())
}

/// Ends a task: its row becomes a marker, its whole record goes to `events` and into history. `is_reported`: a worker ended
/// its last attempt by a report of its own.
pub(super) fn end(
    ctx: &mut Ctx<'_, '_>,
    mut task: LiveTask,
    state: TaskState,
    reason: Reason,
    is_reported: bool,
) -> Result<(), StateError> {
    let was_ready = (task.state == TaskState::Queued).then_some(task.seq);
    let had_attempt = task.state.has_attempt();
    go(ctx, &mut task, state, reason)?;
    if let Some(seq) = was_ready {
        ctx.memory.ready.remove(&task.line(), seq, ctx.txn)?;
    }
    let key = (task.spec.pool.clone(), task.spec.id.clone());
    let payload = if task.payload_apart { ctx.txn.get::<PayloadTable>(&key)? } else { None };
    if task.payload_apart {
        ctx.txn.delete::<PayloadTable>(&key)?;
    }
    let marker = DoneMarker {
        state,
        at: ctx.now.wall,
        forget_at: ctx.now.processor.after(ctx.settings.dedup),
        spec_hash: task.spec_hash,
        counted_hash: task.counted_hash,
        requeued_by: task.requeued_by,
        generation: task.generation,
        attempt: task.attempt,
        is_reported,
    };
    ctx.memory.due.note(DueIndex::Marker, marker.forget_at);
    ctx.txn.put_owned::<crate::tables::TaskTable>(&key, TaskRow::Done(marker))?;
    track::ended::ended(ctx, task, payload, had_attempt)
}

fn record(ctx: &Ctx<'_, '_>, task: &LiveTask, open: OpenAttempt, closing: Closing) -> ClosedAttempt {
    let mut report = closing.report;
    if closing.outcome != Outcome::Succeeded {
        (report.result, report.result_ref) = (None, None);
    }
    // Short attempts leave their start out, and of others it may come late. The worker's clock is believed between the
    // two moments that are known here.
    let said = report.started_at.map(|at| at.min(ctx.now.wall).max(open.assigned_at));
    let started_at = [open.started_at, said].into_iter().flatten().min();
    ClosedAttempt {
        attempt: task.attempt,
        worker: open.worker,
        incarnation: open.incarnation,
        assigned_at: open.assigned_at,
        started_at,
        closed_at: ctx.now.wall,
        outcome: closing.outcome,
        reason: closing.reason,
        report,
    }
}

/// Puts an attempt behind the earlier ones; of those the oldest go, and then the largest parts of the older.
fn keep(closed: &mut Vec<ClosedAttempt>, last: ClosedAttempt) {
    closed.push(last);
    if closed.len() > CLOSED_ATTEMPTS_MAX {
        closed.remove(0);
    }
    for old in closed.iter_mut().rev().skip(TAILS_MAX) {
        (old.report.stdout_tail, old.report.stderr_tail) = (None, None);
    }
}

fn count(task: &mut LiveTask, outcome: Outcome, reason: Reason) {
    match outcome {
        Outcome::Failed | Outcome::TimedOut => {
            task.failures += 1;
            // It ran, also when the start was left out.
            task.ttl_at = None;
        }
        // A drained worker was asked to leave: that is nobody's fault.
        Outcome::Lost if reason != Reason::Drained => task.losses += 1,
        Outcome::Lost | Outcome::Succeeded | Outcome::Rejected | Outcome::Cancelled => {}
    }
}

/// The job was cancelled and its sweep has not come to this task yet.
fn stopped_by_job(ctx: &mut Ctx<'_, '_>, task: &LiveTask) -> Result<Option<Stopping>, StateError> {
    let Some(job) = &task.spec.job else {
        return Ok(None);
    };
    let flag = ctx.txn.get::<JobCancelTable>(&(task.spec.pool.clone(), job.clone()))?;
    Ok(flag.map(|flag| Stopping { target: TaskState::Cancelled, note: flag.note }))
}

fn next_state(task: &LiveTask, outcome: Outcome, retryable: bool) -> TaskState {
    if outcome == Outcome::Succeeded {
        // Also when it was being cancelled: the work is done, so the result is kept.
        return TaskState::Completed;
    }
    if let Some(stopping) = &task.stopping {
        return stopping.target;
    }
    let retry = &task.spec.retry;
    match outcome {
        Outcome::Failed | Outcome::TimedOut if !retryable || task.failures >= retry.max_failures => {
            TaskState::Failed
        }
        Outcome::Failed | Outcome::TimedOut => TaskState::Scheduled,
        Outcome::Lost if task.losses >= retry.max_losses => TaskState::Failed,
        Outcome::Lost | Outcome::Cancelled | Outcome::Rejected | Outcome::Succeeded => TaskState::Queued,
    }
}

/// The task lives on: it waits for its backoff, or stands at the front of its priority again.
fn go_on(
    ctx: &mut Ctx<'_, '_>,
    mut task: LiveTask,
    next: TaskState,
    outcome: Outcome,
    reason: Reason,
) -> Result<(), StateError> {
    let mut due = None;
    if next == TaskState::Scheduled {
        let wait = backoff(&task.spec.retry, (&task.spec.pool, &task.spec.id), task.attempt, task.failures);
        task.timer_at = Some(ctx.now.processor.after(wait));
        due = Some(crate::time::WallMs(ctx.now.wall.0.saturating_add(wait.0)));
    } else {
        task.seq = ctx.front_seq();
    }
    debug_assert_ne!(outcome, Outcome::Succeeded, "a success ends its task");
    go(ctx, &mut task, next, reason)?;
    ctx.windows.note(&task.spec, Happened::Retried);
    track::events::attempt_closed(ctx, &task, due);
    ctx.put_task(task)
}

/// The wait before the next try: doubles with every failure up to the limit, then between a half and the whole of it.
/// The jitter comes from the task's name, so that a replay waits as long.
fn backoff(retry: &Retry, (pool, id): (&Pool, &TaskId), attempt: Attempt, failures: u32) -> Millis {
    let doublings = failures.saturating_sub(1).min(32);
    let whole = retry.backoff.0.saturating_mul(1 << doublings).min(retry.backoff_max.0);
    let half = whole / 2;
    let jitter = xxh3_64(format!("{pool}/{id}/{attempt}").as_bytes()) % (half + 1);
    Millis(half + jitter)
}

/// When the grace of a task that is told to stop is over at the latest.
pub(super) fn stop_by(ctx: &Ctx<'_, '_>) -> ProcessorMs {
    ctx.now.processor.after(Millis(ctx.settings.grace.0.saturating_mul(2)))
}
