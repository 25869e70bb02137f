//! An independent judge of a run: reads every topic to its end and decides whether each promise was kept.
//!
//! **Invariant:** shares no code with the program: only rdkafka, `serde_json` and the standard library, and the words of
//! `docs/protocol.md`.

mod assigned;
mod inputs;
mod lives;
mod read;
mod teeth;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

pub(crate) use read::{end_offsets, read_all};
use serde_json::Value;

/// One record as it lies on a topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raw {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Raw {
    /// The value as JSON; `None` for anything else.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.value.as_deref()?).ok()
    }

    /// Where it lies, for a person.
    pub(crate) fn place(&self) -> String {
        format!("{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

/// All committed records of a namespace, each topic in the order of partition and offset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topics {
    pub(crate) tasks: Vec<Raw>,
    pub(crate) status: Vec<Raw>,
    pub(crate) assign: Vec<Raw>,
    pub(crate) events: Vec<Raw>,
    pub(crate) dead_letter: Vec<Raw>,
}

/// `pool/id`.
pub(crate) type Name = (String, String);

/// What was counted in a run without a fault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Distinct tasks that commands named and that could be read.
    pub(crate) submitted: usize,
    /// Distinct tasks taken in.
    pub(crate) accepted: usize,
    /// `refused` events.
    pub(crate) refused: usize,
    /// Terminal tasks by state.
    pub(crate) ended: BTreeMap<String, usize>,
    /// Attempts that were opened.
    pub(crate) attempts: usize,
    /// Attempts that ended without ending their task, by outcome.
    pub(crate) closed: BTreeMap<String, usize>,
    /// Input records that became dead letters.
    pub(crate) dead_letters: usize,
    /// Batches.
    pub(crate) batches: usize,
}

impl Report {
    /// Tasks that ended in this state.
    pub(crate) fn ended_as(&self, state: &str) -> usize {
        self.ended.get(state).copied().unwrap_or(0)
    }
}

/// Decides.
///
/// # Errors
/// Each fault in a sentence of its own. A run in which nothing happened is at fault too.
pub(crate) fn check(topics: &Topics) -> Result<Report, Vec<String>> {
    let mut faults = Vec::new();
    let events = parse_events(topics, &mut faults);
    let mut report = Report::default();
    lives::check_lives(&events, &mut report, &mut faults);
    assigned::check_assignments(topics, &events, &mut faults);
    inputs::check_inputs(topics, &events, &mut report, &mut faults);
    if report.accepted + report.refused + report.dead_letters == 0 {
        faults.push("the run is empty: nothing was accepted, refused or put aside".to_owned());
    }
    let sum: usize = report.ended.values().sum();
    if sum != report.accepted {
        faults.push(format!("{} tasks were accepted, {sum} have ended", report.accepted));
    }
    if faults.is_empty() { Ok(report) } else { Err(faults) }
}

/// [`check`], with the faults as one text: at most 40 of them.
pub(crate) fn must_be_clean(topics: &Topics) -> Report {
    check(topics).unwrap_or_else(|faults| {
        let mut text = format!("the checker found {} faults:", faults.len());
        for fault in faults.iter().take(40) {
            write!(text, "\n  {fault}").unwrap();
        }
        panic!("{text}")
    })
}

/// An event, parsed.
pub(crate) struct Event<'a> {
    pub(crate) raw: &'a Raw,
    pub(crate) json: Value,
}

impl Event<'_> {
    pub(crate) fn text(&self, field: &str) -> &str {
        text(&self.json, field)
    }

    pub(crate) fn number(&self, field: &str) -> Option<i64> {
        self.json.get(field)?.as_i64()
    }

    /// The task that it is about.
    pub(crate) fn name(&self) -> Name {
        (self.text("pool").to_owned(), self.text("id").to_owned())
    }

    /// Task, attempt.
    pub(crate) fn attempt(&self) -> (Name, i64) {
        (self.name(), self.number("attempt").unwrap_or(-1))
    }
}

/// A field that is a string; empty if it isn't.
pub(crate) fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn parse_events<'a>(topics: &'a Topics, faults: &mut Vec<String>) -> Vec<Event<'a>> {
    let mut home: BTreeMap<String, i32> = BTreeMap::new();
    let mut split = BTreeSet::new();
    let mut events = Vec::with_capacity(topics.events.len());
    for raw in &topics.events {
        let Some(json) = raw.json() else {
            faults.push(format!("{} is not JSON", raw.place()));
            continue;
        };
        let event = Event { raw, json };
        let pool = event.text("pool").to_owned();
        let first = *home.entry(pool.clone()).or_insert(raw.partition);
        if !pool.is_empty() && first != raw.partition && split.insert(pool.clone()) {
            faults.push(format!("pool {pool} has events on partitions {first} and {}", raw.partition));
        }
        events.push(event);
    }
    events
}
