//! What workers were told against what `events` says: the same attempts, each once, to the same worker.

use std::collections::BTreeMap;

use crate::event::{Event, Name};
use crate::record::{Topics, text};
use crate::violation::{Faults, Invariant};

pub(crate) fn check_assignments(topics: &Topics, events: &[Event<'_>], faults: &mut Faults) {
    let mut told: BTreeMap<(Name, i64), String> = BTreeMap::new();
    let mut tokens: BTreeMap<String, (Name, i64)> = BTreeMap::new();
    let mut last_seq: BTreeMap<(String, String), i64> = BTreeMap::new();
    for raw in &topics.assign {
        let Some(json) = raw.json() else {
            faults.add(Invariant::SameAssignments, raw.place(), "a message is not JSON");
            continue;
        };
        let incarnation = text(&json, "incarnation").to_owned();
        let seq = json.get("seq").and_then(serde_json::Value::as_i64).unwrap_or(-1);
        if seq > 0 {
            let last = last_seq.entry((raw.topic.clone(), incarnation.clone())).or_default();
            if seq != *last + 1 {
                let text = format!("seq {seq} follows {last}");
                faults.add(Invariant::SameAssignments, raw.place(), text);
            }
            *last = seq;
        }
        if text(&json, "type") != "assign" {
            continue;
        }
        let name = (text(&json, "pool").to_owned(), text(&json, "task").to_owned());
        let attempt = json.get("attempt").and_then(serde_json::Value::as_i64).unwrap_or(-1);
        let holder = format!("{} {incarnation}", text(&json, "worker"));
        let token = text(&json, "token").to_owned();
        if let Some(other) = tokens.insert(token, (name.clone(), attempt)).filter(|other| other.0 != name) {
            let text = format!("{}/{} and {}/{} have the same token", name.0, name.1, other.0.0, other.0.1);
            faults.add(Invariant::OneAttempt, raw.place(), text);
        }
        if let Some(other) = told.insert((name.clone(), attempt), holder.clone()) {
            let text = format!(
                "{}/{} attempt {attempt} was assigned twice: to {other} and to {holder}",
                name.0, name.1
            );
            faults.add(Invariant::SameAssignments, raw.place(), text);
        }
    }
    compare(told, events, faults);
}

fn compare(mut told: BTreeMap<(Name, i64), String>, events: &[Event<'_>], faults: &mut Faults) {
    for event in events.iter().filter(|event| event.text("type") == "assigned") {
        let ((pool, id), attempt) = event.attempt();
        let holder = format!("{} {}", event.text("worker"), event.text("incarnation"));
        let text = match told.remove(&((pool.clone(), id.clone()), attempt)) {
            Some(other) if other == holder => continue,
            Some(other) => {
                format!("{pool}/{id} attempt {attempt}: assigned to {other}, opened for {holder}")
            }
            None => format!("{pool}/{id} attempt {attempt} was opened, but {holder} was not told"),
        };
        faults.add(Invariant::SameAssignments, event.raw.place(), text);
    }
    for ((name, attempt), holder) in told {
        let text =
            format!("{}/{} attempt {attempt} was assigned to {holder}, but never opened", name.0, name.1);
        faults.add(Invariant::SameAssignments, "events", text);
    }
}
