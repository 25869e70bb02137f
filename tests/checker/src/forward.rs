//! Nobody sees time go back, and two readers see the same.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::history::Op;
use crate::record::{Raw, Topics, text};
use crate::violation::{Faults, Invariant};

/// What an observer last saw of a task.
#[derive(Default)]
struct Seen {
    is_there: bool,
    generation: i64,
    attempt: i64,
    ended: Option<String>,
}

const TERMINAL: [&str; 5] = ["COMPLETED", "FAILED", "CANCELLED", "EXPIRED", "ABORTED"];

/// Reads are `ok` operations named `read`: their `value` has `pool` and `id`, and `state`, `generation` and `attempt` of the
/// task, or no `state` when there was none; and `sequence`, the batch that was read, with its `partition`, where it is known.
pub(crate) fn check_forward(history: &[Op], faults: &mut Faults) {
    let mut seen: BTreeMap<(String, String, String), Seen> = BTreeMap::new();
    let mut batches: BTreeMap<(String, i64), i64> = BTreeMap::new();
    for (number, op) in history.iter().enumerate().filter(|(_, op)| op.kind == "ok" && op.name == "read") {
        let number_of = |field: &str| op.value.get(field).and_then(Value::as_i64);
        let place = format!("operation {number} of {}", op.process);
        if let (Some(partition), Some(sequence)) = (number_of("partition"), number_of("sequence")) {
            let last = batches.entry((op.process.clone(), partition)).or_default();
            if sequence < *last {
                let text = format!("partition {partition} was read at batch {sequence}, after batch {last}");
                faults.add(Invariant::Forward, place.clone(), text);
            }
            *last = (*last).max(sequence);
        }
        let (pool, id) = (text(&op.value, "pool").to_owned(), text(&op.value, "id").to_owned());
        let before = seen.entry((op.process.clone(), pool.clone(), id.clone())).or_default();
        if let Some(fault) = go_on(before, text(&op.value, "state"), &number_of) {
            faults.add(Invariant::Forward, place, format!("{pool}/{id} {fault}"));
        }
    }
}

/// Takes in what is seen now; says what went back.
fn go_on(before: &mut Seen, state: &str, number_of: &dyn Fn(&str) -> Option<i64>) -> Option<String> {
    if state.is_empty() {
        return before.is_there.then(|| "was there, and is not any more".to_owned());
    }
    let now = (number_of("generation").unwrap_or(0), number_of("attempt").unwrap_or(0));
    let last = (before.generation, before.attempt);
    before.is_there = true;
    if now < last {
        return Some(format!("went back from generation and attempt {last:?} to {now:?}"));
    }
    if now.0 > last.0 {
        before.ended = None;
    }
    (before.generation, before.attempt) = now;
    match &before.ended {
        Some(ended) if ended != state => Some(format!("was {ended} and is {state}")),
        Some(_) => None,
        None => {
            before.ended = TERMINAL.contains(&state).then(|| state.to_owned());
            None
        }
    }
}

/// Record by record.
pub(crate) fn check_same(one: &Topics, other: &Topics, faults: &mut Faults) {
    for ((name, one), (_, other)) in one.all().into_iter().zip(other.all()) {
        let differs = one.iter().zip(other).find(|(one, other)| one != other).map(|(one, _)| one);
        let longer = if one.len() > other.len() { one.get(other.len()) } else { other.get(one.len()) };
        if let Some(raw) = differs.or(longer) {
            let text = format!("two readers of {name} don't see the same from here on");
            faults.add(Invariant::SameAssignments, Raw::place(raw), text);
        }
    }
}
