//! A worker says how an attempt ended.

use yardmaster_state::StateError;

use super::close::{Closing, close_attempt, free_slot};
use super::fence::{Sender, admit};
use crate::ctx::Ctx;
use crate::event::AttemptRef;
use crate::task::{Outcome, Reason, Report, TaskState};

/// What the worker's own time limit is called in `error.kind`.
const TIMEOUT: &str = "timeout";

/// The attempt ended so, for this reason.
pub(super) fn reported(
    ctx: &mut Ctx<'_, '_>,
    from: &Sender,
    attempt: &AttemptRef,
    (outcome, reason): (Outcome, Reason),
    report: Report,
) -> Result<(), StateError> {
    let Some(task) = admit(ctx, from, attempt)? else {
        return Ok(());
    };
    free_slot(ctx, &from.pool, &from.worker)?;
    close_attempt(ctx, task, Closing { outcome, reason, report, is_reported: true })
}

/// It ended badly; a run that took too long is a failure of its own kind.
pub(super) fn failed(
    ctx: &mut Ctx<'_, '_>,
    from: &Sender,
    attempt: &AttemptRef,
    report: Report,
) -> Result<(), StateError> {
    let is_timeout = report.error_kind.as_deref() == Some(TIMEOUT);
    let how =
        if is_timeout { (Outcome::TimedOut, Reason::RunTimeout) } else { (Outcome::Failed, Reason::Failed) };
    reported(ctx, from, attempt, how, report)
}

/// The worker did not take it. It gets nothing new before its next heartbeat: else it would be given the same again at
/// once, as the one with the most free slots.
pub(super) fn rejected(
    ctx: &mut Ctx<'_, '_>,
    from: &Sender,
    attempt: &AttemptRef,
    message: String,
) -> Result<(), StateError> {
    let Some(task) = admit(ctx, from, attempt)? else {
        return Ok(());
    };
    if let Some(mut row) = ctx.worker(&from.pool, &from.worker)? {
        row.is_full = true;
        ctx.put_worker(&from.pool, row)?;
    }
    free_slot(ctx, &from.pool, &from.worker)?;
    let report = Report { error_message: Some(message), ..Report::default() };
    let (outcome, reason) = (Outcome::Rejected, Reason::Rejected);
    close_attempt(ctx, task, Closing { outcome, reason, report, is_reported: true })
}

/// It was stopped. Unasked that is a loss: the worker gave it up by itself.
pub(super) fn cancelled(
    ctx: &mut Ctx<'_, '_>,
    from: &Sender,
    attempt: &AttemptRef,
    report: Report,
) -> Result<(), StateError> {
    let Some(task) = admit(ctx, from, attempt)? else {
        return Ok(());
    };
    let (outcome, reason) = if task.state == TaskState::Cancelling {
        (Outcome::Cancelled, task.reason)
    } else {
        (Outcome::Lost, Reason::Forgotten)
    };
    free_slot(ctx, &from.pool, &from.worker)?;
    close_attempt(ctx, task, Closing { outcome, reason, report, is_reported: true })
}
