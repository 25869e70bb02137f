//! The table of a task's life. Whatever is not in it is a bug and stops the processor before it is logged.

use crate::ctx::Ctx;
use crate::task::{LiveTask, Reason, TaskState};
use crate::track;

/// Whether a task may go from one state to another.
#[must_use]
pub fn is_legal(from: TaskState, to: TaskState) -> bool {
    use TaskState::{
        Aborted, Assigned, Blocked, Cancelled, Cancelling, Completed, Expired, Failed, Held, Queued, Running,
        Scheduled,
    };
    match from {
        Blocked => matches!(to, Scheduled | Queued | Held | Cancelled | Expired | Aborted),
        Scheduled => matches!(to, Queued | Held | Cancelled | Expired | Aborted),
        Queued => matches!(to, Assigned | Held | Cancelled | Expired | Aborted),
        Held => matches!(to, Blocked | Scheduled | Queued | Cancelled | Expired | Aborted),
        Assigned => matches!(to, Running | Queued | Scheduled | Cancelling | Completed | Failed | Cancelled),
        Running => matches!(to, Queued | Scheduled | Cancelling | Completed | Failed | Cancelled),
        Cancelling => matches!(to, Completed | Cancelled | Expired | Aborted),
        Completed | Failed | Cancelled | Expired | Aborted => matches!(to, Queued),
    }
}

/// Puts a live task into another state, and counts it there.
pub(super) fn go(
    ctx: &mut Ctx<'_, '_>,
    task: &mut LiveTask,
    to: TaskState,
    reason: Reason,
) -> Result<(), yardmaster_state::StateError> {
    assert!(is_legal(task.state, to), "{}: {} can't become {}", task.spec.id, task.state.name(), to.name());
    track::counts::shift(ctx, &task.spec, Some(task.state), Some(to))?;
    task.state = to;
    task.since = ctx.now.wall;
    task.reason = reason;
    Ok(())
}
