//! Serialisers for the parts that several records and HTTP views share.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::event::AttemptRef;
use crate::task::{ClosedAttempt, ContentRef, Json, Report, Retry, RetryGiven, TaskSpec, Usage};

/// JSON text embedded as it is. Text that is not JSON, which decoding never lets in, is embedded as a string.
#[derive(Debug, Clone, Copy)]
pub struct RawJson<'a>(pub &'a Json);

impl Serialize for RawJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(&self.0.0) {
            Ok(raw) => raw.serialize(serializer),
            Err(_) => serializer.serialize_str(&self.0.0),
        }
    }
}

/// An entry that is left out when it is absent.
pub(crate) fn some<M: SerializeMap, T: Serialize>(
    map: &mut M,
    key: &'static str,
    value: Option<T>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(key, &value),
        None => Ok(()),
    }
}

/// `{"uri":…,"sha256":…}`.
#[derive(Debug, Clone, Copy)]
pub struct ContentRefJson<'a>(pub &'a ContentRef);

impl Serialize for ContentRefJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("uri", &self.0.uri)?;
        map.serialize_entry("sha256", &self.0.sha256)?;
        map.end()
    }
}

/// `{"task":…,"attempt":…,"token":…}`.
#[derive(Debug, Clone, Copy)]
pub struct AttemptRefJson<'a>(pub &'a AttemptRef);

impl Serialize for AttemptRefJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        put_attempt(&mut map, self.0)?;
        map.end()
    }
}

/// The three fields of an attempt's name, into an object that has others.
pub(crate) fn put_attempt<M: SerializeMap>(map: &mut M, attempt: &AttemptRef) -> Result<(), M::Error> {
    map.serialize_entry("task", &attempt.task)?;
    map.serialize_entry("attempt", &attempt.attempt)?;
    map.serialize_entry("token", &attempt.token)
}

/// A list of attempts' names.
pub(crate) fn attempts(list: &[AttemptRef]) -> Vec<AttemptRefJson<'_>> {
    list.iter().map(AttemptRefJson).collect()
}

/// The whole policy, or what the submitter said of it.
struct RetryJson<'a>(&'a Retry, RetryGiven);

impl Serialize for RetryJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(retry, shown) = self;
        let mut map = serializer.serialize_map(None)?;
        some(&mut map, "max_failures", shown.max_failures.then_some(retry.max_failures))?;
        some(&mut map, "max_losses", shown.max_losses.then_some(retry.max_losses))?;
        some(&mut map, "backoff_ms", shown.backoff.then_some(retry.backoff))?;
        some(&mut map, "backoff_max_ms", shown.backoff_max.then_some(retry.backoff_max))?;
        map.end()
    }
}

/// A task with every default filled in: in events, in a requeue, and as it is shown. Absent options are left out.
#[derive(Debug, Clone, Copy)]
pub struct SpecJson<'a>(pub &'a TaskSpec);

impl Serialize for SpecJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put_spec(&mut map, self.0, RetryGiven::ALL)?;
        map.end()
    }
}

/// The task of a submit: what the server fills in is left to the server that decides it, and to its defaults then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubmitJson<'a>(pub(crate) &'a TaskSpec);

impl Serialize for SubmitJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put_spec(&mut map, self.0, self.0.retry.given)?;
        map.end()
    }
}

fn put_spec<M: SerializeMap>(map: &mut M, spec: &TaskSpec, retry: RetryGiven) -> Result<(), M::Error> {
    map.serialize_entry("id", &spec.id)?;
    map.serialize_entry("pool", &spec.pool)?;
    map.serialize_entry("queue", &spec.queue)?;
    some(map, "job", spec.job.as_ref())?;
    map.serialize_entry("priority", &spec.priority)?;
    map.serialize_entry("tags", &spec.tags)?;
    map.serialize_entry("command", &spec.command)?;
    map.serialize_entry("env", &spec.env)?;
    some(map, "cwd", spec.cwd.as_ref())?;
    some(map, "payload", spec.payload.as_ref().map(RawJson))?;
    some(map, "payload_ref", spec.payload_ref.as_ref().map(ContentRefJson))?;
    some(map, "run_timeout_ms", spec.run_timeout)?;
    some(map, "queue_ttl_ms", spec.queue_ttl)?;
    let is_shown = retry != RetryGiven::default();
    some(map, "retry", is_shown.then_some(RetryJson(&spec.retry, retry)))?;
    some(map, "reply_to", spec.reply_to.as_ref())
}

struct UsageJson(Usage);

impl Serialize for UsageJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("cpu_ms", &self.0.cpu_ms)?;
        map.serialize_entry("max_rss_kb", &self.0.max_rss_kb)?;
        map.end()
    }
}

struct ErrorJson<'a>(&'a Report);

impl Serialize for ErrorJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        some(&mut map, "kind", self.0.error_kind.as_ref())?;
        some(&mut map, "message", self.0.error_message.as_ref())?;
        some(&mut map, "retryable", self.0.retryable)?;
        map.end()
    }
}

/// The fields of a report, into an object that has others.
pub(crate) fn put_report<M: SerializeMap>(map: &mut M, report: &Report) -> Result<(), M::Error> {
    some(map, "started_at_ms", report.started_at)?;
    some(map, "ended_at_ms", report.ended_at)?;
    some(map, "exit_code", report.exit_code)?;
    some(map, "signal", report.signal)?;
    some(map, "result", report.result.as_ref().map(RawJson))?;
    some(map, "result_ref", report.result_ref.as_ref().map(ContentRefJson))?;
    some(map, "usage", report.usage.map(UsageJson))?;
    let has_error =
        report.error_kind.is_some() || report.error_message.is_some() || report.retryable.is_some();
    some(map, "error", has_error.then_some(ErrorJson(report)))?;
    some(map, "stdout_tail", report.stdout_tail.as_ref())?;
    some(map, "stderr_tail", report.stderr_tail.as_ref())
}

/// What a worker said about an attempt that ended.
#[derive(Debug, Clone, Copy)]
pub struct ReportJson<'a>(pub &'a Report);

impl Serialize for ReportJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put_report(&mut map, self.0)?;
        map.end()
    }
}

/// An attempt that is over.
#[derive(Debug, Clone, Copy)]
pub struct ClosedAttemptJson<'a>(pub &'a ClosedAttempt);

impl Serialize for ClosedAttemptJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put_closed(&mut map, self.0)?;
        map.end()
    }
}

/// The fields of a closed attempt, into an object that has others.
pub(crate) fn put_closed<M: SerializeMap>(map: &mut M, closed: &ClosedAttempt) -> Result<(), M::Error> {
    map.serialize_entry("attempt", &closed.attempt)?;
    map.serialize_entry("worker", &closed.worker)?;
    map.serialize_entry("incarnation", &closed.incarnation)?;
    map.serialize_entry("assigned_at_ms", &closed.assigned_at)?;
    some(map, "started_at_ms", closed.started_at)?;
    map.serialize_entry("closed_at_ms", &closed.closed_at)?;
    map.serialize_entry("outcome", closed.outcome.name())?;
    map.serialize_entry("reason", closed.reason.name())?;
    map.serialize_entry("report", &ReportJson(&closed.report))
}
