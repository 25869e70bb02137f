//! A task comes in: it is taken, known already, or refused.

use std::sync::Arc;

use yardmaster_state::StateError;

use super::cancel_task::cancel;
use crate::ctx::Ctx;
use crate::effect::Counted;
use crate::id::{Attempt, Generation, JobId, Pool, RequestId, TaskId};
use crate::tables::{JobCancelTable, PayloadTable, ReplyTopicTable};
use crate::task::{LiveTask, Reason, TaskRow, TaskSpec, TaskState};
use crate::track;
use crate::window::Happened;
use crate::wire::{Refusal, RefusedReason, counted_hash, spec_hash};

/// Payloads up to this many bytes live in the task's row.
const PAYLOAD_IN_ROW_MAX: usize = 1_024;

/// Takes a task, or says why not.
pub(super) fn submit(
    ctx: &mut Ctx<'_, '_>,
    request_id: Option<&RequestId>,
    spec: TaskSpec,
) -> Result<(), StateError> {
    let hash = spec_hash(&spec);
    if let Some(row) = ctx.row(&spec.pool, &spec.id)? {
        return known_already(ctx, request_id, &spec, &row, hash);
    }
    if let Err(refusal) = acceptable(ctx, &spec, "submit")? {
        ctx.publish(refusal.into_event(spec.pool, request_id.cloned(), ctx.now.wall));
        return Ok(());
    }
    let beginning =
        Beginning { hash, requeued_by: None, generation: Generation(0), attempt: Attempt(0), from: None };
    let (pool, id, job) = (spec.pool.clone(), spec.id.clone(), spec.job.clone());
    begin(ctx, request_id, spec, beginning, Reason::Submitted)?;
    match job {
        Some(job) => end_if_job_is_cancelled(ctx, pool, &id, job),
        None => Ok(()),
    }
}

/// A cancel of a job holds for the tasks that come after it, too: they are taken, and end at once.
fn end_if_job_is_cancelled(
    ctx: &mut Ctx<'_, '_>,
    pool: Pool,
    id: &TaskId,
    job: JobId,
) -> Result<(), StateError> {
    let task = ctx.live(&pool, id)?;
    if let Some(flag) = ctx.txn.get::<JobCancelTable>(&(pool, job))?
        && let Some(task) = task
    {
        return cancel(ctx, task, Reason::JobCancelled, flag.note);
    }
    Ok(())
}

/// What is known of the id from before.
pub(super) struct Beginning {
    /// Of what was submitted under the id.
    pub(super) hash: u64,
    /// The request of the requeue that asks.
    pub(super) requeued_by: Option<u64>,
    pub(super) generation: Generation,
    /// The last attempt of earlier generations: numbers never start again.
    pub(super) attempt: Attempt,
    /// The terminal state that it comes from.
    pub(super) from: Option<TaskState>,
}

/// Puts a task into its line.
pub(super) fn begin(
    ctx: &mut Ctx<'_, '_>,
    request_id: Option<&RequestId>,
    mut spec: TaskSpec,
    beginning: Beginning,
    reason: Reason,
) -> Result<(), StateError> {
    let payload_apart = spec.payload.as_ref().is_some_and(|payload| payload.0.len() > PAYLOAD_IN_ROW_MAX);
    if payload_apart && let Some(payload) = spec.payload.take() {
        ctx.txn.put_owned::<PayloadTable>(&(spec.pool.clone(), spec.id.clone()), payload)?;
    }
    let seq = ctx.back_seq();
    let ttl_at = spec.queue_ttl.map(|ttl| ctx.now.processor.after(ttl));
    let task = LiveTask {
        payload_apart,
        spec_hash: beginning.hash,
        counted_hash: counted_hash(&spec),
        requeued_by: beginning.requeued_by,
        spec: Arc::new(spec),
        generation: beginning.generation,
        state: TaskState::Queued,
        seq,
        attempt: beginning.attempt,
        failures: 0,
        losses: 0,
        submitted_at: ctx.now.wall,
        since: ctx.now.wall,
        reason,
        open: None,
        timer_at: None,
        ttl_at,
        stopping: None,
        closed: Vec::new(),
    };
    track::counts::shift(ctx, &task.spec, beginning.from, Some(TaskState::Queued))?;
    ctx.windows.note(&task.spec, Happened::Submitted);
    track::events::accepted(ctx, &task, request_id, false);
    ctx.put_task(task)
}

/// The same spec once more changes nothing; another one is refused.
fn known_already(
    ctx: &mut Ctx<'_, '_>,
    request_id: Option<&RequestId>,
    spec: &TaskSpec,
    row: &TaskRow,
    hash: u64,
) -> Result<(), StateError> {
    let (known, generation, state) = match row {
        TaskRow::Live(task) => (task.spec_hash, task.generation, task.state),
        TaskRow::Done(marker) => (marker.spec_hash, marker.generation, marker.state),
    };
    if known == hash {
        ctx.count(Counted::Repeated, "submit");
        track::events::repeated(ctx, spec, generation, state, request_id);
        return Ok(());
    }
    let detail = format!(
        "task {}/{} is {} and was submitted with other fields: choose another id, or submit exactly the same again",
        spec.pool,
        spec.id,
        state.name()
    );
    let refusal = refuse(spec, "submit", RefusedReason::Conflict, Some("id"), detail);
    ctx.publish(refusal.into_event(spec.pool.clone(), request_id.cloned(), ctx.now.wall));
    Ok(())
}

/// What the settings and the tables say about a task that may begin otherwise.
pub(super) fn acceptable(
    ctx: &mut Ctx<'_, '_>,
    spec: &TaskSpec,
    action: &str,
) -> Result<Result<(), Refusal>, StateError> {
    if let Some(topic) = &spec.reply_to {
        let is_allowed = ctx.settings.reply_prefixes.iter().any(|prefix| topic.starts_with(prefix.as_str()));
        if !is_allowed || !ctx.txn.contains::<ReplyTopicTable>(topic)? {
            let detail = format!(
                "topic {topic} is not known for replies: it must exist and start with one of the configured \
                 reply_prefixes [{}]; a topic that was just made is known a moment after it was first asked for",
                ctx.settings.reply_prefixes.join(", ")
            );
            if is_allowed {
                ctx.effects.push(crate::effect::Effect::EnsureReply { topic: topic.clone() });
            }
            return Ok(Err(refuse(spec, action, RefusedReason::ReplyTopicUnknown, Some("reply_to"), detail)));
        }
    }
    if let Some(limit) = track::counts::too_many_queues(ctx, spec)? {
        let detail = format!("pool {} has {limit} queues (limits.queues_max): use one of them", spec.pool);
        return Ok(Err(refuse(spec, action, RefusedReason::Limit, Some("queue"), detail)));
    }
    Ok(Ok(()))
}

/// Why a task does not begin.
pub(super) fn refuse(
    spec: &TaskSpec,
    action: &str,
    reason: RefusedReason,
    field: Option<&str>,
    detail: String,
) -> Refusal {
    Refusal {
        action: action.to_owned(),
        id: Some(spec.id.clone()),
        job: spec.job.clone(),
        worker: None,
        reason,
        field: field.map(str::to_owned),
        detail,
    }
}
