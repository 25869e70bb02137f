//! An operator runs a terminal task again: a new generation, counters at zero, attempt numbers going on.
//!
//! Its queue, job and tags stay: the task is counted there for as long as its id is known. Everything else may be new. What
//! was submitted under the id stays what a repeated submit is compared with. A requeue with a `request_id` may come
//! twice, as any record may: the second one is known by its request and changes nothing.

use yardmaster_state::StateError;

use super::submit::{Beginning, acceptable, begin, refuse};
use crate::ctx::Ctx;
use crate::effect::Counted;
use crate::id::{Generation, RequestId};
use crate::tables::JobCancelTable;
use crate::task::{DoneMarker, Reason, TaskRow, TaskSpec};
use crate::track;
use crate::wire::{Refusal, RefusedReason, counted_hash, request_hash};

/// Puts a terminal task into its line again, or says why not.
pub(super) fn requeue(
    ctx: &mut Ctx<'_, '_>,
    request_id: Option<RequestId>,
    spec: TaskSpec,
) -> Result<(), StateError> {
    let row = ctx.row(&spec.pool, &spec.id)?;
    let request = request_id.as_ref().map(request_hash);
    let (requeued_by, generation, state) = match row.as_deref() {
        Some(TaskRow::Live(task)) => (task.requeued_by, task.generation, task.state),
        Some(TaskRow::Done(marker)) => (marker.requeued_by, marker.generation, marker.state),
        None => {
            let detail = "it is not known any more: the window in which ended tasks are remembered (dedup) is over; \
                          submit it";
            let refusal = not_again(&spec, RefusedReason::UnknownTask, "id", detail);
            ctx.publish(refusal.into_event(spec.pool, request_id, ctx.now.wall));
            return Ok(());
        }
    };
    if request.is_some() && requeued_by == request {
        ctx.count(Counted::Repeated, "requeue");
        track::events::repeated(ctx, &spec, generation, state, request_id.as_ref());
        return Ok(());
    }
    let begun = match row.as_deref() {
        Some(TaskRow::Done(marker)) => {
            may_run_again(ctx, &spec, marker)?.map(|()| beginning(marker, request))
        }
        Some(TaskRow::Live(_)) | None => {
            let detail = format!("it is {}: only an ended task can run again", state.name());
            Err(not_again(&spec, RefusedReason::NotTerminal, "id", &detail))
        }
    };
    match begun {
        Ok(beginning) => begin(ctx, request_id.as_ref(), spec, beginning, Reason::Requeued),
        Err(refusal) => {
            ctx.publish(refusal.into_event(spec.pool, request_id, ctx.now.wall));
            Ok(())
        }
    }
}

fn beginning(marker: &DoneMarker, request: Option<u64>) -> Beginning {
    Beginning {
        hash: marker.spec_hash,
        requeued_by: request,
        generation: Generation(marker.generation.0 + 1),
        attempt: marker.attempt,
        from: Some(marker.state),
    }
}

fn may_run_again(
    ctx: &mut Ctx<'_, '_>,
    spec: &TaskSpec,
    marker: &DoneMarker,
) -> Result<Result<(), Refusal>, StateError> {
    if marker.counted_hash != counted_hash(spec) {
        let detail = "its queue, job and tags must stay as they were: take them from its `ended` event, or submit it \
                      under another id";
        return Ok(Err(not_again(spec, RefusedReason::Conflict, "task", detail)));
    }
    if let Some(job) = &spec.job
        && ctx.txn.contains::<JobCancelTable>(&(spec.pool.clone(), job.clone()))?
    {
        let detail = "its job was cancelled: submit it under another job and id";
        return Ok(Err(not_again(spec, RefusedReason::JobCancelled, "id", detail)));
    }
    acceptable(ctx, spec, "requeue")
}

fn not_again(spec: &TaskSpec, reason: RefusedReason, field: &str, detail: &str) -> Refusal {
    let detail = format!("task {}/{} can't be requeued, {detail}", spec.pool, spec.id);
    refuse(spec, "requeue", reason, Some(field), detail)
}
