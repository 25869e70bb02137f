//! What is forgotten: whole hours of history, and what is counted of jobs, queues and tags long without a live task.

use yardmaster_state::{StateError, Txn};

use super::windows;
use crate::ctx::Ctx;
use crate::dispatch::due;
use crate::job::CounterKey;
use crate::memory::DueIndex;
use crate::settings::Settings;
use crate::tables::{
    CounterDueTable, CounterTable, HistoryClass, HistoryKey, JobCancelTable, JobDueTable, JobTable, byte,
};
use crate::time::{ProcessorMs, WallMs};

/// Drops what is over; returns whether something is left.
pub(crate) fn tick(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    if ctx.is_new_hour {
        drop_hours(ctx.txn, ctx.settings, ctx.now.wall);
    }
    let limit = ctx.settings.limits.timers_per_tick_max;
    ctx.tally.write(ctx.txn)?;
    let (counters, are_counters_left) = due::<CounterDueTable>(ctx, ctx.now.processor, limit)?;
    let are_counters_left = forget_counters(ctx, counters)? || are_counters_left;
    let (jobs, is_left) = due::<JobDueTable>(ctx, ctx.now.processor, limit)?;
    for (_, pool, job) in jobs {
        let key = (pool, job);
        ctx.txn.delete::<JobCancelTable>(&key)?;
        ctx.txn.delete::<JobTable>(&key)?;
        ctx.memory.sweeping.remove(&key);
    }
    Ok(is_left || are_counters_left)
}

/// With a queue its windows go. Few queues may have many: where the batch's limit is reached, the others have to wait.
fn forget_counters(
    ctx: &mut Ctx<'_, '_>,
    counters: Vec<(ProcessorMs, CounterKey)>,
) -> Result<bool, StateError> {
    let mut room = ctx.settings.limits.forgotten_per_tick_max as usize;
    for (at, key) in counters {
        if room == 0 {
            ctx.memory.due.done_before(DueIndex::Counter, at);
            return Ok(true);
        }
        room = room.saturating_sub(windows::forget(ctx, &key)?);
        ctx.txn.delete::<CounterTable>(&key)?;
    }
    Ok(false)
}

/// Drops the hours of history that are wholly over. Whoever keeps a copy does it too: it is not in the changelog.
pub fn drop_hours(txn: &mut Txn<'_>, settings: &Settings, now: WallMs) {
    for class in HistoryClass::ALL {
        let kept = match class {
            HistoryClass::Completed => settings.history_completed,
            HistoryClass::Other => settings.history_failed,
        };
        let oldest = HistoryKey::hour_of(WallMs(now.0.saturating_sub(kept.0)));
        for table in [byte::HISTORY, byte::HISTORY_BY_JOB] {
            let (from, to) = HistoryKey::range_before(table, class, oldest);
            txn.drop_range(from, to);
        }
    }
}
