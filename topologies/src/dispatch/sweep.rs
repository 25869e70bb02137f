//! Ends the tasks of cancelled jobs, a bounded number per tick.

use yardmaster_state::{KeyWriter, StateError, prefix_end};

use super::cancel_task::cancel;
use crate::ctx::Ctx;
use crate::id::{JobId, Pool};
use crate::tables::{ByJobTable, JobCancelTable, byte};
use crate::task::Reason;

/// Goes on with every sweep; returns whether one is left.
pub(super) fn sweep(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let flags = KeyWriter::new(byte::JOB_CANCEL).finish();
    let mut left = ctx.settings.limits.sweep_per_tick_max as usize;
    let mut is_left = false;
    for ((pool, job), mut flag) in ctx
        .txn
        .scan::<JobCancelTable>(&flags, &prefix_end(&flags), usize::MAX)?
    {
        if !flag.is_sweeping {
            continue;
        }
        let is_done = sweep_job(ctx, &pool, &job, &flag.note, &mut left)?;
        if is_done {
            flag.is_sweeping = false;
            ctx.txn.put_owned::<JobCancelTable>(&(pool, job), flag)?;
        } else {
            is_left = true;
        }
    }
    Ok(is_left)
}

fn sweep_job(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    job: &JobId,
    note: &str,
    left: &mut usize,
) -> Result<bool, StateError> {
    let prefix = KeyWriter::new(byte::BY_JOB)
        .str(pool.as_str())
        .str(job.as_str())
        .finish();
    let mut from = prefix.clone();
    while *left > 0 {
        let tasks = ctx.txn.scan::<ByJobTable>(&from, &prefix_end(&prefix), *left)?;
        let is_end = tasks.len() < *left;
        for (key, ()) in tasks {
            // Tasks that are being stopped stay in the index until their attempt is closed: pass them only once.
            from = <ByJobTable as yardmaster_state::Table>::key(&key);
            from.push(0);
            if let Some(task) = ctx.live(pool, &key.2)?.filter(|task| task.stopping.is_none()) {
                *left -= 1;
                cancel(ctx, task, Reason::JobCancelled, note.to_owned())?;
            }
        }
        if is_end {
            return Ok(true);
        }
    }
    Ok(false)
}
