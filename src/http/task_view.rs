//! The JSON of a task: one row of a list, and the whole with its timeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_topologies::id::{Attempt, Pool, TaskId};
use yardmaster_topologies::task::{ClosedAttempt, DoneMarker, EndedTask, LiveTask, OpenAttempt, TaskSpec};
use yardmaster_topologies::wire::{ClosedAttemptJson, ContentRefJson, RawJson, SpecJson};

use super::timeline::{Moment, arrival, beginning};
use super::views::{Verbatim, verbatim};

/// A task in a list.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct TaskView {
    pool: String,
    id: String,
    /// BLOCKED, SCHEDULED, QUEUED, HELD, ASSIGNED, RUNNING, CANCELLING, COMPLETED, FAILED, CANCELLED, EXPIRED or ABORTED.
    pub(crate) state: &'static str,
    /// `live`, `history`, or `marker`: ended, and only that is known.
    source: &'static str,
    #[serde(flatten)]
    asked: Option<Asked>,
    /// Counts requeues by people.
    generation: u32,
    /// The last attempt; 0 is none yet.
    attempt: u32,
    #[serde(flatten)]
    course: Option<Course>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at_ms: Option<u64>,
    /// Who has it now, or had it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    /// When its present or last attempt started.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at_ms: Option<u64>,
    /// What the worker said on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    progress: Option<Verbatim>,
    /// Of the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
}

/// What was asked for, in short.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Asked {
    queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    priority: i32,
    tags: BTreeMap<String, String>,
    command: Vec<String>,
}

/// How it went so far.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Course {
    failures: u32,
    losses: u32,
    submitted_at_ms: u64,
    since_at_ms: u64,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

fn asked(spec: &TaskSpec) -> Option<Asked> {
    Some(Asked {
        queue: spec.queue.to_string(),
        job: spec.job.as_ref().map(ToString::to_string),
        priority: spec.priority.0,
        tags: spec.tags.clone(),
        command: spec.command.clone(),
    })
}

impl TaskView {
    /// A task that is not terminal.
    pub(crate) fn live(task: &LiveTask) -> Self {
        let (open, last) = (task.open.as_ref(), task.closed.last());
        let worker = open.map(|open| &open.worker).or(last.map(|last| &last.worker));
        Self {
            pool: task.spec.pool.to_string(),
            id: task.spec.id.to_string(),
            state: task.state.name(),
            source: "live",
            asked: asked(&task.spec),
            generation: task.generation.0,
            attempt: task.attempt.0,
            course: Some(Course {
                failures: task.failures,
                losses: task.losses,
                submitted_at_ms: task.submitted_at.0,
                since_at_ms: task.since.0,
                reason: task.reason.name(),
                note: task.stopping.as_ref().map(|stopping| stopping.note.clone()),
            }),
            ended_at_ms: None,
            worker: worker.map(ToString::to_string),
            started_at_ms: open.and_then(|open| open.started_at).map(|at| at.0),
            progress: open.and_then(|open| open.progress.as_ref()).and_then(|note| verbatim(&RawJson(note))),
            exit_code: None,
        }
    }

    /// A task out of history.
    pub(crate) fn ended(task: &EndedTask) -> Self {
        let last = task.attempts.last();
        Self {
            pool: task.spec.pool.to_string(),
            id: task.spec.id.to_string(),
            state: task.state.name(),
            source: "history",
            asked: asked(&task.spec),
            generation: task.generation.0,
            attempt: task.attempt.0,
            course: Some(Course {
                failures: task.failures,
                losses: task.losses,
                submitted_at_ms: task.submitted_at.0,
                since_at_ms: task.ended_at.0,
                reason: task.reason.name(),
                note: task.note.clone(),
            }),
            ended_at_ms: Some(task.ended_at.0),
            worker: last.map(|last| last.worker.to_string()),
            started_at_ms: last.and_then(|last| last.started_at).map(|at| at.0),
            progress: None,
            exit_code: last.and_then(|last| last.report.exit_code),
        }
    }

    /// A task of which only the marker is left.
    pub(crate) fn marker(pool: &Pool, id: &TaskId, marker: &DoneMarker) -> Self {
        Self {
            pool: pool.to_string(),
            id: id.to_string(),
            state: marker.state.name(),
            source: "marker",
            generation: marker.generation.0,
            attempt: marker.attempt.0,
            ended_at_ms: Some(marker.at.0),
            ..Self::default()
        }
    }
}

/// A task with everything that is known of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TaskDetail {
    #[serde(flatten)]
    pub(crate) task: TaskView,
    /// The task as it was submitted, with its defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    spec: Option<Verbatim>,
    /// Its result, when it is COMPLETED and carried inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result: Option<Verbatim>,
    /// Where its result lies, when that is too large.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result_ref: Option<Verbatim>,
    /// Every attempt, oldest first; one without `outcome` is open.
    #[schema(value_type = Vec<Object>)]
    attempts: Vec<Verbatim>,
    /// What happened, oldest first.
    timeline: Vec<Moment>,
}

/// An attempt that is going on.
#[derive(Serialize)]
struct OpenView<'a> {
    attempt: Attempt,
    worker: &'a str,
    incarnation: &'a str,
    assigned_at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at_ms: Option<u64>,
}

impl TaskDetail {
    /// A task that is not terminal, with its whole spec.
    pub(crate) fn live(task: &LiveTask, spec: &TaskSpec) -> Self {
        let mut timeline = beginning(task.submitted_at.0, &task.closed);
        let mut attempts = closed_views(&task.closed);
        if let Some(open) = &task.open {
            attempts.extend(open_view(task.attempt, open));
            timeline.push(Moment::of(open.assigned_at.0, "assigned").by(task.attempt, &open.worker));
            let started =
                open.started_at.map(|at| Moment::of(at.0, "started").by(task.attempt, &open.worker));
            timeline.extend(started);
        }
        if task.open.is_none() || task.stopping.is_some() {
            timeline.push(arrival(task.since.0, task.state.name(), task.reason.name()));
        }
        let spec = verbatim(&SpecJson(spec));
        Self { task: TaskView::live(task), spec, result: None, result_ref: None, attempts, timeline }
    }

    /// A task out of history.
    pub(crate) fn ended(task: &EndedTask) -> Self {
        let mut timeline = beginning(task.submitted_at.0, &task.attempts);
        timeline.push(arrival(task.ended_at.0, task.state.name(), task.reason.name()));
        let (result, result_ref) = result_of(task);
        Self {
            task: TaskView::ended(task),
            spec: verbatim(&SpecJson(&task.spec)),
            result,
            result_ref,
            attempts: closed_views(&task.attempts),
            timeline,
        }
    }

    /// A task of which only the marker is left.
    pub(crate) fn marker(pool: &Pool, id: &TaskId, marker: &DoneMarker) -> Self {
        Self {
            task: TaskView::marker(pool, id, marker),
            spec: None,
            result: None,
            result_ref: None,
            attempts: Vec::new(),
            timeline: vec![Moment::of(marker.at.0, &marker.state.name().to_lowercase())],
        }
    }
}

/// The result of a COMPLETED task: that of its last attempt.
pub(crate) fn result_of(task: &EndedTask) -> (Option<Verbatim>, Option<Verbatim>) {
    let report = task.attempts.last().map(|last| &last.report);
    let result = report.and_then(|report| report.result.as_ref()).and_then(|json| verbatim(&RawJson(json)));
    let apart =
        report.and_then(|report| report.result_ref.as_ref()).and_then(|at| verbatim(&ContentRefJson(at)));
    (result, apart)
}

/// A live task's spec with the payload that lies apart.
pub(crate) fn whole_spec(
    task: &LiveTask,
    payload: Option<yardmaster_topologies::task::Json>,
) -> Arc<TaskSpec> {
    let mut spec = Arc::clone(&task.spec);
    if payload.is_some() {
        Arc::make_mut(&mut spec).payload = payload;
    }
    spec
}

fn closed_views(closed: &[ClosedAttempt]) -> Vec<Verbatim> {
    closed.iter().filter_map(|attempt| verbatim(&ClosedAttemptJson(attempt))).collect()
}

fn open_view(attempt: Attempt, open: &OpenAttempt) -> Option<Verbatim> {
    verbatim(&OpenView {
        attempt,
        worker: open.worker.as_str(),
        incarnation: open.incarnation.as_str(),
        assigned_at_ms: open.assigned_at.0,
        started_at_ms: open.started_at.map(|at| at.0),
    })
}
