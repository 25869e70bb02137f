//! An operator runs a terminal task again: a new generation, counters at zero, attempt numbers going on.

use yardmaster_state::StateError;

use super::submit::{Beginning, begin};
use crate::ctx::Ctx;
use crate::id::{Generation, RequestId};
use crate::tables::JobCancelTable;
use crate::task::{Reason, TaskRow, TaskSpec};
use crate::wire::{Refusal, RefusedReason, spec_hash};

/// Puts a terminal task into its line again, or says why not.
pub(super) fn requeue(
    ctx: &mut Ctx<'_, '_>,
    request_id: Option<RequestId>,
    spec: TaskSpec,
) -> Result<(), StateError> {
    let row = ctx.row(&spec.pool, &spec.id)?;
    let (reason, detail) = match row.as_deref() {
        Some(TaskRow::Done(marker)) => {
            let cancelled = match &spec.job {
                Some(job) => ctx.txn.contains::<JobCancelTable>(&(spec.pool.clone(), job.clone()))?,
                None => false,
            };
            if !cancelled {
                let beginning = Beginning {
                    hash: spec_hash(&spec),
                    generation: Generation(marker.generation.0 + 1),
                    attempt: marker.attempt,
                    from: Some(marker.state),
                };
                return begin(ctx, request_id.as_ref(), spec, beginning, Reason::Requeued);
            }
            (RefusedReason::JobCancelled, "its job was cancelled: submit it under another job".to_owned())
        }
        Some(TaskRow::Live(task)) => {
            (RefusedReason::NotTerminal, format!("it is {}: only an ended task can run again", task.state.name()))
        }
        None => (
            RefusedReason::UnknownTask,
            "it is not known any more: the window in which ended tasks are remembered (dedup) is over; submit it".into(),
        ),
    };
    let refusal = Refusal {
        action: "requeue".to_owned(),
        id: Some(spec.id.clone()),
        job: spec.job.clone(),
        worker: None,
        reason,
        field: Some("id".to_owned()),
        detail: format!("task {}/{} can't be requeued, {detail}", spec.pool, spec.id),
    };
    ctx.publish(refusal.into_event(spec.pool.clone(), request_id, ctx.now.wall));
    Ok(())
}
