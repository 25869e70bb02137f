//! What HTTP shows against what the events say: the state of each task, and every number by state.

use serde_json::Value;

use crate::Report;
use crate::record::text;
use crate::states::{Counts, States};
use crate::violation::{Faults, Invariant};

/// An answer from the end of a run, when nothing changes any more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// What was asked for.
    pub path: String,
    /// The JSON of it.
    pub body: Value,
}

pub(crate) fn check_answers(answers: &[Answer], states: &States, report: &mut Report, faults: &mut Faults) {
    for answer in answers {
        check_value(&answer.body, &answer.path, states, report, faults);
    }
}

/// Anything that shows a task or counts by state, however deep it lies.
fn check_value(value: &Value, path: &str, states: &States, report: &mut Report, faults: &mut Faults) {
    if value.get("counts").is_some_and(Value::is_object) {
        check_counts(value, path, states, report, faults);
    }
    if value.get("source").is_some() && value.get("state").is_some() {
        report.numbers_compared += 1;
        let (pool, id, shown) = (text(value, "pool"), text(value, "id"), text(value, "state"));
        let told = states.of(pool, id).unwrap_or("unknown");
        if shown != told {
            let text = format!("{pool}/{id} is shown as {shown}, by the events it is {told}");
            faults.add(Invariant::SameState, path, text);
        }
    }
    let inner = value.as_object().into_iter().flat_map(|fields| fields.values());
    for inner in inner.chain(value.as_array().into_iter().flatten()) {
        check_value(inner, path, states, report, faults);
    }
}

fn check_counts(value: &Value, path: &str, states: &States, report: &mut Report, faults: &mut Faults) {
    let (pool, queue, job) = (text(value, "pool"), text(value, "queue"), text(value, "job"));
    let (whose, told) = match (queue, job) {
        // Tags are in no event but the first.
        ("", "") if value.get("name").is_some() => return,
        ("", "") => (format!("pool {pool}"), states.in_pool(pool)),
        ("", job) => (format!("job {pool}/{job}"), states.in_job(pool, job)),
        (queue, _) => (format!("queue {queue} of {pool}"), states.in_queue(pool, queue)),
    };
    let fields = value.get("counts").and_then(Value::as_object).into_iter().flatten();
    let shown: Counts = fields
        .map(|(state, number)| (state.clone(), number.as_u64().unwrap_or_default()))
        .filter(|(_, number)| *number > 0)
        .collect();
    report.numbers_compared += 1;
    if shown != told {
        let text = format!("{whose} shows {shown:?}, by the events it is {told:?}");
        faults.add(Invariant::SameState, path, text);
    }
}
