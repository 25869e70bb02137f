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
use crate::time::{Millis, ProcessorMs};
use crate::track;
use crate::wire::{Address, Refusal, RefusedReason, ToWorker};
use crate::worker::{LeaseRow, WorkerRow, WorkerState};

/// The version of the protocol that the server speaks.
const PROTOCOL: u32 = 1;

/// After so many missed heartbeats a worker is SUSPECT.
const MISSED_MAX: u64 = 3;

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
        let detail = format!("`protocols` is {protocols:?}: this server speaks [{PROTOCOL}]");
        refuse(ctx, from, RefusedReason::Invalid, "protocols", detail);
        return Ok(());
    }
    let before = ctx.worker(&from.pool, &from.worker)?;
    if let Some(row) = &before
        && row.incarnation == from.incarnation
        && !matches!(row.state, WorkerState::Lost | WorkerState::Gone)
    {
        ctx.count(Counted::Duplicate, "hello");
        ensure_channel(ctx, &from.pool, row);
        if row.state == WorkerState::Joining {
            // Until the welcome it has nothing else to say that it is there.
            return renew(ctx, from, MessageSeq(0), offer.slots, None);
        }
        return Ok(());
    }
    let limit = ctx.settings.limits.workers_max as usize;
    if before.is_none() && ctx.memory.free.registered(&from.pool) >= limit {
        ctx.count(Counted::Illegal, "workers_max");
        let detail = format!(
            "pool {} has {limit} registered workers (limits.workers_max): raise it, or wait until one that left is \
             forgotten",
            from.pool
        );
        refuse(ctx, from, RefusedReason::Limit, "worker", detail);
        return Ok(());
    }
    if before.as_ref().is_some_and(|row| row.open > 0) && ctx.has_lost_enough() {
        // It says hello again when no welcome comes.
        ctx.count(Counted::Deferred, "hello");
        return Ok(());
    }
    let kept = replace(ctx, from, before.as_ref(), &offer.running)?;
    let row = WorkerRow {
        worker: from.worker.clone(),
        incarnation: from.incarnation.clone(),
        state: WorkerState::Joining,
        drained_by_operator: before.as_ref().is_some_and(|row| row.drained_by_operator),
        drains_itself: false,
        undrained_seq: MessageSeq(0),
        is_full: false,
        is_suspect: false,
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
    renew(ctx, from, MessageSeq(0), offer.slots, None)?;
    if row.channel_ready {
        return welcome(ctx, &from.pool, row);
    }
    ensure_channel(ctx, &from.pool, &row);
    ctx.put_worker(&from.pool, row)
}

/// A worker that can't register is not answered on a channel: the reason stands in `events`, for a person.
fn refuse(ctx: &mut Ctx<'_, '_>, from: &Sender, reason: RefusedReason, field: &str, detail: String) {
    let refusal = Refusal {
        action: "hello".to_owned(),
        id: None,
        job: None,
        worker: Some(from.worker.clone()),
        reason,
        field: Some(field.to_owned()),
        detail,
    };
    ctx.publish(refusal.into_event(from.pool.clone(), None, ctx.now.wall));
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
    let is_drained = row.drained_by_operator || row.drains_itself;
    row.state = if is_drained { WorkerState::Draining } else { WorkerState::Active };
    (row.is_full, row.is_suspect) = (false, false);
    expect_reports(ctx, pool, &row)?;
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
    suspect_at: Option<ProcessorMs>,
) -> Result<(), StateError> {
    let lease = LeaseRow {
        expires_at: ctx.now.processor.after(ctx.settings.lease),
        suspect_at,
        seen_at: ctx.now.wall,
        read_seq,
        free_slots,
    };
    ctx.memory.due.note(DueIndex::Lease, lease.due_at());
    ctx.txn.put_owned::<LeaseTable>(&(from.pool.clone(), from.worker.clone()), lease)
}

/// When a worker that is silent from now on has missed so many heartbeats that it gets nothing new.
pub(super) fn suspect_at(ctx: &Ctx<'_, '_>) -> ProcessorMs {
    ctx.now.processor.after(Millis(ctx.settings.heartbeat.0.saturating_mul(MISSED_MAX)))
}

/// A worker that was welcomed has to send heartbeats from now on.
fn expect_reports(ctx: &mut Ctx<'_, '_>, pool: &Pool, row: &WorkerRow) -> Result<(), StateError> {
    let key = (pool.clone(), row.worker.clone());
    let Some(mut lease) = ctx.txn.get::<LeaseTable>(&key)? else {
        return Ok(());
    };
    lease.suspect_at = Some(suspect_at(ctx));
    ctx.memory.due.note(DueIndex::Lease, lease.due_at());
    ctx.txn.put_owned::<LeaseTable>(&key, lease)
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
