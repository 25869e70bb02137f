//! Ends the tasks of cancelled jobs, a bounded number per tick.

use yardmaster_state::{KeyWriter, StateError, Table, prefix_end};

use super::cancel_task::cancel;
use crate::ctx::Ctx;
use crate::id::{JobId, Pool};
use crate::tables::{ByJobTable, JobCancelTable, byte};
use crate::task::Reason;

/// Goes on with every sweep; returns whether one is left.
pub(super) fn sweep(ctx: &mut Ctx<'_, '_>) -> Result<bool, StateError> {
    let mut left = ctx.settings.limits.sweep_per_tick_max as usize;
    let jobs: Vec<(Pool, JobId)> = ctx.memory.sweeping.keys().cloned().collect();
    for key in jobs {
        let Some(mut flag) = ctx.txn.get::<JobCancelTable>(&key)? else {
            return Err(StateError::corrupted(format!("job {} is swept without its flag", key.1)));
        };
        if left == 0 || !sweep_job(ctx, &key, &flag.note, &mut left)? {
            return Ok(true);
        }
        flag.is_sweeping = false;
        ctx.memory.sweeping.remove(&key);
        ctx.txn.put_owned::<JobCancelTable>(&key, flag)?;
    }
    Ok(false)
}

/// Returns whether it came to the end. It goes on where it stopped: what is behind it has ended or is being stopped, and
/// nothing new comes in.
fn sweep_job(
    ctx: &mut Ctx<'_, '_>,
    job: &(Pool, JobId),
    note: &str,
    left: &mut usize,
) -> Result<bool, StateError> {
    let (pool, name) = job;
    let prefix = KeyWriter::new(byte::BY_JOB).str(pool.as_str()).str(name.as_str()).finish();
    let mut from = match ctx.memory.sweeping.get(job) {
        Some(Some(from)) => from.clone(),
        Some(None) | None => prefix.clone(),
    };
    while *left > 0 {
        let tasks = ctx.txn.scan::<ByJobTable>(&from, &prefix_end(&prefix), *left)?;
        let is_end = tasks.len() < *left;
        for (key, ()) in tasks {
            from = ByJobTable::key(&key);
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
    ctx.memory.sweeping.insert(job.clone(), Some(from));
    Ok(false)
}
