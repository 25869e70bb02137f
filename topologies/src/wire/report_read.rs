//! Reads what a worker says about attempts: in status records, and back from events.

use crate::event::AttemptRef;
use crate::id::{Attempt, Incarnation, TaskId, Token, WorkerName};
use crate::task::{ClosedAttempt, Json, Report, Usage};
use crate::time::WallMs;
use crate::wire::error::Fault;
use crate::wire::limits::{Defaults, NOTE_BYTES_MAX, TAIL_BYTES_MAX};
use crate::wire::names::{outcome_from_name, reason_from_name};
use crate::wire::object::{Object, first_bytes};
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

/// Takes the optional fields that can be read. One that can't be is left out with a note: the end of an attempt must not
/// be lost for it.
#[derive(Default)]
struct Forgiving {
    notes: Vec<String>,
}

impl Forgiving {
    fn take<T>(&mut self, read: Result<Option<T>, Fault>) -> Option<T> {
        read.unwrap_or_else(|fault| {
            self.notes.push(format!("left out: {}", fault.detail));
            None
        })
    }

    /// Puts the notes behind what the worker said itself.
    fn note(self, message: Option<String>) -> Option<String> {
        if self.notes.is_empty() {
            return message;
        }
        let notes = self.notes.join("; ");
        let notes = first_bytes(&notes, NOTE_BYTES_MAX / 2);
        let Some(message) = message else {
            return Some(notes.to_owned());
        };
        // Together no longer than a message may be: it is read back from events under the same limit.
        let message = first_bytes(&message, NOTE_BYTES_MAX - notes.len() - 3);
        Some(format!("{message} ({notes})"))
    }
}

/// A report. Whatever is wrong with one of its fields, the end that it tells of stays.
pub(crate) fn read_report(object: &Object<'_>, defaults: &Defaults) -> Report {
    let mut forgiving = Forgiving::default();
    let error = forgiving.take(object.object("error"));
    let inside = |name: &str| error.as_ref().filter(|_| object.raw(name).is_none()).unwrap_or(object);
    let (mut kind, mut message, mut retryable) = (None, None, None);
    if let Some(error) = &error {
        kind = forgiving.take(error.head("kind", KIND_BYTES_MAX));
        message = forgiving.take(error.head("message", NOTE_BYTES_MAX));
        retryable = forgiving.take(error.scalar("retryable", "true or false"));
    }
    let mut report = Report {
        started_at: forgiving.take(read_at(object, "started_at_ms")),
        ended_at: forgiving.take(read_at(object, "ended_at_ms")),
        exit_code: forgiving.take(inside("exit_code").scalar("exit_code", "a whole number")),
        signal: forgiving.take(inside("signal").scalar("signal", "a whole number")),
        result: forgiving.take(read_result(object, defaults)),
        result_ref: forgiving.take(read_content_ref(object, "result_ref")),
        usage: forgiving.take(read_usage(object)),
        error_kind: kind,
        error_message: None,
        retryable,
        stdout_tail: forgiving.take(inside("stdout_tail").tail("stdout_tail", TAIL_BYTES_MAX)),
        stderr_tail: forgiving.take(inside("stderr_tail").tail("stderr_tail", TAIL_BYTES_MAX)),
    };
    report.error_message = forgiving.note(message);
    report
}

fn read_result(object: &Object<'_>, defaults: &Defaults) -> Result<Option<Json>, Fault> {
    let max = defaults.limits.result_bytes_max;
    match object.raw("result").map(|raw| raw.get()) {
        Some(text) if text.len() > usize::try_from(max).unwrap_or(usize::MAX) => {
            let detail = format!("has {} bytes, result_bytes_max is {max}: use `result_ref`", text.len());
            Err(Fault::limit(object.at("result"), detail))
        }
        text => Ok(text.map(|text| Json(text.into()))),
    }
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
        report: read_report(&report, defaults),
    })
}

/// A word of a closed set that must be there.
pub(crate) fn read_word<T>(object: &Object<'_>, name: &str, from: fn(&str) -> Option<T>) -> Result<T, Fault> {
    let word = object.need(name, object.text(name, 64)?)?;
    from(&word).ok_or_else(|| Fault::invalid(object.at(name), format!("`{word}` is not known")))
}
