//! Nothing that came in is lost: each command is answered, each bad record put aside, each batch follows the last.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Event, Name, Raw, Report, Topics, text};

type Place = (String, i32, i64);

pub(super) fn check_inputs(
    topics: &Topics,
    events: &[Event<'_>],
    report: &mut Report,
    faults: &mut Vec<String>,
) {
    let buried = check_dead_letters(topics, report, faults);
    check_submits(topics, events, &buried, report, faults);
    check_bad(topics, &buried, faults);
    check_batches(topics, events, report, faults);
}

/// Each dead letter of a record names one that exists, and no record has two.
fn check_dead_letters(topics: &Topics, report: &mut Report, faults: &mut Vec<String>) -> BTreeSet<Place> {
    let inputs: BTreeMap<Place, &Raw> =
        topics.tasks.iter().chain(&topics.status).map(|raw| (place(raw), raw)).collect();
    let mut buried = BTreeSet::new();
    for raw in &topics.dead_letter {
        // A task that has FAILED lies here too: it has no place of origin.
        let Some(origin) = origin(raw) else {
            if raw.json().is_none_or(|json| text(&json, "type") != "ended") {
                faults.push(format!("{} names no record and is no task: {:?}", raw.place(), raw.headers));
            }
            continue;
        };
        report.dead_letters += 1;
        match inputs.get(&origin) {
            None => faults.push(format!("{} names {origin:?}, which is not there", raw.place())),
            Some(input) => check_copy(raw, input, faults),
        }
        if !buried.insert(origin.clone()) {
            faults.push(format!("{origin:?} became two dead letters"));
        }
    }
    buried
}

/// Original key and bytes; a long value may be cut.
fn check_copy(raw: &Raw, input: &Raw, faults: &mut Vec<String>) {
    let (copy, whole) =
        (raw.value.as_deref().unwrap_or_default(), input.value.as_deref().unwrap_or_default());
    if !whole.starts_with(copy) || (copy.len() < whole.len() && whole.len() < 64 * 1024) {
        faults.push(format!("{} does not carry the bytes of {}", raw.place(), input.place()));
    }
    if raw.key.as_deref().unwrap_or_default() != input.key.as_deref().unwrap_or_default() {
        faults.push(format!("{} does not carry the key of {}", raw.place(), input.place()));
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
    faults: &mut Vec<String>,
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
                faults.push(format!(
                    "{}/{} was neither accepted nor refused ({})",
                    name.0,
                    name.1,
                    raw.place()
                ));
            }
            submitted.insert(name);
        }
    }
    for (pool, id) in accepted.difference(&submitted) {
        faults.push(format!("{pool}/{id} was accepted, but nobody submitted it"));
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
fn check_bad(topics: &Topics, buried: &BTreeSet<Place>, faults: &mut Vec<String>) {
    for raw in topics.tasks.iter().chain(&topics.status) {
        let good = raw.json().is_some_and(|json| json.get("v") == Some(&Value::from(1)));
        if !good && !buried.contains(&place(raw)) {
            faults.push(format!("{} is bad and no dead letter", raw.place()));
        }
    }
}

/// Per partition: numbers without a gap, and each batch takes on where the last one stopped, up to the very end.
fn check_batches(topics: &Topics, events: &[Event<'_>], report: &mut Report, faults: &mut Vec<String>) {
    let mut last: BTreeMap<i64, (i64, i64, i64)> = BTreeMap::new();
    for event in events.iter().filter(|event| event.text("type") == "batch") {
        report.batches += 1;
        let (Some(partition), Some(sequence)) = (event.number("partition"), event.number("sequence")) else {
            faults.push(format!("{} has no partition or sequence", event.raw.place()));
            continue;
        };
        let (tasks, status) = (range(event, "tasks"), range(event, "status"));
        if let Some((before, tasks_to, status_to)) = last.insert(partition, (sequence, tasks.1, status.1))
            && (sequence, tasks.0, status.0) != (before + 1, tasks_to, status_to)
        {
            faults.push(format!(
                "batch {sequence} of partition {partition} takes from {} and {}, but batch {before} stopped at \
                 {tasks_to} and {status_to} ({})",
                tasks.0,
                status.0,
                event.raw.place()
            ));
        }
    }
    for (raw, is_task) in
        topics.tasks.iter().map(|raw| (raw, true)).chain(topics.status.iter().map(|raw| (raw, false)))
    {
        let taken = last.get(&i64::from(raw.partition)).map_or(0, |end| if is_task { end.1 } else { end.2 });
        // Statuses go on after the run's end; commands don't.
        if is_task && raw.offset >= taken {
            faults.push(format!("{} was never taken", raw.place()));
        }
    }
}

fn range(event: &Event<'_>, input: &str) -> (i64, i64) {
    let bound = |name: &str| event.json.get(input).and_then(|range| range.get(name)).and_then(Value::as_i64);
    (bound("from").unwrap_or(-1), bound("to").unwrap_or(-1))
}
