//! The life of each task, event by event: opened and closed attempts, and one end.

use std::collections::BTreeMap;

use crate::Report;
use crate::event::{Event, Name};
use crate::violation::{Faults, Invariant};

#[derive(Default)]
struct Life {
    accepted: bool,
    /// The attempt that is open, and who holds it.
    open: Option<(i64, String)>,
    highest: i64,
    generation: i64,
    /// The terminal state and its generation.
    ended: Option<(String, i64)>,
}

pub(crate) fn check_lives(events: &[Event<'_>], report: &mut Report, faults: &mut Faults) {
    let mut lives: BTreeMap<Name, Life> = BTreeMap::new();
    for event in events {
        let kind = event.text("type");
        if !matches!(
            kind,
            "accepted" | "assigned" | "started" | "progress" | "attempt_closed" | "ended" | "state"
        ) {
            continue;
        }
        let life = lives.entry(event.name()).or_default();
        if let Err(fault) = step(life, kind, event, report) {
            let (pool, id) = event.name();
            let invariant = if is_about_attempts(kind) { Invariant::OneAttempt } else { Invariant::OneEnd };
            faults.add(invariant, event.raw.place(), format!("{pool}/{id}: {fault} ({kind})"));
        }
    }
    for ((pool, id), life) in &lives {
        match &life.ended {
            Some((state, _)) => *report.ended.entry(state.clone()).or_default() += 1,
            None => faults.add(Invariant::OneEnd, "events", format!("{pool}/{id} has not ended")),
        }
        if let Some((attempt, worker)) = &life.open {
            let text = format!("{pool}/{id}: attempt {attempt} on {worker} was never closed");
            faults.add(Invariant::OneAttempt, "events", text);
        }
        report.accepted += usize::from(life.accepted);
    }
}

fn is_about_attempts(kind: &str) -> bool {
    matches!(kind, "assigned" | "started" | "progress" | "attempt_closed")
}

fn step(life: &mut Life, kind: &str, event: &Event<'_>, report: &mut Report) -> Result<(), String> {
    match kind {
        "accepted" => accept(life, event),
        _ if !life.accepted => Err("something happened before it was accepted".to_owned()),
        "state" => change(life, event),
        _ if life.ended.is_some() => Err("something happened after its end".to_owned()),
        "assigned" => {
            report.attempts += 1;
            open(life, event)
        }
        "attempt_closed" => {
            *report.closed.entry(event.text("outcome").to_owned()).or_default() += 1;
            close(life, event)
        }
        "ended" => end(life, event),
        _ => holds(life, event),
    }
}

fn accept(life: &mut Life, event: &Event<'_>) -> Result<(), String> {
    let repeated = event.json.get("repeated").and_then(serde_json::Value::as_bool) == Some(true);
    let generation = event.number("generation").unwrap_or(0);
    match (life.accepted, repeated) {
        (false, true) => Err("called a repetition, but it is the first".to_owned()),
        (true, false) if generation <= life.generation => Err("accepted twice".to_owned()),
        (true, false) => revive(life, generation),
        (true, true) => Ok(()),
        (false, false) => {
            life.accepted = true;
            life.generation = generation;
            Ok(())
        }
    }
}

fn change(life: &mut Life, event: &Event<'_>) -> Result<(), String> {
    let generation = event.number("generation").unwrap_or(0);
    if generation > life.generation {
        return revive(life, generation);
    }
    if life.ended.is_some() { Err("changed after its end".to_owned()) } else { Ok(()) }
}

/// A requeue: only an ended task has a next generation.
fn revive(life: &mut Life, generation: i64) -> Result<(), String> {
    if life.ended.take().is_none() {
        return Err(format!("generation {generation} began before the last one ended"));
    }
    life.generation = generation;
    Ok(())
}

fn open(life: &mut Life, event: &Event<'_>) -> Result<(), String> {
    let (_, attempt) = event.attempt();
    let holder = holder(event);
    if let Some((other, who)) = &life.open {
        return Err(format!("attempt {attempt} on {holder} opened while {other} is open on {who}"));
    }
    if attempt <= life.highest {
        return Err(format!("attempt {attempt} comes after {}", life.highest));
    }
    life.highest = attempt;
    life.open = Some((attempt, holder));
    Ok(())
}

fn close(life: &mut Life, event: &Event<'_>) -> Result<(), String> {
    holds(life, event)?;
    life.open = None;
    Ok(())
}

fn end(life: &mut Life, event: &Event<'_>) -> Result<(), String> {
    let open = life.open.take().map(|(attempt, _)| attempt);
    let closes = event.number("closes_attempt");
    let generation = event.number("generation").unwrap_or(0);
    life.ended = Some((event.text("state").to_owned(), generation));
    if open != closes {
        return Err(format!("its end closes attempt {closes:?}, but {open:?} is open"));
    }
    if generation != life.generation {
        return Err(format!("generation {generation} ended, but {} lives", life.generation));
    }
    if event.number("attempt").unwrap_or(0) != life.highest {
        return Err(format!("its end counts other attempts than the {} opened", life.highest));
    }
    Ok(())
}

/// The event is about the open attempt. An adopted attempt keeps its worker, not its incarnation.
fn holds(life: &Life, event: &Event<'_>) -> Result<(), String> {
    let (_, attempt) = event.attempt();
    let worker = event.text("worker").to_owned();
    match &life.open {
        Some((open, who)) if *open == attempt && *who == worker => Ok(()),
        Some((open, who)) => Err(format!("about attempt {attempt} on {worker}, but {open} on {who} is open")),
        None => Err(format!("about attempt {attempt} on {worker}, but none is open")),
    }
}

fn holder(event: &Event<'_>) -> String {
    event.text("worker").to_owned()
}
