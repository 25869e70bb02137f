//! What tells one submit from another: what was asked for, and nothing that a server or a client adds.

use super::submit;
use crate::event::Action;
use crate::task::TaskSpec;
use crate::time::Millis;
use crate::wire::{Defaults, counted_hash, decode_command, encode_command, spec_hash};

fn read(text: &str, defaults: &Defaults) -> (TaskSpec, String) {
    let command = decode_command(text.as_bytes(), defaults).unwrap();
    let written = String::from_utf8(encode_command(&command)).unwrap();
    let Action::Submit { mut tasks } = command.action else { panic!("a submit") };
    (tasks.remove(0), written)
}

fn hash(fields: &str) -> u64 {
    spec_hash(&read(&submit(fields), &Defaults::default()).0)
}

/// A server whose configuration was changed.
fn other_defaults() -> Defaults {
    let mut defaults = Defaults::default();
    defaults.retry.max_failures = 3;
    defaults.retry.max_losses = 4;
    defaults.retry.backoff = Millis(5);
    defaults.retry.backoff_max = Millis(6);
    defaults
}

#[test]
fn new_defaults_make_no_conflict() {
    for fields in ["", r#","retry":{}"#, r#","retry":{"max_failures":2}"#, r#","retry":{"backoff_max_ms":3}"#]
    {
        let (before, written) = read(&submit(fields), &Defaults::default());
        let (after, _) = read(&submit(fields), &other_defaults());
        assert_ne!(before.retry, after.retry, "{fields}");
        assert_eq!(spec_hash(&before), spec_hash(&after), "{fields}");
        // Also when it comes by way of a client of ours that knows other defaults.
        let (relayed, _) = read(&written, &other_defaults());
        assert_eq!(relayed, after, "{written}");
    }
}

#[test]
fn what_was_given_counts() {
    let all = [
        hash(""),
        hash(r#","retry":{"max_failures":1}"#),
        hash(r#","retry":{"max_failures":2}"#),
        hash(r#","retry":{"max_losses":1}"#),
        hash(r#","retry":{"backoff_ms":1}"#),
        hash(r#","retry":{"backoff_max_ms":1}"#),
    ];
    assert_eq!(std::collections::BTreeSet::from(all).len(), all.len());
    assert_eq!(hash(""), hash(r#","retry":null,"priority":0,"queue":"default""#));
}

#[test]
fn the_trace_of_a_submit_does_not_count() {
    let with = |env: &str| hash(&format!(r#","env":{{{env}}}"#));
    assert_eq!(with(r#""A":"1","TRACEPARENT":"x","TRACESTATE":"y""#), with(r#""A":"1""#));
    assert_eq!(with(r#""TRACEPARENT":"x""#), hash(""));
    assert_ne!(with(r#""TRACEPARENTS":"x""#), hash(""));
}

#[test]
fn white_space_in_a_payload_does_not_count() {
    let compact = hash(r#","payload":{"a b":[1,"x\\\" y"],"c":null}"#);
    assert_eq!(hash(",\"payload\":{ \"a b\" : [ 1,\t\"x\\\\\\\" y\" ],\n\"c\":null } "), compact);
    assert_ne!(hash(r#","payload":{"ab":[1,"x\\\" y"],"c":null}"#), compact, "inside a string it does");
    assert_ne!(hash(r#","payload":{"c":null,"a b":[1,"x\\\" y"]}"#), compact, "and so does the order");
    assert_ne!(hash(r#","payload":1"#), hash(""));
}

#[test]
fn a_task_is_counted_by_queue_job_and_tags() {
    let counted = |fields: &str| counted_hash(&read(&submit(fields), &Defaults::default()).0);
    assert_eq!(counted(r#","priority":3,"command":["x"]"#), counted(r#","queue":"default""#));
    let all = [
        counted(""),
        counted(r#","queue":"q""#),
        counted(r#","job":"q""#),
        counted(r#","tags":{"q":"q"}"#),
        counted(r#","tags":{"q":"r"}"#),
    ];
    assert_eq!(std::collections::BTreeSet::from(all).len(), all.len());
}
