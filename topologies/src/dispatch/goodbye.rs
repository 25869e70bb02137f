//! A worker leaves by itself.

use yardmaster_state::StateError;

use super::fence::Sender;
use super::leave::leave;
use crate::ctx::Ctx;
use crate::effect::Counted;
use crate::task::Reason;
use crate::worker::WorkerState;

/// Everything that it had is over; after a drain that counts against nobody.
pub(super) fn goodbye(ctx: &mut Ctx<'_, '_>, from: &Sender) -> Result<(), StateError> {
    let row = ctx.worker(&from.pool, &from.worker)?;
    let Some(row) = row.filter(|row| row.incarnation == from.incarnation) else {
        ctx.count(Counted::Fenced, "wrong_worker");
        return Ok(());
    };
    let is_drained = row.drained_by_operator || row.drains_itself;
    let reason = match row.state {
        WorkerState::Draining => Reason::Drained,
        // Its channel is gone, or was made again: it was drained all the same.
        WorkerState::Joining | WorkerState::Active if is_drained => Reason::Drained,
        WorkerState::Joining | WorkerState::Active => Reason::Goodbye,
        WorkerState::Lost | WorkerState::Gone => {
            ctx.count(Counted::Duplicate, "goodbye");
            return Ok(());
        }
    };
    leave(ctx, &from.pool, row, WorkerState::Gone, reason)
}
