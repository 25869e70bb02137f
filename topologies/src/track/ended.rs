//! A task is terminal: its whole record goes to `events`, into history, to whoever wanted a reply, and, when it has
//! FAILED, to the dead letters.

use std::sync::Arc;

use yardmaster_state::StateError;

use super::windows::end_of;
use crate::ctx::Ctx;
use crate::effect::{Counted, Effect};
use crate::tables::{HistoryByJobTable, HistoryKey, HistoryTable, ReplyTopicTable};
use crate::task::{EndedTask, Json, LiveTask, TaskState};
use crate::wire::Event;

/// Writes the record everywhere.
pub(crate) fn ended(
    ctx: &mut Ctx<'_, '_>,
    task: LiveTask,
    payload: Option<Json>,
    had_attempt: bool,
) -> Result<(), StateError> {
    let closes_attempt = had_attempt.then_some(task.attempt);
    let record = record(ctx, task, payload);
    if let Some(end) = end_of(record.state) {
        ctx.windows.note(&record.spec, end);
    }
    let (reply_to, state) = (record.spec.reply_to.clone(), record.state);
    let record = Arc::new(record);
    keep_record(ctx.txn, Arc::clone(&record))?;
    let event = Event::Ended { task: record, closes_attempt };
    if let Some(topic) = reply_to {
        if ctx.txn.contains::<ReplyTopicTable>(&topic)? {
            ctx.effects.push(Effect::Reply { topic, event: event.clone() });
        } else {
            // It was there when the task came in. The event itself is kept all the same.
            ctx.count(Counted::Unsent, "reply");
        }
    }
    if state == TaskState::Failed {
        ctx.effects.push(Effect::Bury { event: event.clone() });
    }
    ctx.publish(event);
    Ok(())
}

/// Puts a record into history: also when history is refilled from `events`.
///
/// # Errors
/// Whatever the store says.
pub fn keep_record(txn: &mut yardmaster_state::Txn<'_>, record: Arc<EndedTask>) -> Result<(), StateError> {
    let spec = &record.spec;
    let key = HistoryKey::of((&spec.pool, &spec.id), record.generation, record.state, record.ended_at);
    if let Some(job) = &spec.job {
        txn.put_owned::<HistoryByJobTable>(&(key.clone(), job.clone()), ())?;
    }
    txn.put_shared::<HistoryTable>(&key, record)
}

fn record(ctx: &Ctx<'_, '_>, task: LiveTask, payload: Option<Json>) -> EndedTask {
    let mut spec = task.spec;
    if payload.is_some() {
        Arc::make_mut(&mut spec).payload = payload;
    }
    EndedTask {
        spec,
        state: task.state,
        reason: task.reason,
        note: task.stopping.map(|stopping| stopping.note).filter(|note| !note.is_empty()),
        generation: task.generation,
        attempt: task.attempt,
        failures: task.failures,
        losses: task.losses,
        submitted_at: task.submitted_at,
        ended_at: ctx.now.wall,
        attempts: task.closed,
    }
}
