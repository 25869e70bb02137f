//! Reads records of `events` back: for the refill of history, and for clients.

use std::sync::Arc;

use crate::id::{Generation, Incarnation, JobId, Pool, Priority, QueueName, RequestId, TaskId, WorkerName};
use crate::task::{EndedTask, Json, TaskState};
use crate::time::WallMs;
use crate::wire::batch_log::read_log;
use crate::wire::command_read::header;
use crate::wire::error::{BadReason, Fault, RefusedReason, Undecodable};
use crate::wire::event::{Event, InputRange, WorkerFact};
use crate::wire::limits::{Defaults, OUTPUT_BYTES_MAX};
use crate::wire::names::reason_from_name;
use crate::wire::object::Object;
use crate::wire::report_read::{read_at, read_attempt_number, read_closed, read_word};
use crate::wire::spec_read::read_spec;

/// Reads one record of `events`; fields that are not known are ignored.
///
/// # Errors
/// [`Undecodable::Bad`] when it is not an event that this version knows.
pub fn decode_event(bytes: &[u8]) -> Result<Event, Undecodable> {
    let object = Object::output(bytes)?;
    let kind = header(&object)?;
    match read(&object, &kind) {
        Ok(Some(event)) => Ok(event),
        Ok(None) => Err(Undecodable::bad(BadReason::UnknownType, format!("`{kind}` is not an event"))),
        Err(fault) => Err(Undecodable::bad(BadReason::BadField, fault.detail)),
    }
}

/// What was accepted once is read back under any limit.
fn unlimited() -> Defaults {
    let mut defaults = Defaults::default();
    defaults.limits.payload_bytes_max = u32::MAX;
    defaults.limits.result_bytes_max = u32::MAX;
    defaults.limits.tags_max = u32::MAX;
    defaults
}

fn read(object: &Object<'_>, kind: &str) -> Result<Option<Event>, Fault> {
    let at = object.need("at_ms", read_at(object, "at_ms")?)?;
    Ok(Some(match kind {
        "accepted" => read_accepted(object, at)?,
        "refused" => read_refused(object, at)?,
        "assigned" => read_assigned(object, at)?,
        "started" => read_started(object, at)?,
        "progress" => read_progress(object, at)?,
        "attempt_closed" => Event::AttemptClosed {
            pool: pool(object)?,
            id: id(object)?,
            generation: generation(object)?,
            closed: Box::new(read_closed(object, &unlimited())?),
            next: read_word(object, "next", TaskState::from_name)?,
            due: read_at(object, "due_ms")?,
        },
        "ended" => read_ended(object, at)?,
        "state" => read_state(object, at)?,
        "worker_joined" => Event::WorkerJoined(read_worker(object, at)?),
        "worker_lost" => Event::WorkerLost(read_worker(object, at)?),
        "worker_left" => Event::WorkerLeft(read_worker(object, at)?),
        "worker_drained" => Event::WorkerDrained(read_worker(object, at)?),
        "worker_undrained" => Event::WorkerUndrained(read_worker(object, at)?),
        "batch" => Event::Batch {
            partition: number(object, "partition")?,
            sequence: number(object, "sequence")?,
            tasks: read_range(object, "tasks")?,
            status: read_range(object, "status")?,
            at,
            log: read_log(object)?.map(Box::new),
        },
        _ => return Ok(None),
    }))
}

fn pool(object: &Object<'_>) -> Result<Pool, Fault> {
    object.need("pool", object.name("pool", Pool::parse)?)
}

fn id(object: &Object<'_>) -> Result<TaskId, Fault> {
    object.need("id", object.name("id", TaskId::parse)?)
}

fn job(object: &Object<'_>) -> Result<Option<JobId>, Fault> {
    object.name("job", JobId::parse)
}

fn queue(object: &Object<'_>) -> Result<QueueName, Fault> {
    object.need("queue", object.name("queue", QueueName::parse)?)
}

fn worker(object: &Object<'_>) -> Result<WorkerName, Fault> {
    object.need("worker", object.name("worker", WorkerName::parse)?)
}

fn incarnation(object: &Object<'_>) -> Result<Incarnation, Fault> {
    object.need("incarnation", object.name("incarnation", Incarnation::parse)?)
}

fn number<T: serde::de::DeserializeOwned>(object: &Object<'_>, name: &str) -> Result<T, Fault> {
    object.need(name, object.scalar(name, "a whole number")?)
}

fn generation(object: &Object<'_>) -> Result<Generation, Fault> {
    Ok(Generation(number(object, "generation")?))
}

fn read_range(object: &Object<'_>, name: &str) -> Result<InputRange, Fault> {
    let range = object.need(name, object.object(name)?)?;
    Ok(InputRange { from: number(&range, "from")?, to: number(&range, "to")? })
}

fn read_accepted(object: &Object<'_>, at: WallMs) -> Result<Event, Fault> {
    Ok(Event::Accepted {
        pool: pool(object)?,
        id: id(object)?,
        job: job(object)?,
        queue: queue(object)?,
        priority: Priority(number(object, "priority")?),
        tags: object.strings("tags")?,
        generation: generation(object)?,
        state: read_word(object, "state", TaskState::from_name)?,
        request_id: object.name("request_id", RequestId::parse)?,
        repeated: object.scalar("repeated", "true or false")?.unwrap_or(false),
        at,
    })
}

fn read_refused(object: &Object<'_>, at: WallMs) -> Result<Event, Fault> {
    Ok(Event::Refused {
        pool: pool(object)?,
        request_id: object.name("request_id", RequestId::parse)?,
        id: object.name("id", TaskId::parse)?,
        job: job(object)?,
        worker: object.name("worker", WorkerName::parse)?,
        action: object.need("action", object.text("action", 64)?)?,
        reason: read_word(object, "reason", RefusedReason::from_name)?,
        field: object.head("field", OUTPUT_BYTES_MAX)?,
        detail: object.head("detail", OUTPUT_BYTES_MAX)?.unwrap_or_default(),
        at,
    })
}

fn read_assigned(object: &Object<'_>, at: WallMs) -> Result<Event, Fault> {
    Ok(Event::Assigned {
        pool: pool(object)?,
        id: id(object)?,
        job: job(object)?,
        queue: queue(object)?,
        attempt: read_attempt_number(object)?,
        worker: worker(object)?,
        incarnation: incarnation(object)?,
        generation: generation(object)?,
        at,
    })
}

fn read_started(object: &Object<'_>, at: WallMs) -> Result<Event, Fault> {
    Ok(Event::Started {
        pool: pool(object)?,
        id: id(object)?,
        attempt: read_attempt_number(object)?,
        worker: worker(object)?,
        incarnation: incarnation(object)?,
        at,
    })
}

fn read_progress(object: &Object<'_>, at: WallMs) -> Result<Event, Fault> {
    Ok(Event::Progress {
        pool: pool(object)?,
        id: id(object)?,
        attempt: read_attempt_number(object)?,
        worker: worker(object)?,
        incarnation: incarnation(object)?,
        note: object.raw("note").map(|raw| Json(raw.get().into())),
        at,
    })
}

fn read_ended(object: &Object<'_>, at: WallMs) -> Result<Event, Fault> {
    let spec = object.need("task", object.object("task")?)?;
    let mut attempts = Vec::new();
    for (index, raw) in object.list("attempts")?.unwrap_or_default().into_iter().enumerate() {
        attempts.push(read_closed(&Object::nested(raw, format!("attempts[{index}]"))?, &unlimited())?);
    }
    let task = EndedTask {
        spec: Arc::new(read_spec(&spec, &pool(object)?, &unlimited())?),
        state: read_word(object, "state", TaskState::from_name)?,
        reason: read_word(object, "reason", reason_from_name)?,
        note: object.head("note", OUTPUT_BYTES_MAX)?,
        generation: generation(object)?,
        attempt: read_attempt_number(object)?,
        failures: number(object, "failures")?,
        losses: number(object, "losses")?,
        submitted_at: object.need("submitted_at_ms", read_at(object, "submitted_at_ms")?)?,
        ended_at: at,
        attempts,
    };
    let closes_attempt = object.scalar("closes_attempt", "a whole number")?.map(crate::id::Attempt);
    Ok(Event::Ended { task: Arc::new(task), closes_attempt })
}

fn read_state(object: &Object<'_>, at: WallMs) -> Result<Event, Fault> {
    Ok(Event::State {
        pool: pool(object)?,
        id: id(object)?,
        job: job(object)?,
        queue: queue(object)?,
        generation: generation(object)?,
        state: read_word(object, "state", TaskState::from_name)?,
        reason: read_word(object, "reason", reason_from_name)?,
        note: object.head("note", OUTPUT_BYTES_MAX)?,
        at,
    })
}

fn read_worker(object: &Object<'_>, at: WallMs) -> Result<WorkerFact, Fault> {
    Ok(WorkerFact {
        pool: pool(object)?,
        worker: worker(object)?,
        incarnation: incarnation(object)?,
        reason: match object.raw("reason") {
            Some(_) => Some(read_word(object, "reason", reason_from_name)?),
            None => None,
        },
        at,
    })
}
