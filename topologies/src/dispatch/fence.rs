//! The fence: what a worker says about an attempt counts only if it is the open one, of this holder, with its token.

use yardmaster_state::StateError;
use yardmaster_state::chaos::Mutant;

use super::token::token;
use crate::ctx::Ctx;
use crate::effect::Counted;
use crate::event::AttemptRef;
use crate::id::{Incarnation, Pool, Token, WorkerName};
use crate::task::{LiveTask, OpenAttempt, TaskRow};

/// Who said it.
pub(super) struct Sender {
    pub(super) pool: Pool,
    pub(super) worker: WorkerName,
    pub(super) incarnation: Incarnation,
}

/// The task whose open attempt this is, or nothing: then it was counted.
pub(super) fn admit(
    ctx: &mut Ctx<'_, '_>,
    from: &Sender,
    attempt: &AttemptRef,
) -> Result<Option<LiveTask>, StateError> {
    let row = ctx.row(&from.pool, &attempt.task)?;
    let fenced = match row.as_deref() {
        None => Err((Counted::Fenced, "unknown")),
        Some(TaskRow::Done(marker)) if marker.attempt == attempt.attempt => {
            Err((Counted::Duplicate, "terminal"))
        }
        Some(TaskRow::Done(_)) => Err((Counted::Fenced, "terminal")),
        Some(TaskRow::Live(task)) => match &task.open {
            Some(open) if task.attempt == attempt.attempt => {
                check(ctx, from, attempt, task, open).map(|()| task.clone())
            }
            Some(_) | None => Err((Counted::Fenced, "stale_attempt")),
        },
    };
    match fenced {
        Ok(task) => Ok(Some(task)),
        Err((what, reason)) => {
            ctx.count(what, reason);
            Ok(None)
        }
    }
}

fn check(
    ctx: &Ctx<'_, '_>,
    from: &Sender,
    attempt: &AttemptRef,
    task: &LiveTask,
    open: &OpenAttempt,
) -> Result<(), (Counted, &'static str)> {
    if open.worker != from.worker || open.incarnation != from.incarnation {
        return Err((Counted::Fenced, "wrong_worker"));
    }
    if token_of(ctx, task, open) != attempt.token && !Mutant::TokenIgnored.is_on() {
        return Err((Counted::Fenced, "wrong_token"));
    }
    Ok(())
}

/// The token that the holder of the open attempt was given.
pub(super) fn token_of(ctx: &Ctx<'_, '_>, task: &LiveTask, open: &OpenAttempt) -> Token {
    let given_to = open.given_to.as_ref().unwrap_or(&open.incarnation);
    let life = (task.generation, task.submitted_at);
    token(&ctx.settings.secret, (&task.spec.pool, &task.spec.id), life, task.attempt, given_to)
}

/// The open attempt by its full name.
pub(super) fn name(ctx: &Ctx<'_, '_>, task: &LiveTask, open: &OpenAttempt) -> AttemptRef {
    AttemptRef { task: task.spec.id.clone(), attempt: task.attempt, token: token_of(ctx, task, open) }
}
