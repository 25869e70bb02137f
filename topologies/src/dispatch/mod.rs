//! Who runs what: one file per command or event, over dispatch's own tables. What follows for counts, lists, events and
//! history is `track`'s.
//!
//! A cancel of a task that runs, and a run timeout that its worker didn't report, leave the attempt open until the worker
//! confirms or twice the grace is over; the attempt's token is void from the moment its row says so.

mod cancel_job;
mod cancel_task;
mod channel;
mod choose;
mod close;
mod drain;
mod expire;
mod fence;
mod goodbye;
mod grant;
mod heartbeat;
mod hello;
mod leave;
mod outcome;
mod requeue;
mod settings;
mod started;
mod submit;
mod sweep;
mod token;
mod transition;

pub use choose::{Grant, choose};
pub use token::token;
pub use transition::is_legal;

pub(crate) use expire::{due, next_due, tick};
pub(crate) use grant::give_out;

use yardmaster_state::StateError;

use crate::ctx::Ctx;
use crate::event::{Action, Command, Local, Status, StatusKind};
use crate::task::{Outcome, Reason};

/// Carries out a command.
pub(crate) fn command(ctx: &mut Ctx<'_, '_>, command: Command) -> Result<(), StateError> {
    let Command { pool, request_id, action } = command;
    match action {
        Action::Submit { tasks } => {
            tasks.into_iter().try_for_each(|spec| submit::submit(ctx, request_id.as_ref(), spec))
        }
        Action::CancelTask { id, note } => cancel_task::cancel_task(ctx, &pool, request_id, &id, note),
        Action::CancelJob { job, note } => cancel_job::cancel_job(ctx, &pool, request_id, &job, note),
        Action::Requeue { task } => requeue::requeue(ctx, request_id, *task),
        Action::Drain { worker } => drain::drain(ctx, &pool, request_id, &worker),
        Action::Undrain { worker } => drain::undrain(ctx, &pool, request_id, &worker),
    }
}

/// Takes in what a worker said.
pub(crate) fn status(ctx: &mut Ctx<'_, '_>, status: Status) -> Result<(), StateError> {
    let from = fence::Sender { pool: status.pool, worker: status.worker, incarnation: status.incarnation };
    match status.kind {
        StatusKind::Hello { protocols, slots, labels, running } => {
            hello::hello(ctx, &from, &protocols, hello::Offer { slots, labels, running })
        }
        StatusKind::Heartbeat { read_seq, free_slots, draining, running } => {
            let beat = heartbeat::Beat { read_seq, free_slots, draining, running };
            heartbeat::heartbeat(ctx, &from, beat)
        }
        StatusKind::Started { attempt } => started::started(ctx, &from, &attempt),
        StatusKind::Progress { attempt, note } => started::progress(ctx, &from, &attempt, note),
        StatusKind::Completed { attempt, report } => {
            outcome::reported(ctx, &from, &attempt, (Outcome::Succeeded, Reason::Completed), report)
        }
        StatusKind::Failed { attempt, report } => outcome::failed(ctx, &from, &attempt, report),
        StatusKind::Rejected { attempt, message } => outcome::rejected(ctx, &from, &attempt, message),
        StatusKind::Cancelled { attempt, report } => outcome::cancelled(ctx, &from, &attempt, report),
        StatusKind::Goodbye => goodbye::goodbye(ctx, &from),
    }
}

/// Takes in one of the processor's own events.
pub(crate) fn local(ctx: &mut Ctx<'_, '_>, local: &Local) -> Result<(), StateError> {
    match local {
        Local::Configured(settings) => settings::configured(ctx, settings),
        Local::ChannelReady { pool, worker } => channel::ready(ctx, pool, worker),
        Local::ChannelLost { pool, worker } => channel::lost(ctx, pool, worker),
        Local::ReplyReady { topic } => settings::reply_ready(ctx, topic),
        Local::ReplyLost { topic } => settings::reply_lost(ctx, topic),
        Local::DataLossAccepted { .. } => Ok(()),
    }
}
