//! What is forgotten: whole hours of history, and the rows of jobs that are DONE long enough.

use yardmaster_state::StateError;

use crate::ctx::Ctx;
use crate::dispatch::due;
use crate::tables::{HistoryClass, HistoryKey, JobCancelTable, JobDueTable, JobTable, byte};
use crate::time::WallMs;

/// Drops what is over; returns whether something is left.
pub(crate) fn tick(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    if ctx.is_new_hour {
        drop_hours(ctx);
    }
    let (due, is_left) = due::<JobDueTable>(ctx, ctx.now.processor)?;
    for (_, pool, job) in due {
        let key = (pool, job);
        ctx.txn.delete::<JobCancelTable>(&key)?;
        ctx.txn.delete::<JobTable>(&key)?;
        ctx.memory.sweeping.remove(&key);
    }
    Ok(is_left)
}

/// The hours of history that are wholly over.
fn drop_hours(ctx: &mut Ctx<'_, '_>) {
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
