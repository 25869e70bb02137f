//! A job is cancelled: a flag that holds at once, and a sweep that ends its tasks a bounded number per tick.

use yardmaster_state::StateError;

use crate::ctx::Ctx;
use crate::effect::Counted;
use crate::id::{JobId, Pool, RequestId};
use crate::tables::{JobCancel, JobCancelTable, JobTable};
use crate::wire::{Refusal, RefusedReason};

/// Sets the flag.
pub(super) fn cancel_job(
    ctx: &mut Ctx<'_, '_>,
    pool: &Pool,
    request_id: Option<RequestId>,
    job: &JobId,
    note: String,
) -> Result<(), StateError> {
    let key = (pool.clone(), job.clone());
    if !ctx.txn.contains::<JobTable>(&key)? {
        let refusal = Refusal {
            action: "cancel".to_owned(),
            id: None,
            job: Some(job.clone()),
            worker: None,
            reason: RefusedReason::UnknownJob,
            field: Some("job".to_owned()),
            detail: format!("pool {pool} has no job {job}: look for it with `yardmaster job list`"),
        };
        ctx.publish(refusal.into_event(pool.clone(), request_id, ctx.now.wall));
        return Ok(());
    }
    if ctx.txn.contains::<JobCancelTable>(&key)? {
        ctx.count(Counted::Repeated, "cancel_job");
        return Ok(());
    }
    let flag = JobCancel { note, at: ctx.now.wall, is_sweeping: true };
    ctx.memory.sweeping.insert(key.clone(), None);
    ctx.txn.put_owned::<JobCancelTable>(&key, flag)
}
