//! The records on `events`: one for each thing that happened.

use crate::ctx::Ctx;
use crate::id::{Generation, Pool, RequestId};
use crate::task::{Json, LiveTask, Reason, TaskSpec, TaskState};
use crate::time::WallMs;
use crate::wire::{Event, WorkerFact};
use crate::worker::WorkerRow;

/// A task was taken in.
pub(crate) fn accepted(
    ctx: &mut Ctx<'_, '_>,
    task: &LiveTask,
    request_id: Option<&RequestId>,
    repeated: bool,
) {
    let event = acceptance(&task.spec, task.generation, task.state, request_id, repeated, ctx.now.wall);
    ctx.publish(event);
}

/// A task was known already, with the same spec.
pub(crate) fn repeated(
    ctx: &mut Ctx<'_, '_>,
    spec: &TaskSpec,
    generation: Generation,
    state: TaskState,
    request_id: Option<&RequestId>,
) {
    let event = acceptance(spec, generation, state, request_id, true, ctx.now.wall);
    ctx.publish(event);
}

fn acceptance(
    spec: &TaskSpec,
    generation: Generation,
    state: TaskState,
    request_id: Option<&RequestId>,
    repeated: bool,
    at: WallMs,
) -> Event {
    Event::Accepted {
        pool: spec.pool.clone(),
        id: spec.id.clone(),
        job: spec.job.clone(),
        queue: spec.queue.clone(),
        priority: spec.priority,
        tags: spec.tags.clone(),
        generation,
        state,
        request_id: request_id.cloned(),
        repeated,
        at,
    }
}

/// An attempt was opened.
pub(crate) fn assigned(ctx: &mut Ctx<'_, '_>, task: &LiveTask) {
    let Some(open) = &task.open else { return };
    let event = Event::Assigned {
        pool: task.spec.pool.clone(),
        id: task.spec.id.clone(),
        job: task.spec.job.clone(),
        queue: task.spec.queue.clone(),
        attempt: task.attempt,
        worker: open.worker.clone(),
        incarnation: open.incarnation.clone(),
        generation: task.generation,
        at: ctx.now.wall,
    };
    ctx.publish(event);
}

/// Its program runs.
pub(crate) fn started(ctx: &mut Ctx<'_, '_>, task: &LiveTask) {
    let Some(open) = &task.open else { return };
    let event = Event::Started {
        pool: task.spec.pool.clone(),
        id: task.spec.id.clone(),
        attempt: task.attempt,
        worker: open.worker.clone(),
        incarnation: open.incarnation.clone(),
        at: ctx.now.wall,
    };
    ctx.publish(event);
}

/// It said how far it is.
pub(crate) fn progress(ctx: &mut Ctx<'_, '_>, task: &LiveTask, note: Option<Json>) {
    let Some(open) = &task.open else { return };
    let event = Event::Progress {
        pool: task.spec.pool.clone(),
        id: task.spec.id.clone(),
        attempt: task.attempt,
        worker: open.worker.clone(),
        incarnation: open.incarnation.clone(),
        note,
        at: ctx.now.wall,
    };
    ctx.publish(event);
}

/// An attempt is over and its task goes on, maybe after a wait.
pub(crate) fn attempt_closed(ctx: &mut Ctx<'_, '_>, task: &LiveTask, due: Option<WallMs>) {
    let Some(closed) = task.closed.last() else { return };
    let event = Event::AttemptClosed {
        pool: task.spec.pool.clone(),
        id: task.spec.id.clone(),
        generation: task.generation,
        closed: Box::new(closed.clone()),
        next: task.state,
        due,
    };
    ctx.publish(event);
}

/// A task came into another state without an attempt being opened or closed.
pub(crate) fn state(ctx: &mut Ctx<'_, '_>, task: &LiveTask) {
    let event = Event::State {
        pool: task.spec.pool.clone(),
        id: task.spec.id.clone(),
        job: task.spec.job.clone(),
        queue: task.spec.queue.clone(),
        generation: task.generation,
        state: task.state,
        reason: task.reason,
        note: task.stopping.as_ref().map(|stopping| stopping.note.clone()).filter(|note| !note.is_empty()),
        at: ctx.now.wall,
    };
    ctx.publish(event);
}

/// A worker may get work.
pub(crate) fn worker_joined(ctx: &mut Ctx<'_, '_>, pool: &Pool, row: &WorkerRow) {
    let fact = fact(ctx, pool, row, None);
    ctx.publish(Event::WorkerJoined(fact));
}

/// A worker's lease ran out.
pub(crate) fn worker_lost(ctx: &mut Ctx<'_, '_>, pool: &Pool, row: &WorkerRow, reason: Reason) {
    let fact = fact(ctx, pool, row, Some(reason));
    ctx.publish(Event::WorkerLost(fact));
}

/// A worker said goodbye, or a newer incarnation took its place.
pub(crate) fn worker_left(ctx: &mut Ctx<'_, '_>, pool: &Pool, row: &WorkerRow, reason: Reason) {
    let fact = fact(ctx, pool, row, Some(reason));
    ctx.publish(Event::WorkerLeft(fact));
}

/// A worker gets nothing new.
pub(crate) fn worker_drained(ctx: &mut Ctx<'_, '_>, pool: &Pool, row: &WorkerRow) {
    let fact = fact(ctx, pool, row, None);
    ctx.publish(Event::WorkerDrained(fact));
}

/// A worker gets work again.
pub(crate) fn worker_undrained(ctx: &mut Ctx<'_, '_>, pool: &Pool, row: &WorkerRow) {
    let fact = fact(ctx, pool, row, None);
    ctx.publish(Event::WorkerUndrained(fact));
}

fn fact(ctx: &Ctx<'_, '_>, pool: &Pool, row: &WorkerRow, reason: Option<Reason>) -> WorkerFact {
    WorkerFact {
        pool: pool.clone(),
        worker: row.worker.clone(),
        incarnation: row.incarnation.clone(),
        reason,
        at: ctx.now.wall,
    }
}
