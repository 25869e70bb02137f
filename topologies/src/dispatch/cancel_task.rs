//! An operator or submitter ends a task.

use yardmaster_state::StateError;

use super::close::{end, stop_by};
use super::fence::name;
use super::hello::stop;
use super::transition::go;
use crate::ctx::Ctx;
use crate::effect::Counted;
use crate::id::{Pool, RequestId, TaskId};
use crate::task::{LiveTask, Reason, Stopping, TaskRow, TaskState};
use crate::track;
use crate::wire::{Refusal, RefusedReason};

/// Ends a task at once, or tells its worker to.
pub(super) fn cancel_task(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    request_id: Option<RequestId>,
    id: &TaskId,
    note: String,
) -> Result<(), StateError> {
    match ctx.row(pool, id)?.as_deref() {
        Some(TaskRow::Live(task)) => {
            let task = task.clone();
            cancel(ctx, task, Reason::TaskCancelled, note)
        }
        // What was wished for holds: it does not run and won't.
        Some(TaskRow::Done(_)) => {
            ctx.count(Counted::Repeated, "cancel");
            Ok(())
        }
        None => {
            let detail = format!("pool {pool} has no task {id}: look for it with `yardmaster task list`");
            refuse(ctx, pool, request_id, id, RefusedReason::UnknownTask, detail);
            Ok(())
        }
    }
}

/// Ends a live task for a reason, or tells its worker to.
pub(super) fn cancel(
    ctx: &mut Ctx<'_, '_>,
    mut task: LiveTask,
    reason: Reason,
    note: String,
) -> Result<(), StateError> {
    if task.stopping.is_some() {
        ctx.count(Counted::Repeated, "cancel");
        return Ok(());
    }
    task.stopping = Some(Stopping { target: TaskState::Cancelled, note });
    let Some(open) = task.open.clone() else {
        return end(ctx, task, TaskState::Cancelled, reason, false);
    };
    task.timer_at = Some(stop_by(ctx));
    go(ctx, &mut task, TaskState::Cancelling, reason)?;
    track::events::state(ctx, &task);
    tell(ctx, &task, &open.worker, reason)?;
    ctx.put_task(task)
}

/// Tells the holder of the open attempt to stop it.
fn tell(
    ctx: &mut Ctx<'_, '_>,
    task: &LiveTask,
    worker: &crate::id::WorkerName,
    reason: Reason,
) -> Result<(), StateError> {
    let pool = task.spec.pool.clone();
    let open = task.open.as_ref().expect("only an open attempt is told to stop");
    let attempt = name(ctx, task, open);
    if let Some(mut row) = ctx.worker(&pool, worker)?.filter(|row| row.channel_ready) {
        stop(ctx, &pool, &mut row, attempt, reason);
        ctx.put_worker(&pool, row)?;
    }
    Ok(())
}

fn refuse(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    request_id: Option<RequestId>,
    id: &TaskId,
    reason: RefusedReason,
    detail: String,
) {
    let refusal = Refusal {
        action: "cancel".to_owned(),
        id: Some(id.clone()),
        job: None,
        worker: None,
        reason,
        field: Some("id".to_owned()),
        detail,
    };
    ctx.publish(refusal.into_event(pool.clone(), request_id, ctx.now.wall));
}
