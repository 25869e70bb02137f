//! A worker's channel exists, or is gone: logged events, so that nothing is ever sent to a topic that is not there.

use yardmaster_state::StateError;

use super::fence::Sender;
use super::heartbeat::rehello;
use super::hello::{ensure_channel, welcome};
use super::leave::{held_by, lose};
use crate::ctx::Ctx;
use crate::id::{Pool, WorkerName};
use crate::task::Reason;
use crate::track;
use crate::worker::WorkerState;

/// The channel exists: who waits for it is answered.
pub(super) fn ready(ctx: &mut Ctx<'_, '_>, pool: &Pool, worker: &WorkerName) -> Result<(), StateError> {
    let Some(mut row) = ctx.worker(pool, worker)?.filter(|row| !row.channel_ready) else {
        return Ok(());
    };
    row.channel_ready = true;
    match row.state {
        WorkerState::Joining => welcome(ctx, pool, row),
        WorkerState::Lost => {
            let to =
                Sender { pool: pool.clone(), worker: worker.clone(), incarnation: row.incarnation.clone() };
            rehello(ctx, &to);
            row.left_at.get_or_insert(ctx.now.processor);
            ctx.put_worker(pool, row)
        }
        WorkerState::Gone => {
            row.left_at.get_or_insert(ctx.now.processor);
            ctx.put_worker(pool, row)
        }
        WorkerState::Active | WorkerState::Draining => ctx.put_worker(pool, row),
    }
}

/// The channel is gone: what was on it may never have been read.
pub(super) fn lost(ctx: &mut Ctx<'_, '_>, pool: &Pool, worker: &WorkerName) -> Result<(), StateError> {
    let Some(mut row) = ctx.worker(pool, worker)?.filter(|row| row.channel_ready) else {
        return Ok(());
    };
    row.channel_ready = false;
    if matches!(row.state, WorkerState::Active | WorkerState::Draining) {
        row.state = WorkerState::Joining;
        track::events::worker_lost(ctx, pool, &row, Reason::ChannelLost);
        ensure_channel(ctx, pool, &row);
    }
    let tasks = held_by(ctx, pool, worker)?;
    lose(ctx, pool, &mut row, tasks, Reason::ChannelLost)
}
