//! What workers were told against what `events` says: the same attempts, each once, to the same worker.

use std::collections::BTreeMap;

use super::{Event, Name, Topics, text};

pub(super) fn check_assignments(topics: &Topics, events: &[Event<'_>], faults: &mut Vec<String>) {
    let mut told: BTreeMap<(Name, i64), String> = BTreeMap::new();
    let mut last_seq: BTreeMap<(String, String), i64> = BTreeMap::new();
    for raw in &topics.assign {
        let Some(json) = raw.json() else {
            faults.push(format!("{} is not JSON", raw.place()));
            continue;
        };
        let incarnation = text(&json, "incarnation").to_owned();
        let seq = json.get("seq").and_then(serde_json::Value::as_i64).unwrap_or(-1);
        if seq > 0 {
            let last = last_seq.entry((raw.topic.clone(), incarnation.clone())).or_default();
            if seq != *last + 1 {
                faults.push(format!("{}: seq {seq} follows {last}", raw.place()));
            }
            *last = seq;
        }
        if text(&json, "type") != "assign" {
            continue;
        }
        let name = (text(&json, "pool").to_owned(), text(&json, "task").to_owned());
        let attempt = json.get("attempt").and_then(serde_json::Value::as_i64).unwrap_or(-1);
        let holder = format!("{} {incarnation}", text(&json, "worker"));
        if let Some(other) = told.insert((name.clone(), attempt), holder.clone()) {
            faults.push(format!(
                "{}/{} attempt {attempt} was assigned twice: to {other} and to {holder} ({})",
                name.0,
                name.1,
                raw.place()
            ));
        }
    }
    compare(told, events, faults);
}

fn compare(mut told: BTreeMap<(Name, i64), String>, events: &[Event<'_>], faults: &mut Vec<String>) {
    for event in events.iter().filter(|event| event.text("type") == "assigned") {
        let ((pool, id), attempt) = event.attempt();
        let holder = format!("{} {}", event.text("worker"), event.text("incarnation"));
        match told.remove(&((pool.clone(), id.clone()), attempt)) {
            Some(other) if other == holder => {}
            Some(other) => faults
                .push(format!("{pool}/{id} attempt {attempt}: assigned to {other}, opened for {holder}")),
            None => {
                faults.push(format!("{pool}/{id} attempt {attempt} was opened, but {holder} was not told"))
            }
        }
    }
    for ((name, attempt), holder) in told {
        faults.push(format!(
            "{}/{} attempt {attempt} was assigned to {holder}, but never opened",
            name.0, name.1
        ));
    }
}
