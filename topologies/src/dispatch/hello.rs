//! A worker registers: it is welcomed as soon as its channel is known to exist.

use std::collections::{BTreeMap, BTreeSet};

use yardmaster_state::StateError;

use super::fence::{Sender, name, token_of};
use super::leave::{held_by, lose};
use crate::ctx::Ctx;
use crate::effect::{Counted, Effect};
use crate::event::AttemptRef;
use crate::id::{MessageSeq, Pool, TaskId};
use crate::memory::DueIndex;
use crate::tables::LeaseTable;
use crate::task::{LiveTask, Reason, TaskState};
use crate::track;
use crate::wire::{Address, ToWorker};
use crate::worker::{LeaseRow, WorkerRow, WorkerState};

/// The version of the protocol that the server speaks.
const PROTOCOL: u32 = 1;

/// What a worker brings.
pub(super) struct Offer {
    pub(super) slots: u32,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) running: Vec<AttemptRef>,
}

/// Registers an incarnation; what it still runs and still holds, it keeps.
pub(super) fn hello(
    ctx: &mut Ctx<'_, '_>,
    from: &Sender,
    protocols: &[u32],
    offer: Offer,
) -> Result<(), StateError> {
    if !protocols.contains(&PROTOCOL) {
        ctx.count(Counted::Illegal, "protocol");
        return Ok(());
    }
    let before = ctx.worker(&from.pool, &from.worker)?;
    if let Some(row) = &before
        && row.incarnation == from.incarnation
        && !matches!(row.state, WorkerState::Lost | WorkerState::Gone)
    {
        ctx.count(Counted::Duplicate, "hello");
        ensure_channel(ctx, &from.pool, row);
        return Ok(());
    }
    let limit = ctx.settings.limits.workers_max as usize;
    if before.is_none() && ctx.memory.free.registered(&from.pool) >= limit {
        ctx.count(Counted::Illegal, "workers_max");
        return Ok(());
    }
    let kept = replace(ctx, from, before.as_ref(), &offer.running)?;
    let row = WorkerRow {
        worker: from.worker.clone(),
        incarnation: from.incarnation.clone(),
        state: WorkerState::Joining,
        drained_by_operator: before.as_ref().is_some_and(|row| row.drained_by_operator),
        slots: offer.slots.min(ctx.settings.limits.slots_max),
        open: kept,
        labels: offer.labels,
        // A life that comes back after it was given up goes on counting.
        seq: before
            .as_ref()
            .filter(|row| row.incarnation == from.incarnation)
            .map_or(MessageSeq(0), |row| row.seq),
        channel_ready: before.is_some_and(|row| row.channel_ready),
        hello_at: ctx.now.wall,
        left_at: None,
    };
    renew(ctx, from, MessageSeq(0), offer.slots)?;
    if row.channel_ready {
        return welcome(ctx, &from.pool, row);
    }
    ensure_channel(ctx, &from.pool, &row);
    ctx.put_worker(&from.pool, row)
}

/// Asks for the channel of a worker that has none yet.
pub(super) fn ensure_channel(ctx: &mut Ctx<'_, '_>, pool: &Pool, row: &WorkerRow) {
    if !row.channel_ready {
        ctx.effects.push(Effect::EnsureChannel { pool: pool.clone(), worker: row.worker.clone() });
    }
}

/// Lets a worker in whose channel exists.
pub(super) fn welcome(ctx: &mut Ctx<'_, '_>, pool: &Pool, mut row: WorkerRow) -> Result<(), StateError> {
    let (mut adopt, mut to_stop) = (Vec::new(), Vec::new());
    for task in held_by(ctx, pool, &row.worker)? {
        let attempt = task.open.as_ref().map(|open| name(ctx, &task, open));
        if task.state == TaskState::Cancelling {
            to_stop.extend(attempt.clone().map(|attempt| (attempt, task.reason)));
        }
        adopt.extend(attempt);
    }
    row.state = if row.drained_by_operator { WorkerState::Draining } else { WorkerState::Active };
    let to = Ctx::address(pool, &mut row);
    let message = ToWorker::Welcome {
        to,
        protocol: PROTOCOL,
        heartbeat: ctx.settings.heartbeat,
        lease: ctx.settings.lease,
        grace: ctx.settings.grace,
        result_bytes_max: ctx.settings.limits.result_bytes_max,
        adopt,
    };
    ctx.effects.push(Effect::Send { pool: pool.clone(), worker: row.worker.clone(), message });
    // An earlier life was told to stop these; this one does not know.
    for (attempt, reason) in to_stop {
        stop(ctx, pool, &mut row, attempt, reason);
    }
    if row.drained_by_operator {
        let to = Ctx::address(pool, &mut row);
        let message = ToWorker::Drain { to };
        ctx.effects.push(Effect::Send { pool: pool.clone(), worker: row.worker.clone(), message });
    }
    track::events::worker_joined(ctx, pool, &row);
    ctx.put_worker(pool, row)
}

/// Tells a worker to stop an attempt. The caller writes the worker's row.
pub(super) fn stop(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    row: &mut WorkerRow,
    attempt: AttemptRef,
    reason: Reason,
) {
    let to = Ctx::address(pool, row);
    let message = ToWorker::Cancel { to, attempt, grace: ctx.settings.grace, reason };
    ctx.effects.push(Effect::Send { pool: pool.clone(), worker: row.worker.clone(), message });
}

/// Renews the lease from now.
pub(super) fn renew(
    ctx: &mut Ctx<'_, '_>,
    from: &Sender,
    read_seq: MessageSeq,
    free_slots: u32,
) -> Result<(), StateError> {
    let lease = LeaseRow {
        expires_at: ctx.now.processor.after(ctx.settings.lease),
        seen_at: ctx.now.wall,
        read_seq,
        free_slots,
    };
    ctx.memory.due.note(DueIndex::Lease, lease.expires_at);
    ctx.txn.put_owned::<LeaseTable>(&(from.pool.clone(), from.worker.clone()), lease)
}

/// The incarnation before is told to stop; attempts that the new one lists go on in its hands, the others are lost.
/// Returns how many go on.
fn replace(
    ctx: &mut Ctx<'_, '_>,
    from: &Sender,
    before: Option<&WorkerRow>,
    running: &[AttemptRef],
) -> Result<u32, StateError> {
    let Some(before) = before else { return Ok(0) };
    let is_other = before.incarnation != from.incarnation;
    let listed: BTreeSet<(&TaskId, u32, &str)> =
        running.iter().map(|a| (&a.task, a.attempt.0, a.token.as_str())).collect();
    let (mut kept, mut lost) = (0, Vec::new());
    for task in held_by(ctx, &from.pool, &from.worker)? {
        if is_listed(ctx, &task, &listed) {
            adopt(ctx, from, task)?;
            kept += 1;
        } else {
            lost.push(task);
        }
    }
    let mut row = before.clone();
    lose(ctx, &from.pool, &mut row, lost, Reason::Replaced)?;
    if is_other {
        match before.state {
            WorkerState::Joining | WorkerState::Active | WorkerState::Draining => {
                tell_replaced(ctx, &from.pool, before);
                track::events::worker_left(ctx, &from.pool, before, Reason::Replaced);
            }
            // It may be alive and not know that it was given up; that it left was said already.
            WorkerState::Lost => tell_replaced(ctx, &from.pool, before),
            WorkerState::Gone => {}
        }
    }
    Ok(kept)
}

/// Tells an old incarnation that a newer one is here, if it can be told.
pub(super) fn tell_replaced(ctx: &mut Ctx<'_, '_>, pool: &Pool, old: &WorkerRow) {
    if !old.channel_ready {
        return;
    }
    let to = Address {
        pool: pool.clone(),
        worker: old.worker.clone(),
        incarnation: old.incarnation.clone(),
        seq: MessageSeq(0),
    };
    let message = ToWorker::Replaced { to };
    ctx.effects.push(Effect::Send { pool: pool.clone(), worker: old.worker.clone(), message });
}

fn is_listed(ctx: &Ctx<'_, '_>, task: &LiveTask, listed: &BTreeSet<(&TaskId, u32, &str)>) -> bool {
    task.open.as_ref().is_some_and(|open| {
        listed.contains(&(&task.spec.id, task.attempt.0, token_of(ctx, task, open).as_str()))
    })
}

/// The attempt goes on in a later life of its worker; its token stays.
fn adopt(ctx: &mut Ctx<'_, '_>, from: &Sender, mut task: LiveTask) -> Result<(), StateError> {
    if let Some(open) = &mut task.open
        && open.incarnation != from.incarnation
    {
        open.given_to.get_or_insert_with(|| open.incarnation.clone());
        open.incarnation = from.incarnation.clone();
        // The welcome names it, so who has read the welcome knows it.
        open.seq = MessageSeq(1);
    }
    ctx.put_task(task)
}
