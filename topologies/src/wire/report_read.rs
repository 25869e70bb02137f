//! Reads what a worker says about attempts: in status records, and back from events.

use crate::event::AttemptRef;
use crate::id::{Attempt, Incarnation, TaskId, Token, WorkerName};
use crate::task::{ClosedAttempt, Json, Report, Usage};
use crate::time::WallMs;
use crate::wire::error::Fault;
use crate::wire::limits::{Defaults, NOTE_BYTES_MAX, TAIL_BYTES_MAX};
use crate::wire::names::{outcome_from_name, reason_from_name};
use crate::wire::object::Object;
use crate::wire::spec_read::read_content_ref;

/// Bytes of `error.kind`.
const KIND_BYTES_MAX: usize = 64;

/// A moment on the wall's clock.
pub(crate) fn read_at(object: &Object<'_>, name: &str) -> Result<Option<WallMs>, Fault> {
    Ok(object.scalar(name, "milliseconds since 1970")?.map(WallMs))
}

/// `attempt`: a whole number from 1.
pub(crate) fn read_attempt_number(object: &Object<'_>) -> Result<Attempt, Fault> {
    let number: u32 = object.need("attempt", object.scalar("attempt", "a whole number")?)?;
    Ok(Attempt(number))
}

/// `task`, `attempt` and `token` of an object that may have other fields.
pub(crate) fn read_attempt(object: &Object<'_>) -> Result<AttemptRef, Fault> {
    Ok(AttemptRef {
        task: object.need("task", object.name("task", TaskId::parse)?)?,
        attempt: read_attempt_number(object)?,
        token: object.need("token", object.name("token", Token::parse)?)?,
    })
}

/// A list of attempts; absent is empty.
pub(crate) fn read_attempts(object: &Object<'_>, name: &str) -> Result<Vec<AttemptRef>, Fault> {
    let list = object.list(name)?.unwrap_or_default();
    let read = |(index, raw)| read_attempt(&Object::nested(raw, format!("{}[{index}]", object.at(name)))?);
    list.into_iter().enumerate().map(read).collect()
}

/// A report. A result that is too large is dropped with a note, so that the completion is never lost.
pub(crate) fn read_report(object: &Object<'_>, defaults: &Defaults) -> Result<Report, Fault> {
    let error = object.object("error")?;
    let inside = |name: &str| error.as_ref().filter(|_| object.raw(name).is_none()).unwrap_or(object);
    let (kind, message, retryable) = match &error {
        Some(error) => (
            error.head("kind", KIND_BYTES_MAX)?,
            error.head("message", NOTE_BYTES_MAX)?,
            error.scalar("retryable", "true or false")?,
        ),
        None => (None, None, None),
    };
    let mut report = Report {
        started_at: read_at(object, "started_at_ms")?,
        ended_at: read_at(object, "ended_at_ms")?,
        exit_code: inside("exit_code").scalar("exit_code", "a whole number")?,
        signal: inside("signal").scalar("signal", "a whole number")?,
        result: object.raw("result").map(|raw| Json(raw.get().into())),
        result_ref: read_content_ref(object, "result_ref")?,
        usage: read_usage(object)?,
        error_kind: kind,
        error_message: message,
        retryable,
        stdout_tail: inside("stdout_tail").tail("stdout_tail", TAIL_BYTES_MAX)?,
        stderr_tail: inside("stderr_tail").tail("stderr_tail", TAIL_BYTES_MAX)?,
    };
    limit_result(&mut report, defaults);
    Ok(report)
}

fn limit_result(report: &mut Report, defaults: &Defaults) {
    let max = defaults.limits.result_bytes_max;
    let bytes = report.result.as_ref().map_or(0, |result| result.0.len());
    if bytes <= usize::try_from(max).unwrap_or(usize::MAX) {
        return;
    }
    report.result = None;
    let note = format!("the result of {bytes} bytes was dropped: result_bytes_max is {max}; use result_ref");
    report.error_message = Some(match report.error_message.take() {
        Some(message) => format!("{message} ({note})"),
        None => note,
    });
}

fn read_usage(object: &Object<'_>) -> Result<Option<Usage>, Fault> {
    let Some(usage) = object.object("usage")? else {
        return Ok(None);
    };
    Ok(Some(Usage {
        cpu_ms: usage.scalar("cpu_ms", "milliseconds")?.unwrap_or(0),
        max_rss_kb: usage.scalar("max_rss_kb", "KiB")?.unwrap_or(0),
    }))
}

/// A closed attempt, as it stands in an event.
pub(crate) fn read_closed(object: &Object<'_>, defaults: &Defaults) -> Result<ClosedAttempt, Fault> {
    let report = object.need("report", object.object("report")?)?;
    Ok(ClosedAttempt {
        attempt: read_attempt_number(object)?,
        worker: object.need("worker", object.name("worker", WorkerName::parse)?)?,
        incarnation: object.need("incarnation", object.name("incarnation", Incarnation::parse)?)?,
        assigned_at: object.need("assigned_at_ms", read_at(object, "assigned_at_ms")?)?,
        started_at: read_at(object, "started_at_ms")?,
        closed_at: object.need("closed_at_ms", read_at(object, "closed_at_ms")?)?,
        outcome: read_word(object, "outcome", outcome_from_name)?,
        reason: read_word(object, "reason", reason_from_name)?,
        report: read_report(&report, defaults)?,
    })
}

/// A word of a closed set that must be there.
pub(crate) fn read_word<T>(object: &Object<'_>, name: &str, from: fn(&str) -> Option<T>) -> Result<T, Fault> {
    let word = object.need(name, object.text(name, 64)?)?;
    from(&word).ok_or_else(|| Fault::invalid(object.at(name), format!("`{word}` is not known")))
}
