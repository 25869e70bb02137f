//! A worker is still there: its lease is renewed, and what it says that it runs is compared with what it was given.

use std::collections::BTreeSet;

use yardmaster_state::StateError;

use super::fence::{Sender, token_of};
use super::hello::{ensure_channel, renew, stop, tell_replaced};
use super::leave::{held_by, lose};
use super::started::run;
use crate::ctx::Ctx;
use crate::effect::{Counted, Effect};
use crate::event::AttemptRef;
use crate::id::{MessageSeq, TaskId};
use crate::task::{Reason, TaskState};
use crate::track;
use crate::wire::{Address, ToWorker};
use crate::worker::{WorkerRow, WorkerState};

/// What a worker says about itself.
pub(super) struct Beat {
    pub(super) read_seq: MessageSeq,
    pub(super) free_slots: u32,
    pub(super) draining: bool,
    pub(super) running: Vec<AttemptRef>,
}

/// Renews the lease and repairs what drifted.
pub(super) fn heartbeat(ctx: &mut Ctx<'_, '_>, from: &Sender, beat: &Beat) -> Result<(), StateError> {
    let Some(row) = ctx.worker(&from.pool, &from.worker)? else {
        return unknown(ctx, from);
    };
    if row.incarnation != from.incarnation {
        return other_incarnation(ctx, from, row);
    }
    match row.state {
        WorkerState::Joining => {
            ensure_channel(ctx, &from.pool, &row);
            renew(ctx, from, beat.read_seq, beat.free_slots)
        }
        WorkerState::Active | WorkerState::Draining => {
            renew(ctx, from, beat.read_seq, beat.free_slots)?;
            let row = follow_drain(ctx, from, row, beat.draining);
            reconcile(ctx, from, row, beat)
        }
        WorkerState::Lost | WorkerState::Gone => {
            if row.channel_ready {
                rehello(ctx, from);
            } else {
                ensure_channel(ctx, &from.pool, &row);
            }
            Ok(())
        }
    }
}

/// An incarnation that is not the registered one: an old one, unless the registered one is gone.
fn other_incarnation(ctx: &mut Ctx<'_, '_>, from: &Sender, row: WorkerRow) -> Result<(), StateError> {
    ctx.count(Counted::Fenced, "wrong_worker");
    match row.state {
        WorkerState::Joining | WorkerState::Active | WorkerState::Draining => {
            let old = WorkerRow { incarnation: from.incarnation.clone(), ..row };
            tell_replaced(ctx, &from.pool, &old);
            Ok(())
        }
        WorkerState::Lost | WorkerState::Gone if row.channel_ready => {
            rehello(ctx, from);
            Ok(())
        }
        WorkerState::Lost | WorkerState::Gone => {
            ensure_channel(ctx, &from.pool, &row);
            Ok(())
        }
    }
}

/// Asks an incarnation that is not registered to say hello.
pub(super) fn rehello(ctx: &mut Ctx<'_, '_>, from: &Sender) {
    let to = Address {
        pool: from.pool.clone(),
        worker: from.worker.clone(),
        incarnation: from.incarnation.clone(),
        seq: MessageSeq(0),
    };
    let message = ToWorker::Rehello { to };
    ctx.effects.push(Effect::Send { pool: from.pool.clone(), worker: from.worker.clone(), message });
}

/// A worker that nobody knows gets a row, so that it can be answered once its channel is known to exist.
fn unknown(ctx: &mut Ctx<'_, '_>, from: &Sender) -> Result<(), StateError> {
    ctx.count(Counted::Fenced, "unknown");
    if ctx.memory.free.registered(&from.pool) >= ctx.settings.limits.workers_max as usize {
        return Ok(());
    }
    let row = WorkerRow {
        worker: from.worker.clone(),
        incarnation: from.incarnation.clone(),
        state: WorkerState::Lost,
        drained_by_operator: false,
        slots: 0,
        open: 0,
        labels: std::collections::BTreeMap::new(),
        seq: MessageSeq(0),
        channel_ready: false,
        hello_at: ctx.now.wall,
        left_at: Some(ctx.now.processor),
    };
    ensure_channel(ctx, &from.pool, &row);
    ctx.put_worker(&from.pool, row)
}

/// The worker's own word about draining; the operator's order outlives it.
fn follow_drain(ctx: &mut Ctx<'_, '_>, from: &Sender, mut row: WorkerRow, draining: bool) -> WorkerRow {
    if draining && row.state == WorkerState::Active {
        row.state = WorkerState::Draining;
        track::events::worker_drained(ctx, &from.pool, &row);
    } else if !draining && row.state == WorkerState::Draining && !row.drained_by_operator {
        row.state = WorkerState::Active;
        track::events::worker_undrained(ctx, &from.pool, &row);
    }
    row
}

fn reconcile(
    ctx: &mut Ctx<'_, '_>,
    from: &Sender,
    mut row: WorkerRow,
    beat: &Beat,
) -> Result<(), StateError> {
    let listed: BTreeSet<(&TaskId, u32, &str)> =
        beat.running.iter().map(|a| (&a.task, a.attempt.0, a.token.as_str())).collect();
    let mut open = BTreeSet::new();
    let mut forgotten = Vec::new();
    for mut task in held_by(ctx, &from.pool, &from.worker)? {
        let Some(attempt) = task.open.clone() else {
            continue;
        };
        open.insert((task.spec.id.clone(), task.attempt));
        let is_listed =
            listed.contains(&(&task.spec.id, task.attempt.0, token_of(ctx, &task, &attempt).as_str()));
        if is_listed && task.state == TaskState::Assigned {
            run(ctx, &mut task)?;
            ctx.put_task(task)?;
        } else if !is_listed && attempt.seq <= beat.read_seq {
            forgotten.push(task);
        }
    }
    for attempt in &beat.running {
        if !open.contains(&(attempt.task.clone(), attempt.attempt)) {
            // It runs what is not its own any more.
            ctx.count(Counted::Fenced, "stale_attempt");
            stop(ctx, &from.pool, &mut row, attempt.clone(), Reason::Replaced);
        }
    }
    lose(ctx, &from.pool, &mut row, forgotten, Reason::Forgotten)
}
