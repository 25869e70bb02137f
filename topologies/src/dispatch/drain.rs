//! An operator takes a worker out of service, and back.

use yardmaster_state::StateError;

use crate::ctx::Ctx;
use crate::effect::{Counted, Effect};
use crate::id::{Pool, RequestId, WorkerName};
use crate::track;
use crate::wire::{Refusal, RefusedReason, ToWorker};
use crate::worker::{WorkerRow, WorkerState};

/// Gives a worker nothing new; what it has goes on.
pub(super) fn drain(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    request_id: Option<RequestId>,
    worker: &WorkerName,
) -> Result<(), StateError> {
    let Some(mut row) = known(ctx, pool, request_id, worker, "drain")? else {
        return Ok(());
    };
    if row.drained_by_operator {
        ctx.count(Counted::Repeated, "drain");
        return Ok(());
    }
    row.drained_by_operator = true;
    if row.state == WorkerState::Active {
        row.state = WorkerState::Draining;
        track::events::worker_drained(ctx, pool, &row);
    }
    say(ctx, pool, &mut row, |to| ToWorker::Drain { to });
    ctx.put_worker(pool, row)
}

/// Gives it work again.
pub(super) fn undrain(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    request_id: Option<RequestId>,
    worker: &WorkerName,
) -> Result<(), StateError> {
    let Some(mut row) = known(ctx, pool, request_id, worker, "undrain")? else {
        return Ok(());
    };
    if !row.drained_by_operator {
        ctx.count(Counted::Repeated, "undrain");
        return Ok(());
    }
    row.drained_by_operator = false;
    let is_away = matches!(row.state, WorkerState::Lost | WorkerState::Gone);
    if is_away && row.left_at.is_none() {
        // Only the order was left of it.
        return ctx.delete_worker(pool, worker);
    }
    // One that drains by its own word goes on until a heartbeat says otherwise.
    if row.state == WorkerState::Draining && !row.drains_itself {
        row.state = WorkerState::Active;
        track::events::worker_undrained(ctx, pool, &row);
    }
    if say(ctx, pool, &mut row, |to| ToWorker::Undrain { to }) {
        row.undrained_seq = row.seq;
    }
    ctx.put_worker(pool, row)
}

/// Tells the worker, if it can be told.
fn say(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    row: &mut WorkerRow,
    message: fn(crate::wire::Address) -> ToWorker,
) -> bool {
    let is_here = matches!(row.state, WorkerState::Active | WorkerState::Draining);
    let can_be_told = is_here && row.channel_ready;
    if can_be_told {
        let to = Ctx::address(pool, row);
        ctx.effects.push(Effect::Send {
            pool: pool.clone(),
            worker: row.worker.clone(),
            message: message(to),
        });
    }
    can_be_told
}

fn known(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    request_id: Option<RequestId>,
    worker: &WorkerName,
    action: &str,
) -> Result<Option<WorkerRow>, StateError> {
    let row = ctx.worker(pool, worker)?;
    if row.is_none() {
        let refusal = Refusal {
            action: action.to_owned(),
            id: None,
            job: None,
            worker: Some(worker.clone()),
            reason: RefusedReason::UnknownWorker,
            field: Some("worker".to_owned()),
            detail: format!("pool {pool} has no worker {worker}: look for it with `yardmaster worker list`"),
        };
        ctx.publish(refusal.into_event(pool.clone(), request_id, ctx.now.wall));
    }
    Ok(row)
}
