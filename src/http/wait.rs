//! Waiting for what the processor decides about a request.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};
use yardmaster_topologies::id::RequestId;
use yardmaster_topologies::wire::{Event, RefusedReason};

use super::params::Params;
use super::parts::{OwnedPartition, Position};
use super::position::applied;
use super::problem::{Answer, Problem};

/// How long a decision is waited for when the request doesn't say.
const WAIT_MS: u64 = 5_000;
/// The longest wait.
const WAIT_MS_MAX: u64 = 20_000;
/// How long a refusal may come after the commit that it stands in.
const REFUSAL_LAG: Duration = Duration::from_millis(50);

/// Whether and how long a request waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait(Option<Duration>);

impl Wait {
    /// Takes `wait` and `wait_ms` out of a request.
    pub(crate) fn take(params: &mut Params) -> Answer<Self> {
        let ms = params.number("wait_ms", 1, WAIT_MS_MAX)?.unwrap_or(WAIT_MS);
        match params.one("wait")?.as_deref() {
            None => Ok(Self(None)),
            Some("applied") => Ok(Self(Some(Duration::from_millis(ms)))),
            Some(_) => Err(Problem::bad_field("wait", "`wait` can only be `applied`")),
        }
    }

    /// Whether it waits at all.
    pub(crate) fn is_wanted(self) -> bool {
        self.0.is_some()
    }

    /// Collects the decisions about a request until `enough` says so or the time is over.
    pub(crate) async fn collect(
        self,
        mut decisions: Receiver<Arc<Event>>,
        request: &RequestId,
        mut enough: impl FnMut(&Arc<Event>) -> bool,
    ) {
        let end = Instant::now() + self.0.unwrap_or_default();
        while let Ok(Some(event)) = timeout_at(end, next_about(&mut decisions, request)).await {
            if enough(&event) {
                return;
            }
        }
    }

    /// Waits until a command is applied; also returns the decision about it, if one came.
    pub(crate) async fn applied(
        self,
        owned: &OwnedPartition,
        position: Position,
        mut decisions: Receiver<Arc<Event>>,
        request: &RequestId,
    ) -> (bool, Option<Arc<Event>>) {
        let wait = self.0.unwrap_or_default();
        tokio::select! {
            found = next_about(&mut decisions, request) => (true, found),
            is_applied = applied(owned, position.offset, wait) => {
                // Applied and not refused is done; the commit is announced a moment before its decisions.
                let late = tokio::time::timeout(REFUSAL_LAG, next_about(&mut decisions, request)).await;
                (is_applied, late.ok().flatten())
            }
        }
    }
}

/// The next decision about a request; none when there will be no more.
async fn next_about(decisions: &mut Receiver<Arc<Event>>, request: &RequestId) -> Option<Arc<Event>> {
    loop {
        match decisions.recv().await {
            Ok(event) => {
                if request_of(&event) == Some(request) {
                    return Some(event);
                }
            }
            // Some were missed: what is about this request may be among the others, or the time runs out.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

fn request_of(event: &Event) -> Option<&RequestId> {
    match event {
        Event::Accepted { request_id, .. } | Event::Refused { request_id, .. } => request_id.as_ref(),
        Event::Assigned { .. }
        | Event::Started { .. }
        | Event::Progress { .. }
        | Event::AttemptClosed { .. }
        | Event::Ended { .. }
        | Event::State { .. }
        | Event::WorkerJoined(_)
        | Event::WorkerLost(_)
        | Event::WorkerLeft(_)
        | Event::WorkerDrained(_)
        | Event::WorkerUndrained(_)
        | Event::Batch { .. } => None,
    }
}

/// The status that says why something was refused.
pub(crate) fn refused_status(reason: RefusedReason) -> StatusCode {
    match reason {
        RefusedReason::Conflict
        | RefusedReason::NotTerminal
        | RefusedReason::AlreadyTerminal
        | RefusedReason::JobCancelled => StatusCode::CONFLICT,
        RefusedReason::UnknownTask | RefusedReason::UnknownWorker | RefusedReason::UnknownJob => {
            StatusCode::NOT_FOUND
        }
        RefusedReason::Limit
        | RefusedReason::ReplyTopicUnknown
        | RefusedReason::UnsupportedType
        | RefusedReason::UnsupportedField
        | RefusedReason::UnknownType
        | RefusedReason::UnknownField
        | RefusedReason::Missing
        | RefusedReason::Invalid
        | RefusedReason::DuplicateKey
        | RefusedReason::DuplicateInBatch => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// The problem that a refusal is.
pub(crate) fn refusal_of(event: &Event) -> Option<Problem> {
    let Event::Refused { reason, field, detail, .. } = event else {
        return None;
    };
    let problem =
        Problem::new(refused_status(*reason), reason.name(), "The processor refused it", detail.as_str());
    Some(match field {
        Some(field) => problem.field(field),
        None => problem,
    })
}
