//! An attempt runs, and says how far it is.

use yardmaster_state::StateError;

use super::expire::run_backstop;
use super::fence::{Sender, admit};
use super::transition::go;
use crate::ctx::Ctx;
use crate::effect::Counted;
use crate::event::AttemptRef;
use crate::task::{Json, LiveTask, TaskState};
use crate::track;

/// The program runs.
pub(super) fn started(ctx: &mut Ctx<'_, '_>, from: &Sender, attempt: &AttemptRef) -> Result<(), StateError> {
    let Some(mut task) = admit(ctx, from, attempt)? else {
        return Ok(());
    };
    if task.state != TaskState::Assigned {
        ctx.count(Counted::Duplicate, "started");
        return Ok(());
    }
    run(ctx, &mut task)?;
    ctx.put_task(task)
}

/// A note on the way. It says that the program runs, too: the start may have been left out.
pub(super) fn progress(
    ctx: &mut Ctx<'_, '_>,
    from: &Sender,
    attempt: &AttemptRef,
    note: Option<Json>,
) -> Result<(), StateError> {
    let Some(mut task) = admit(ctx, from, attempt)? else {
        return Ok(());
    };
    if task.state == TaskState::Assigned {
        run(ctx, &mut task)?;
    }
    if let Some(open) = &mut task.open {
        open.progress.clone_from(&note);
    }
    track::events::progress(ctx, &task, note);
    ctx.put_task(task)
}

/// ASSIGNED becomes RUNNING.
pub(super) fn run(ctx: &mut Ctx<'_, '_>, task: &mut LiveTask) -> Result<(), StateError> {
    let reason = task.reason;
    go(ctx, task, TaskState::Running, reason)?;
    task.ttl_at = None;
    task.timer_at = task.spec.run_timeout.map(|limit| run_backstop(ctx, limit));
    if let Some(open) = &mut task.open {
        open.started_at = Some(ctx.now.wall);
        ctx.windows.started(&task.spec, open, ctx.now.wall);
    }
    track::events::started(ctx, task);
    Ok(())
}
