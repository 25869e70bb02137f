//! Nobody acts on what was not committed: a worker that speaks of an attempt, and has its token, was told of it by a
//! batch before the one that hears it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::batches::Batch;
use crate::event::{Event, Name};
use crate::record::{Raw, Topics, text};
use crate::violation::{Faults, Invariant};

/// Where an attempt was given out: the partition and offset of its event.
type Opened = BTreeMap<(Name, i64), (i32, i64)>;

/// A status about an attempt.
struct Said<'a> {
    raw: &'a Raw,
    attempt: (Name, i64),
    token: String,
}

pub(crate) fn check_heard(topics: &Topics, events: &[Event<'_>], faults: &mut Faults) {
    let tokens = tokens(topics);
    let opened: Opened = events
        .iter()
        .filter(|event| event.text("type") == "assigned")
        .map(|event| (event.attempt(), (event.raw.partition, event.raw.offset)))
        .collect();
    let begins = begins(events);
    for said in topics.status.iter().flat_map(said) {
        // Who has no right token was told nothing: that is the fence's affair.
        if tokens.get(&said.attempt) != Some(&said.token) {
            continue;
        }
        let Some(begin) = begin_of(&begins, said.raw) else { continue };
        let at = opened.get(&said.attempt);
        // On another partition than its pool's it was only sent on, and is judged where it arrived.
        if at.is_some_and(|(partition, _)| *partition != said.raw.partition) {
            continue;
        }
        if at.is_none_or(|(_, at)| *at >= begin) {
            let ((pool, id), attempt) = said.attempt;
            let text = format!("a worker spoke of {pool}/{id} attempt {attempt} before it was given out");
            faults.add(Invariant::OneAttempt, said.raw.place(), text);
        }
    }
}

/// The token of each attempt, from the channels.
fn tokens(topics: &Topics) -> BTreeMap<(Name, i64), String> {
    let told = topics.assign.iter().filter_map(Raw::json).filter(|json| text(json, "type") == "assign");
    told.map(|json| {
        let name = (text(&json, "pool").to_owned(), text(&json, "task").to_owned());
        let attempt = json.get("attempt").and_then(Value::as_i64).unwrap_or(-1);
        ((name, attempt), text(&json, "token").to_owned())
    })
    .collect()
}

/// By partition: for each batch, up to which offset it takes statuses, and where its events begin.
fn begins(events: &[Event<'_>]) -> BTreeMap<i32, Vec<(i64, i64)>> {
    let mut found: BTreeMap<i32, Vec<(i64, i64)>> = BTreeMap::new();
    let mut begin: BTreeMap<i32, i64> = BTreeMap::new();
    for event in events {
        let partition = event.raw.partition;
        let first = *begin.entry(partition).or_insert(event.raw.offset);
        if event.text("type") == "batch" {
            begin.remove(&partition);
            if let Some(batch) = Batch::of(event) {
                found.entry(partition).or_default().push((batch.status.1, first));
            }
        }
    }
    found
}

/// Where the events begin of the batch that took this status; none if no batch did.
fn begin_of(begins: &BTreeMap<i32, Vec<(i64, i64)>>, raw: &Raw) -> Option<i64> {
    let batches = begins.get(&raw.partition)?;
    let index = batches.partition_point(|(to, _)| *to <= raw.offset);
    batches.get(index).map(|(_, begin)| *begin)
}

fn said(raw: &Raw) -> Vec<Said<'_>> {
    let Some(json) = raw.json() else { return Vec::new() };
    let pool = text(&json, "pool").to_owned();
    let of = |one: &Value| {
        let is_about_attempt = matches!(
            text(one, "type"),
            "started" | "progress" | "completed" | "failed" | "cancelled" | "rejected"
        );
        let attempt = one.get("attempt").and_then(Value::as_i64).filter(|_| is_about_attempt)?;
        let name = (pool.clone(), text(one, "task").to_owned());
        Some(Said { raw, attempt: (name, attempt), token: text(one, "token").to_owned() })
    };
    match json.get("events").and_then(Value::as_array) {
        Some(events) => events.iter().filter_map(of).collect(),
        None => of(&json).into_iter().collect(),
    }
}
