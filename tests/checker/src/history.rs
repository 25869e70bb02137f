//! What clients did, what was broken, and when nothing was.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Evidence;
use crate::event::Event;
use crate::record::text;
use crate::violation::{Faults, Invariant};

/// One line of a history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Op {
    /// When, in milliseconds since the run began.
    pub at_ms: u64,
    /// Who.
    pub process: String,
    /// `invoke`, then `ok`, `fail`, or `info` when nobody knows.
    pub kind: String,
    /// What.
    pub name: String,
    /// With what, or what came of it.
    pub value: Value,
}

/// A fault, and whether it can be seen that it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultTrace {
    /// What it was.
    pub name: String,
    /// A line in a log, an exit code, a count of the proxy.
    pub left_trace: bool,
}

/// A time without faults, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietWindow {
    /// Its begin.
    pub from_ms: i64,
    /// Its end.
    pub to_ms: i64,
}

/// Reads a history, a line of JSON for each operation: `at_ms`, `process`, `type`, `f`, `value`.
///
/// # Errors
/// The number of the first line that is none.
pub fn parse_history(lines: &str) -> Result<Vec<Op>, String> {
    let parse = |(index, line): (usize, &str)| {
        let json: Value =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", index + 1))?;
        Ok(Op {
            at_ms: json.get("at_ms").and_then(Value::as_u64).unwrap_or_default(),
            process: text(&json, "process").to_owned(),
            kind: text(&json, "type").to_owned(),
            name: text(&json, "f").to_owned(),
            value: json.get("value").cloned().unwrap_or_default(),
        })
    };
    lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

/// What was acknowledged lies on the topic, and was accepted or refused.
pub(crate) fn check_acknowledged(evidence: &Evidence, events: &[Event<'_>], faults: &mut Faults) {
    let over_http = evidence.history.iter().filter(|op| op.kind == "ok" && op.name == "submit");
    let over_http =
        over_http.map(|op| (text(&op.value, "pool").to_owned(), text(&op.value, "id").to_owned()));
    let mut acknowledged: BTreeSet<(String, String)> = evidence.acknowledged.clone();
    acknowledged.extend(over_http.filter(|(_, id)| !id.is_empty()));
    let decided: BTreeSet<(String, String)> = events
        .iter()
        .filter(|event| matches!(event.text("type"), "accepted" | "refused"))
        .map(Event::name)
        .collect();
    for (pool, id) in acknowledged.difference(&decided) {
        let text = format!("{pool}/{id} was acknowledged, and neither accepted nor refused");
        faults.add(Invariant::Kept, "history", text);
    }
}

/// In each quiet window some task came in and ended.
pub(crate) fn check_quiet(quiet: &[QuietWindow], events: &[Event<'_>], faults: &mut Faults) {
    for window in quiet {
        let is_inside = |event: &&Event<'_>| {
            event.number("at_ms").is_some_and(|at| (window.from_ms..window.to_ms).contains(&at))
        };
        let mut came: BTreeMap<(String, String), ()> = BTreeMap::new();
        let mut is_alive = false;
        for event in events.iter().filter(is_inside) {
            match event.text("type") {
                "accepted" => drop(came.insert(event.name(), ())),
                "ended" => is_alive |= came.contains_key(&event.name()),
                _ => {}
            }
        }
        if !is_alive {
            let text = "no task came in and ended while nothing was broken";
            faults.add(Invariant::Alive, format!("{} to {}", window.from_ms, window.to_ms), text);
        }
    }
}
