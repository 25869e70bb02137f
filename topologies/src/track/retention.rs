//! What is forgotten: whole hours of history, and the rows of jobs that are DONE long enough.

use yardmaster_state::StateError;

use crate::ctx::Ctx;
use crate::dispatch::due;
use crate::tables::{HistoryClass, HistoryKey, JobCancelTable, JobDueTable, JobTable, byte};
use crate::time::WallMs;

/// Drops what is over; returns whether something is left.
pub(crate) fn tick(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    drop_hours(ctx);
    let limit = ctx.settings.limits.timers_per_tick_max as usize;
    let due = due::<JobDueTable>(ctx.txn, ctx.now.processor, limit)?;
    let is_left = due.len() == limit;
    for (_, pool, job) in due {
        ctx.txn.delete::<JobCancelTable>(&(pool.clone(), job.clone()))?;
        ctx.txn.delete::<JobTable>(&(pool, job))?;
    }
    Ok(is_left)
}

/// The hours of history that are wholly over. Dropping a range that is empty already costs next to nothing, but it is
/// done once an hour only.
fn drop_hours(ctx: &mut Ctx<'_, '_>) {
    let hour = HistoryKey::hour_of(ctx.now.wall);
    if ctx.memory.dropped_hour == Some(hour) {
        return;
    }
    ctx.memory.dropped_hour = Some(hour);
    for class in HistoryClass::ALL {
        let kept = match class {
            HistoryClass::Completed => ctx.settings.history_completed,
            HistoryClass::Other => ctx.settings.history_failed,
        };
        let oldest = HistoryKey::hour_of(WallMs(ctx.now.wall.0.saturating_sub(kept.0)));
        for table in [byte::HISTORY, byte::HISTORY_BY_JOB] {
            let (from, to) = HistoryKey::range_before(table, class, oldest);
            ctx.txn.drop_range(from, to);
        }
    }
}
