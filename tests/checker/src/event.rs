//! Events, parsed, in the order in which they were decided.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::record::{Raw, Topics, text};
use crate::violation::{Faults, Invariant};

/// Pool and id.
pub(crate) type Name = (String, String);

/// An event.
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

pub(crate) fn parse_events<'a>(topics: &'a Topics, faults: &mut Faults) -> Vec<Event<'a>> {
    let mut home: BTreeMap<String, i32> = BTreeMap::new();
    let mut split = BTreeSet::new();
    let mut events = Vec::with_capacity(topics.events.len());
    for raw in &topics.events {
        let Some(json) = raw.json() else {
            faults.add(Invariant::WholeBatches, raw.place(), "an event is not JSON");
            continue;
        };
        let event = Event { raw, json };
        let pool = event.text("pool").to_owned();
        let first = *home.entry(pool.clone()).or_insert(raw.partition);
        if !pool.is_empty() && first != raw.partition && split.insert(pool.clone()) {
            let text = format!("pool {pool} has events on partitions {first} and {}", raw.partition);
            faults.add(Invariant::OneAttempt, raw.place(), text);
        }
        events.push(event);
    }
    events
}
