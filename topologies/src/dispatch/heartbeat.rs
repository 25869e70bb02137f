//! A worker is still there: its lease is renewed, and what it says that it runs is compared with what it was given.

use std::collections::BTreeSet;

use yardmaster_state::StateError;

use super::fence::{Sender, token_of};
use super::hello::{ensure_channel, renew, stop, suspect_at, tell_replaced};
use super::leave::{held_by, lose};
use super::started::run;
use crate::ctx::Ctx;
use crate::effect::{Counted, Effect};
use crate::event::AttemptRef;
use crate::id::{MessageSeq, Pool, TaskId};
use crate::task::{Reason, TaskRow, TaskState};
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
pub(super) fn heartbeat(ctx: &mut Ctx<'_, '_>, from: &Sender, beat: Beat) -> Result<(), StateError> {
    let Some(row) = ctx.worker(&from.pool, &from.worker)? else {
        return unknown(ctx, from);
    };
    if row.incarnation != from.incarnation {
        return other_incarnation(ctx, from, row);
    }
    match row.state {
        WorkerState::Joining => {
            ensure_channel(ctx, &from.pool, &row);
            let read_seq = read_seq(ctx, &row, beat.read_seq);
            renew(ctx, from, read_seq, beat.free_slots, None)
        }
        WorkerState::Active | WorkerState::Draining => {
            let (read_seq, suspect_at) = (read_seq(ctx, &row, beat.read_seq), suspect_at(ctx));
            renew(ctx, from, read_seq, beat.free_slots, Some(suspect_at))?;
            reconcile(ctx, from, row, &Beat { read_seq, ..beat })
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

/// What it has read, if it can be: a number that was never sent says nothing about what was.
fn read_seq(ctx: &mut Ctx<'_, '_>, row: &WorkerRow, said: MessageSeq) -> MessageSeq {
    if said <= row.seq {
        return said;
    }
    ctx.count(Counted::Illegal, "read_seq");
    MessageSeq(0)
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
        drains_itself: false,
        undrained_seq: MessageSeq(0),
        is_full: false,
        is_suspect: false,
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
fn follow_drain(ctx: &mut Ctx<'_, '_>, pool: &Pool, row: &mut WorkerRow, beat: &Beat) {
    if beat.read_seq < row.undrained_seq {
        // It may still say what it was told to do before.
        return;
    }
    row.drains_itself = beat.draining;
    let is_drained = row.drained_by_operator || row.drains_itself;
    if is_drained && row.state == WorkerState::Active {
        row.state = WorkerState::Draining;
        track::events::worker_drained(ctx, pool, row);
    } else if !is_drained && row.state == WorkerState::Draining {
        row.state = WorkerState::Active;
        track::events::worker_undrained(ctx, pool, row);
    }
}

fn reconcile(ctx: &mut Ctx<'_, '_>, from: &Sender, before: WorkerRow, beat: &Beat) -> Result<(), StateError> {
    let mut row = before.clone();
    (row.is_full, row.is_suspect) = (false, false);
    follow_drain(ctx, &from.pool, &mut row, beat);
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
        if open.contains(&(attempt.task.clone(), attempt.attempt)) {
            continue;
        }
        if has_reported(ctx, &from.pool, attempt)? {
            // Its report was not acknowledged when it made the list: there is nothing to stop.
            ctx.count(Counted::Duplicate, "reported");
            continue;
        }
        // It runs what is not its own any more.
        ctx.count(Counted::Fenced, "stale_attempt");
        stop(ctx, &from.pool, &mut row, attempt.clone(), Reason::Replaced);
    }
    if !forgotten.is_empty() && ctx.has_lost_enough() {
        // The next heartbeat says so again.
        ctx.count(Counted::Deferred, "heartbeat");
        forgotten.clear();
    }
    if forgotten.is_empty() && row == before {
        return Ok(());
    }
    lose(ctx, &from.pool, &mut row, forgotten, Reason::Forgotten)
}

/// Whether an attempt is known to be over because its worker said so.
fn has_reported(ctx: &mut Ctx<'_, '_>, pool: &Pool, attempt: &AttemptRef) -> Result<bool, StateError> {
    Ok(match ctx.row(pool, &attempt.task)?.as_deref() {
        Some(TaskRow::Done(marker)) => marker.attempt == attempt.attempt && marker.is_reported,
        Some(TaskRow::Live(task)) => {
            task.closed.iter().any(|old| old.attempt == attempt.attempt && old.outcome.is_reported())
        }
        None => false,
    })
}
