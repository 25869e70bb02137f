//! Effects as lines of a golden script.

use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::event::AttemptRef;
use yardmaster_topologies::task::EndedTask;
use yardmaster_topologies::wire::{Event, ToWorker, WorkerFact};

use crate::rig::WALL_LEAD_MS;
use crate::script;

/// One effect in one line; what is not about the usual pool begins with its pool.
pub(crate) fn effect(effect: &Effect) -> String {
    let pool = match effect {
        Effect::Send { pool, .. }
        | Effect::EnsureChannel { pool, .. }
        | Effect::ForgetChannel { pool, .. } => Some(pool),
        Effect::Publish { event } | Effect::Reply { event, .. } | Effect::Bury { event } => event.pool(),
        Effect::EnsureReply { .. } | Effect::Count { .. } => None,
    };
    let pool = pool.filter(|pool| **pool != script::pool()).map(|pool| format!("{pool}: "));
    pool.unwrap_or_default() + &text(effect)
}

fn text(effect: &Effect) -> String {
    match effect {
        Effect::Send { worker, message, .. } => {
            let to = message.to();
            assert_eq!(worker, &to.worker, "a message is on its own channel");
            format!("send {}.{} #{} {}", to.worker, to.incarnation, to.seq, message_text(message))
        }
        Effect::Publish { event } => format!("event {}", event_text(event)),
        Effect::Reply { topic, event } => format!("reply {topic} {}", event_text(event)),
        Effect::Bury { event } => format!("bury {}", event_text(event)),
        Effect::EnsureChannel { worker, .. } => format!("ensure_channel {worker}"),
        Effect::ForgetChannel { worker, .. } => format!("forget_channel {worker}"),
        Effect::EnsureReply { topic } => format!("ensure_reply {topic}"),
        Effect::Count { what, reason } => format!("count {what:?} {reason}"),
    }
}

fn attempts(attempts: &[AttemptRef]) -> String {
    let names: Vec<_> = attempts.iter().map(|a| format!("{}/{}", a.task, a.attempt)).collect();
    names.join(",")
}

fn message_text(message: &ToWorker) -> String {
    match message {
        ToWorker::Welcome { adopt, .. } => format!("welcome adopt=[{}]", attempts(adopt)),
        ToWorker::Assign { attempt, work, .. } => {
            let payload = work.payload.as_ref().map(|json| format!(" payload={}B", json.0.len()));
            format!("assign {}/{}{}", attempt.task, attempt.attempt, payload.unwrap_or_default())
        }
        ToWorker::Cancel { attempt, reason, .. } => {
            format!("cancel {}/{} {}", attempt.task, attempt.attempt, reason.name())
        }
        ToWorker::Drain { .. }
        | ToWorker::Undrain { .. }
        | ToWorker::Rehello { .. }
        | ToWorker::Replaced { .. } => message.type_name().to_owned(),
    }
}

fn ended(task: &EndedTask) -> String {
    let tries: Vec<_> = task
        .attempts
        .iter()
        .map(|a| format!("{}:{}:{}", a.attempt, a.outcome.name(), a.reason.name()))
        .collect();
    let note = task.note.as_ref().map(|note| format!(" note={note:?}")).unwrap_or_default();
    format!(
        "{} {} {} gen={} failures={} losses={} attempts=[{}]{note}",
        task.spec.id,
        task.state.name(),
        task.reason.name(),
        task.generation,
        task.failures,
        task.losses,
        tries.join(" ")
    )
}

fn fact(name: &str, fact: &WorkerFact) -> String {
    let reason = fact.reason.map(|reason| format!(" {}", reason.name())).unwrap_or_default();
    format!("{name} {}.{}{reason}", fact.worker, fact.incarnation)
}

fn event_text(event: &Event) -> String {
    let name = event.type_name();
    match event {
        Event::Accepted { id, state, generation, repeated, .. } => {
            let repeated = if *repeated { " repeated" } else { "" };
            format!("{name} {id} {} gen={generation}{repeated}", state.name())
        }
        Event::Refused { action, reason, field, id, job, worker, .. } => {
            let id = id.as_ref().map(ToString::to_string);
            let what =
                id.or(job.as_ref().map(ToString::to_string)).or(worker.as_ref().map(ToString::to_string));
            let field = field.as_deref().unwrap_or("-");
            format!("{name} {action} {} {} field={field}", what.unwrap_or_default(), reason.name())
        }
        Event::Assigned { id, attempt, worker, incarnation, .. }
        | Event::Started { id, attempt, worker, incarnation, .. }
        | Event::Progress { id, attempt, worker, incarnation, .. } => {
            format!("{name} {id}/{attempt} {worker}.{incarnation}")
        }
        Event::AttemptClosed { id, closed, next, due, .. } => {
            let due = due.map(|at| format!(" due=+{}", at.0 - WALL_LEAD_MS)).unwrap_or_default();
            let how = format!("{} {}", closed.outcome.name(), closed.reason.name());
            format!("{name} {id}/{} {how} next={}{due}", closed.attempt, next.name())
        }
        Event::Ended { task, closes_attempt } => {
            let closes = closes_attempt.map(|attempt| format!(" closes={attempt}")).unwrap_or_default();
            format!("{name} {}{closes}", ended(task))
        }
        Event::State { id, state, reason, note, .. } => {
            let note = note.as_ref().map(|note| format!(" note={note:?}")).unwrap_or_default();
            format!("{name} {id} {} {}{note}", state.name(), reason.name())
        }
        Event::WorkerJoined(who)
        | Event::WorkerLost(who)
        | Event::WorkerLeft(who)
        | Event::WorkerDrained(who)
        | Event::WorkerUndrained(who) => fact(name, who),
        Event::Batch { .. } => unreachable!("the topology makes no batch events"),
    }
}
