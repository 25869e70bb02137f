//! Nothing that came in is lost: each command is answered, each bad record put aside, once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Report;
use crate::event::{Event, Name};
use crate::record::{Raw, Topics, text};
use crate::violation::{Faults, Invariant};

type Place = (String, i32, i64);

pub(crate) fn check_inputs(topics: &Topics, events: &[Event<'_>], report: &mut Report, faults: &mut Faults) {
    let buried = check_dead_letters(topics, report, faults);
    check_submits(topics, events, &buried, report, faults);
    check_bad(topics, &buried, faults);
}

/// Each dead letter of a record names one that exists, and no record has two.
fn check_dead_letters(topics: &Topics, report: &mut Report, faults: &mut Faults) -> BTreeSet<Place> {
    let inputs: BTreeMap<Place, &Raw> =
        topics.tasks.iter().chain(&topics.status).map(|raw| (place(raw), raw)).collect();
    let mut buried = BTreeSet::new();
    for raw in &topics.dead_letter {
        // A task that has FAILED lies here too: it has no place of origin.
        let Some(origin) = origin(raw) else {
            if raw.json().is_none_or(|json| text(&json, "type") != "ended") {
                let text = format!("a dead letter names no record and is no task: {:?}", raw.headers);
                faults.add(Invariant::Counted, raw.place(), text);
            }
            continue;
        };
        report.dead_letters += 1;
        match inputs.get(&origin) {
            None => {
                let text = format!("a dead letter names {origin:?}, which is not there");
                faults.add(Invariant::Counted, raw.place(), text);
            }
            Some(input) => check_copy(raw, input, faults),
        }
        if !buried.insert(origin.clone()) {
            let text = format!("{origin:?} became two dead letters");
            faults.add(Invariant::Counted, raw.place(), text);
        }
    }
    buried
}

/// Original key and bytes; a long value may be cut.
fn check_copy(raw: &Raw, input: &Raw, faults: &mut Faults) {
    let (copy, whole) =
        (raw.value.as_deref().unwrap_or_default(), input.value.as_deref().unwrap_or_default());
    if !whole.starts_with(copy) || (copy.len() < whole.len() && whole.len() < 64 * 1024) {
        let text = format!("a dead letter does not carry the bytes of {}", input.place());
        faults.add(Invariant::Counted, raw.place(), text);
    }
    if raw.key.as_deref().unwrap_or_default() != input.key.as_deref().unwrap_or_default() {
        let text = format!("a dead letter does not carry the key of {}", input.place());
        faults.add(Invariant::Counted, raw.place(), text);
    }
}

fn place(raw: &Raw) -> Place {
    (raw.topic.clone(), raw.partition, raw.offset)
}

fn origin(raw: &Raw) -> Option<Place> {
    let header = |end: &str| raw.headers.iter().find(|(name, _)| name.ends_with(end)).map(|(_, value)| value);
    Some((header("topic")?.clone(), header("partition")?.parse().ok()?, header("offset")?.parse().ok()?))
}

/// Every task that a readable command names was accepted or refused.
fn check_submits(
    topics: &Topics,
    events: &[Event<'_>],
    buried: &BTreeSet<Place>,
    report: &mut Report,
    faults: &mut Faults,
) {
    let mut accepted: BTreeSet<Name> = BTreeSet::new();
    let mut refused: BTreeSet<Name> = BTreeSet::new();
    let mut answered: BTreeSet<String> = BTreeSet::new();
    for event in events {
        match event.text("type") {
            "accepted" => drop(accepted.insert(event.name())),
            "refused" => {
                report.refused += 1;
                refused.insert(event.name());
                answered.insert(event.text("request_id").to_owned());
            }
            _ => {}
        }
    }
    let mut submitted = BTreeSet::new();
    for raw in topics.tasks.iter().filter(|raw| !buried.contains(&place(raw))) {
        let Some(json) = raw.json() else { continue };
        let request = text(&json, "request_id").to_owned();
        for name in named(&json) {
            let known = accepted.contains(&name) || refused.contains(&name);
            if !known && (request.is_empty() || !answered.contains(&request)) {
                let text = format!("{}/{} was neither accepted nor refused", name.0, name.1);
                faults.add(Invariant::Kept, raw.place(), text);
            }
            submitted.insert(name);
        }
    }
    for (pool, id) in accepted.difference(&submitted) {
        let text = format!("{pool}/{id} was accepted, but nobody submitted it");
        faults.add(Invariant::Kept, "events", text);
    }
    report.submitted = submitted.len();
}

/// The tasks that a submit names.
fn named(json: &Value) -> Vec<Name> {
    let top = text(json, "pool");
    let one = json.get("task").filter(|_| text(json, "type") == "submit").into_iter();
    let many = json.get("tasks").and_then(Value::as_array).into_iter().flatten();
    one.chain(many.filter(|_| text(json, "type") == "submit_many"))
        .filter_map(|task| {
            let pool = if top.is_empty() { text(task, "pool") } else { top };
            let id = text(task, "id");
            (!id.is_empty()).then(|| (pool.to_owned(), id.to_owned()))
        })
        .collect()
}

/// What is no JSON object with a version that is known must be a dead letter.
fn check_bad(topics: &Topics, buried: &BTreeSet<Place>, faults: &mut Faults) {
    for raw in topics.tasks.iter().chain(&topics.status) {
        let good = raw.json().is_some_and(|json| json.get("v") == Some(&Value::from(1)));
        if !good && !buried.contains(&place(raw)) {
            faults.add(Invariant::Counted, raw.place(), "the record is bad and no dead letter");
        }
    }
}
