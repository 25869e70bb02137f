//! What is forgotten: whole hours of history, and what is counted of jobs, queues and tags long without a live task.

use yardmaster_state::StateError;

use crate::ctx::Ctx;
use crate::dispatch::due;
use crate::tables::{
    CounterDueTable, CounterTable, HistoryClass, HistoryKey, JobCancelTable, JobDueTable, JobTable, byte,
};
use crate::time::WallMs;

/// Drops what is over; returns whether something is left.
pub(crate) fn tick(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    if ctx.is_new_hour {
        drop_hours(ctx);
    }
    let limit = ctx.settings.limits.timers_per_tick_max;
    ctx.tally.write(ctx.txn)?;
    let (counters, are_counters_left) = due::<CounterDueTable>(ctx, ctx.now.processor, limit)?;
    for (_, key) in counters {
        ctx.txn.delete::<CounterTable>(&key)?;
    }
    let (jobs, is_left) = due::<JobDueTable>(ctx, ctx.now.processor, limit)?;
    for (_, pool, job) in jobs {
        let key = (pool, job);
        ctx.txn.delete::<JobCancelTable>(&key)?;
        ctx.txn.delete::<JobTable>(&key)?;
        ctx.memory.sweeping.remove(&key);
    }
    Ok(is_left || are_counters_left)
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
