//! What the processor refuses, as a problem: its status, its limit, and the way out.

use axum::http::StatusCode;
use yardmaster_topologies::settings::Limits;
use yardmaster_topologies::wire::{
    COMMAND_ARGS_MAX, ENV_BYTES_MAX, Event, PATH_BYTES_MAX, RefusedReason, TAG_VALUE_BYTES_MAX,
};

use super::problem::Problem;

/// The problem that a refusal is.
pub(crate) fn refused(
    reason: RefusedReason,
    field: Option<&str>,
    detail: impl Into<String>,
    limits: &Limits,
) -> Problem {
    let (status, remedy) = status_and_remedy(reason);
    let problem = Problem::new(status, reason.name(), "The processor refused it", detail).remedy(remedy);
    let problem = field.into_iter().fold(problem, |problem, field| problem.field(field));
    let limit = field.filter(|_| reason == RefusedReason::Limit).and_then(|field| limit_of(field, limits));
    limit.into_iter().fold(problem, |problem, limit| problem.limit(limit))
}

/// The problem that an event is, if it is a refusal.
pub(crate) fn refusal_of(event: &Event, limits: &Limits) -> Option<Problem> {
    let Event::Refused { reason, field, detail, .. } = event else {
        return None;
    };
    Some(refused(*reason, field.as_deref(), detail.as_str(), limits))
}

/// The status that says why something was refused, and the way out.
fn status_and_remedy(reason: RefusedReason) -> (StatusCode, &'static str) {
    let (conflict, unknown) = (StatusCode::CONFLICT, StatusCode::NOT_FOUND);
    let bad = StatusCode::UNPROCESSABLE_ENTITY;
    match reason {
        RefusedReason::Conflict => (conflict, "choose another id, or send exactly the same task again"),
        RefusedReason::NotTerminal => (conflict, "wait until the task has ended, or cancel it first"),
        RefusedReason::AlreadyTerminal => (conflict, "nothing is left to do: the task has ended"),
        RefusedReason::JobCancelled => (conflict, "submit it under another job"),
        RefusedReason::UnknownTask => {
            (unknown, "look for it at /v1/pools/{pool}/tasks; an id is known in its pool only")
        }
        RefusedReason::UnknownWorker => (unknown, "look for it at /v1/pools/{pool}/workers"),
        RefusedReason::UnknownJob => (unknown, "look for it at /v1/pools/{pool}/jobs"),
        RefusedReason::Limit => {
            (bad, "stay under the limit, or have it raised in the server's configuration")
        }
        RefusedReason::ReplyTopicUnknown => {
            (bad, "make the topic, under one of the configured prefixes, and send the task again")
        }
        RefusedReason::UnsupportedType
        | RefusedReason::UnsupportedField
        | RefusedReason::UnknownType
        | RefusedReason::UnknownField
        | RefusedReason::Missing
        | RefusedReason::Invalid
        | RefusedReason::DuplicateKey
        | RefusedReason::DuplicateInBatch => (bad, "correct the field and send it again"),
    }
}

/// The limit that holds for a field of a task.
pub(crate) fn limit_of(field: &str, limits: &Limits) -> Option<String> {
    let mut parts = field.split('.').skip_while(|part| *part == "task");
    let bytes = |max: usize| format!("{max} bytes");
    Some(match (parts.next()?, parts.next()) {
        ("payload", None) => format!("{} bytes (limits.payload_bytes_max)", limits.payload_bytes_max),
        ("tags", None) => format!("{} (limits.tags_max)", limits.tags_max),
        ("tags", Some(_)) => bytes(TAG_VALUE_BYTES_MAX),
        ("queue", None) => format!("{} (limits.queues_max)", limits.queues_max),
        ("command", None) => COMMAND_ARGS_MAX.to_string(),
        ("env", None) => bytes(ENV_BYTES_MAX),
        ("cwd", None) => bytes(PATH_BYTES_MAX),
        ("tasks", None) => format!("{} (limits.submit_many_max)", limits.submit_many_max),
        (_, _) => return None,
    })
}
