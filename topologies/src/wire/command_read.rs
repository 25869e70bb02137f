//! Reads a command from `tasks`. Nothing in it is ignored: what is not understood is refused by its name.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::event::{Action, Command};
use crate::id::{JobId, Pool, RequestId, TaskId, WorkerName};
use crate::task::TaskSpec;
use crate::wire::error::{BadReason, Fault, Refusal, RefusedReason, Undecodable};
use crate::wire::limits::{Defaults, NOTE_BYTES_MAX, TASK_BYTES_MAX};
use crate::wire::object::Object;
use crate::wire::spec_read::{only, only_known, read_spec};

/// Command types that are planned.
const PLANNED: &[&str] = &["hold", "release", "pause", "resume", "reprioritise", "set_queue", "submit_array"];

/// By how many bytes a task that was accepted may have grown in its `ended` event: defaults are filled in there.
const FILLED_IN_BYTES_MAX: usize = 1_024;

/// Reads one record of `tasks`.
///
/// # Errors
/// [`Undecodable::Bad`] when version, type or pool can't be read; [`Undecodable::Refused`] when they can and the
/// command still can't be taken.
pub fn decode_command(bytes: &[u8], defaults: &Defaults) -> Result<Command, Undecodable> {
    let object = Object::record(bytes)?;
    let action = header(&object)?;
    let pool = find_pool(&object)?;
    let request_id = object.name("request_id", RequestId::parse);
    let known_request = request_id.clone().ok().flatten();
    let read = request_id.and_then(|_| {
        object.no_duplicates()?;
        read_action(&object, &action, &pool, defaults)
    });
    match read {
        Ok(read) => Ok(Command { pool, request_id: known_request, action: read }),
        Err(fault) => {
            let refusal = Box::new(refusal(&object, action, fault));
            Err(Undecodable::Refused { pool, request_id: known_request, refusal })
        }
    }
}

/// Version and type, which every record of every topic has.
pub(crate) fn header(object: &Object<'_>) -> Result<String, Undecodable> {
    if let Some(key @ ("v" | "type" | "pool")) = object.duplicate() {
        return Err(Undecodable::bad(BadReason::DuplicateKey, format!("`{key}` stands twice")));
    }
    let Some(version) = object.raw("v") else {
        return Err(Undecodable::bad(BadReason::NoVersion, "`v` is missing"));
    };
    if version.get() != "1" {
        return Err(Undecodable::bad(BadReason::UnknownVersion, "`v` must be 1"));
    }
    match object.text("type", 64) {
        Ok(Some(name)) => Ok(name),
        Ok(None) => Err(Undecodable::bad(BadReason::NoType, "`type` is missing")),
        Err(fault) => Err(Undecodable::bad(BadReason::NoType, fault.detail)),
    }
}

/// The pool on top, or else that of the task, or else that of the first of several tasks.
fn find_pool(object: &Object<'_>) -> Result<Pool, Undecodable> {
    let bad = |fault: Fault| Undecodable::bad(BadReason::BadPool, fault.detail);
    if let Some(pool) = object.name("pool", Pool::parse).map_err(bad)? {
        return Ok(pool);
    }
    let inner = object.glance("task").or_else(|| first_of(object));
    match inner.map(|task| task.name("pool", Pool::parse)) {
        Some(Ok(Some(pool))) => Ok(pool),
        Some(Err(fault)) => Err(bad(fault)),
        Some(Ok(None)) | None => Err(Undecodable::bad(BadReason::NoPool, "`pool` is missing")),
    }
}

fn first_of<'a>(object: &Object<'a>) -> Option<Object<'a>> {
    let first = object.list("tasks").ok().flatten()?.into_iter().next()?;
    Object::nested(first, "tasks[0]".to_owned()).ok()
}

fn refusal(object: &Object<'_>, action: String, fault: Fault) -> Refusal {
    let task = object.glance("task");
    let source = task.as_ref().unwrap_or(object);
    Refusal {
        action,
        id: source.name("id", TaskId::parse).ok().flatten(),
        job: source.name("job", JobId::parse).ok().flatten(),
        worker: object.name("worker", WorkerName::parse).ok().flatten(),
        reason: fault.reason,
        field: Some(fault.field),
        detail: fault.detail,
    }
}

fn read_action(object: &Object<'_>, action: &str, pool: &Pool, defaults: &Defaults) -> Result<Action, Fault> {
    let fields = |more: &[&str]| {
        let known: Vec<&str> = ["v", "type", "request_id", "pool"].iter().chain(more).copied().collect();
        only(object, &known, &[])
    };
    match action {
        "submit" => {
            fields(&["task"])?;
            Ok(Action::Submit { tasks: vec![read_task(object, pool, defaults, TASK_BYTES_MAX)?] })
        }
        "submit_many" => {
            fields(&["tasks"])?;
            Ok(Action::Submit { tasks: read_tasks(object, pool, defaults)? })
        }
        "cancel" => {
            fields(&["id", "job", "reason"])?;
            read_cancel(object)
        }
        "requeue" => {
            fields(&["task"])?;
            let task = read_task(object, pool, defaults, TASK_BYTES_MAX + FILLED_IN_BYTES_MAX)?;
            Ok(Action::Requeue { task: Box::new(task) })
        }
        "drain" => {
            fields(&["worker"])?;
            Ok(Action::Drain { worker: read_worker(object)? })
        }
        "undrain" => {
            fields(&["worker"])?;
            Ok(Action::Undrain { worker: read_worker(object)? })
        }
        planned if PLANNED.contains(&planned) => Err(Fault::new(
            "type",
            RefusedReason::UnsupportedType,
            format!("`{planned}` is not supported yet"),
        )),
        unknown => Err(Fault::new("type", RefusedReason::UnknownType, format!("`{unknown}` is not known"))),
    }
}

/// The task of a command of one task, of at most `max` bytes.
fn read_task(object: &Object<'_>, pool: &Pool, defaults: &Defaults, max: usize) -> Result<TaskSpec, Fault> {
    let raw = object.need("task", object.raw("task"))?;
    let task = Object::nested(raw, object.at("task"))?;
    limit(raw, &object.at("task"), max)?;
    only_known(&task)?;
    read_spec(&task, pool, defaults)
}

/// A larger task could not be sent on: what the server writes about it is larger than what it was told.
fn limit(raw: &RawValue, path: &str, max: usize) -> Result<(), Fault> {
    let bytes = raw.get().len();
    if bytes <= max {
        return Ok(());
    }
    let detail = format!(
        "has {bytes} bytes, allowed are {max}: give what is large on stdin (`payload`) or by reference (`payload_ref`)"
    );
    Err(Fault::limit(path, detail))
}

fn read_tasks(object: &Object<'_>, pool: &Pool, defaults: &Defaults) -> Result<Vec<TaskSpec>, Fault> {
    let list = object.need("tasks", object.list("tasks")?)?;
    let max = defaults.limits.submit_many_max;
    if list.len() > usize::try_from(max).unwrap_or(usize::MAX) {
        return Err(Fault::limit("tasks", format!("has {} tasks, submit_many_max is {max}", list.len())));
    }
    if list.is_empty() {
        return Err(Fault::invalid("tasks", "must not be empty"));
    }
    let mut tasks = Vec::with_capacity(list.len());
    let mut seen = BTreeSet::new();
    for (index, raw) in list.into_iter().enumerate() {
        let task = Object::nested(raw, format!("tasks[{index}]"))?;
        limit(raw, &format!("tasks[{index}]"), TASK_BYTES_MAX)?;
        only_known(&task)?;
        let spec = read_spec(&task, pool, defaults)?;
        if !seen.insert(spec.id.clone()) {
            let detail = format!("`{}` is the id of an earlier task of this command", spec.id);
            return Err(Fault::new(task.at("id"), RefusedReason::DuplicateInBatch, detail));
        }
        tasks.push(spec);
    }
    Ok(tasks)
}

fn read_cancel(object: &Object<'_>) -> Result<Action, Fault> {
    let note = object.text("reason", NOTE_BYTES_MAX)?.unwrap_or_default();
    match (object.name("id", TaskId::parse)?, object.name("job", JobId::parse)?) {
        (Some(id), None) => Ok(Action::CancelTask { id, note }),
        (None, Some(job)) => Ok(Action::CancelJob { job, note }),
        (Some(_), Some(_)) => Err(Fault::invalid("job", "and `id` exclude each other")),
        (None, None) => Err(Fault::new("id", RefusedReason::Missing, "or `job` must be given")),
    }
}

fn read_worker(object: &Object<'_>) -> Result<WorkerName, Fault> {
    object.need("worker", object.name("worker", WorkerName::parse)?)
}
