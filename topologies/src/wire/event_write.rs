//! Writes records of `events`.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::id::{Attempt, Incarnation, JobId, QueueName, WorkerName};
use crate::task::EndedTask;
use crate::wire::batch_log::put_log;
use crate::wire::event::{Event, InputRange, WorkerFact};
use crate::wire::json::{ClosedAttemptJson, RawJson, SpecJson, put_closed, some};

/// An event as the value of a record; its key is [`Event::key`].
#[must_use]
pub fn encode_event(event: &Event) -> Vec<u8> {
    serde_json::to_vec(&EventJson(event)).unwrap_or_default()
}

struct EventJson<'a>(&'a Event);

impl Serialize for EventJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("v", &1)?;
        map.serialize_entry("type", self.0.type_name())?;
        map.serialize_entry("at_ms", &self.0.at())?;
        some(&mut map, "pool", self.0.pool())?;
        some(&mut map, "id", self.0.task_id())?;
        put_body(&mut map, self.0)?;
        map.end()
    }
}

/// What comes after `v`, `type`, `at_ms`, `pool` and `id`.
fn put_body<M: SerializeMap>(map: &mut M, event: &Event) -> Result<(), M::Error> {
    match event {
        Event::Accepted { .. } => put_accepted(map, event),
        Event::Refused { .. } => put_refused(map, event),
        Event::Assigned { job, queue, attempt, worker, incarnation, generation, .. } => {
            put_line(map, job.as_ref(), queue)?;
            map.serialize_entry("generation", generation)?;
            put_holder(map, *attempt, worker, incarnation)
        }
        Event::Started { attempt, worker, incarnation, .. } => put_holder(map, *attempt, worker, incarnation),
        Event::Progress { attempt, worker, incarnation, note, .. } => {
            put_holder(map, *attempt, worker, incarnation)?;
            some(map, "note", note.as_ref().map(RawJson))
        }
        Event::AttemptClosed { generation, closed, next, due, .. } => {
            map.serialize_entry("generation", generation)?;
            put_closed(map, closed)?;
            map.serialize_entry("next", next.name())?;
            some(map, "due_ms", *due)
        }
        Event::Ended { task, closes_attempt } => put_ended(map, task, *closes_attempt),
        Event::State { job, queue, generation, state, reason, note, .. } => {
            put_line(map, job.as_ref(), queue)?;
            map.serialize_entry("generation", generation)?;
            map.serialize_entry("state", state.name())?;
            map.serialize_entry("reason", reason.name())?;
            some(map, "note", note.as_ref())
        }
        Event::WorkerJoined(fact)
        | Event::WorkerLost(fact)
        | Event::WorkerLeft(fact)
        | Event::WorkerDrained(fact)
        | Event::WorkerUndrained(fact) => put_worker(map, fact),
        Event::Batch { partition, sequence, tasks, status, log, .. } => {
            map.serialize_entry("partition", partition)?;
            map.serialize_entry("sequence", sequence)?;
            map.serialize_entry("tasks", &RangeJson::from(*tasks))?;
            map.serialize_entry("status", &RangeJson::from(*status))?;
            log.as_ref().map_or(Ok(()), |log| put_log(map, log))
        }
    }
}

#[derive(serde::Serialize)]
struct RangeJson {
    from: i64,
    to: i64,
}

impl From<InputRange> for RangeJson {
    fn from(range: InputRange) -> Self {
        Self { from: range.from, to: range.to }
    }
}

fn put_line<M: SerializeMap>(map: &mut M, job: Option<&JobId>, queue: &QueueName) -> Result<(), M::Error> {
    some(map, "job", job)?;
    map.serialize_entry("queue", queue)
}

fn put_holder<M: SerializeMap>(
    map: &mut M,
    attempt: Attempt,
    worker: &WorkerName,
    incarnation: &Incarnation,
) -> Result<(), M::Error> {
    map.serialize_entry("attempt", &attempt)?;
    map.serialize_entry("worker", worker)?;
    map.serialize_entry("incarnation", incarnation)
}

fn put_accepted<M: SerializeMap>(map: &mut M, event: &Event) -> Result<(), M::Error> {
    let Event::Accepted { job, queue, priority, tags, generation, state, request_id, repeated, .. } = event
    else {
        return Ok(());
    };
    some(map, "request_id", request_id.as_ref())?;
    put_line(map, job.as_ref(), queue)?;
    map.serialize_entry("priority", priority)?;
    map.serialize_entry("tags", tags)?;
    map.serialize_entry("generation", generation)?;
    map.serialize_entry("state", state.name())?;
    map.serialize_entry("repeated", repeated)
}

fn put_refused<M: SerializeMap>(map: &mut M, event: &Event) -> Result<(), M::Error> {
    let Event::Refused { request_id, job, worker, action, reason, field, detail, .. } = event else {
        return Ok(());
    };
    some(map, "request_id", request_id.as_ref())?;
    some(map, "job", job.as_ref())?;
    some(map, "worker", worker.as_ref())?;
    map.serialize_entry("action", action)?;
    map.serialize_entry("reason", reason.name())?;
    some(map, "field", field.as_ref())?;
    map.serialize_entry("detail", detail)
}

fn put_ended<M: SerializeMap>(
    map: &mut M,
    task: &EndedTask,
    closes: Option<Attempt>,
) -> Result<(), M::Error> {
    put_line(map, task.spec.job.as_ref(), &task.spec.queue)?;
    put_ended_fields(map, task)?;
    some(map, "closes_attempt", closes)
}

/// The record of a terminal task without its pool, id, job and queue, which stand in `task` too.
fn put_ended_fields<M: SerializeMap>(map: &mut M, task: &EndedTask) -> Result<(), M::Error> {
    map.serialize_entry("state", task.state.name())?;
    map.serialize_entry("reason", task.reason.name())?;
    some(map, "note", task.note.as_ref())?;
    map.serialize_entry("generation", &task.generation)?;
    map.serialize_entry("attempt", &task.attempt)?;
    map.serialize_entry("failures", &task.failures)?;
    map.serialize_entry("losses", &task.losses)?;
    map.serialize_entry("submitted_at_ms", &task.submitted_at)?;
    map.serialize_entry("attempts", &task.attempts.iter().map(ClosedAttemptJson).collect::<Vec<_>>())?;
    map.serialize_entry("task", &SpecJson(&task.spec))
}

fn put_worker<M: SerializeMap>(map: &mut M, fact: &WorkerFact) -> Result<(), M::Error> {
    map.serialize_entry("worker", &fact.worker)?;
    map.serialize_entry("incarnation", &fact.incarnation)?;
    some(map, "reason", fact.reason.map(crate::task::Reason::name))
}
