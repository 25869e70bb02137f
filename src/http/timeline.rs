//! What happened to a task, moment by moment.

use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_topologies::id::Attempt;
use yardmaster_topologies::task::ClosedAttempt;

/// One thing that happened to a task.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Moment {
    at_ms: u64,
    /// `submitted`, `assigned`, `started`, `closed`, or the state that it came into, in lower case.
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl Moment {
    /// Something that is about no attempt.
    pub(crate) fn of(at_ms: u64, what: &str) -> Self {
        Self { at_ms, what: what.to_owned(), attempt: None, worker: None, outcome: None, reason: None }
    }

    /// The same about an attempt.
    pub(crate) fn by(self, attempt: Attempt, worker: &impl ToString) -> Self {
        Self { attempt: Some(attempt.0), worker: Some(worker.to_string()), ..self }
    }
}

/// A task came into a state.
pub(crate) fn arrival(at_ms: u64, state: &str, reason: &'static str) -> Moment {
    Moment { reason: Some(reason), ..Moment::of(at_ms, &state.to_lowercase()) }
}

/// The submit and the attempts that are over.
pub(crate) fn beginning(submitted_at_ms: u64, closed: &[ClosedAttempt]) -> Vec<Moment> {
    let mut timeline = vec![Moment::of(submitted_at_ms, "submitted")];
    for attempt in closed {
        let by = |at: u64, what: &str| Moment::of(at, what).by(attempt.attempt, &attempt.worker);
        timeline.push(by(attempt.assigned_at.0, "assigned"));
        timeline.extend(attempt.started_at.map(|at| by(at.0, "started")));
        timeline.push(Moment {
            outcome: Some(attempt.outcome.name()),
            reason: Some(attempt.reason.name()),
            ..by(attempt.closed_at.0, "closed")
        });
    }
    timeline
}
