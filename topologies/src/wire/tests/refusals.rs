//! Each refusal names its field.

use super::{refused, submit};
use crate::wire::{Defaults, RefusedReason, Undecodable, decode_command};

/// Asserts that a submit with these fields is refused for this field and reason, and that the detail names the field.
fn check(fields: &str, field: &str, reason: RefusedReason) {
    let (found, why, detail) = refused(&submit(fields));
    assert_eq!((found.as_str(), why), (field, reason), "{fields}: {detail}");
    assert!(detail.contains(field), "{detail}");
}

#[test]
fn fields_of_a_wrong_type_are_named() {
    for (fields, field) in [
        (r#","priority":2147483648"#, "task.priority"),
        (r#","priority":1.5"#, "task.priority"),
        (r#","queue":"a_b""#, "task.queue"),
        (r#","job":7"#, "task.job"),
        (r#","tags":[]"#, "task.tags"),
        (r#","tags":{"a b":"x"}"#, "task.tags.a b"),
        (r#","tags":{"a":1}"#, "task.tags.a"),
        (r#","command":"ls""#, "task.command"),
        (r#","command":["ls",1]"#, "task.command[1]"),
        (r#","command":["l\u0000s"]"#, "task.command[0]"),
        (r#","command":[""]"#, "task.command[0]"),
        (r#","env":{"A=B":"x"}"#, "task.env.A=B"),
        (r#","env":{"A":"\u0000"}"#, "task.env.A"),
        (r#","cwd":"a\u0000b""#, "task.cwd"),
        (r#","cwd":"""#, "task.cwd"),
        (r#","payload_ref":{"uri":"s3://x","sha256":"ABC"}"#, "task.payload_ref.sha256"),
        (r#","run_timeout_ms":0"#, "task.run_timeout_ms"),
        (r#","run_timeout_ms":2592000001"#, "task.run_timeout_ms"),
        (r#","queue_ttl_ms":-1"#, "task.queue_ttl_ms"),
        (r#","retry":{"max_failures":0}"#, "task.retry.max_failures"),
        (r#","retry":{"max_losses":1001}"#, "task.retry.max_losses"),
        (r#","retry":{"backoff_ms":9,"backoff_max_ms":8}"#, "task.retry.backoff_max_ms"),
        (r#","reply_to":"a b""#, "task.reply_to"),
    ] {
        check(fields, field, RefusedReason::Invalid);
    }
}

#[test]
fn limits_are_named() {
    let long = "x".repeat(70_000);
    check(&format!(r#","payload":"{long}""#), "task.payload", RefusedReason::Limit);
    check(&format!(r#","env":{{"A":"{long}"}}"#), "task.env", RefusedReason::Limit);
    let words = vec!["\"x\""; 1_001].join(",");
    check(&format!(r#","command":[{words}]"#), "task.command", RefusedReason::Limit);
    let tags: Vec<String> = (0..17).map(|i| format!(r#""k{i}":"v""#)).collect();
    check(&format!(r#","tags":{{{}}}"#, tags.join(",")), "task.tags", RefusedReason::Limit);
    check(&format!(r#","tags":{{"a":"{}"}}"#, "v".repeat(129)), "task.tags.a", RefusedReason::Limit);
    let (_, _, detail) = refused(&submit(&format!(r#","payload":"{long}""#)));
    assert!(detail.contains("payload_ref"), "the way out is named: {detail}");
}

#[test]
fn fields_that_are_not_understood_are_refused_by_name() {
    for field in ["not_before", "deadline", "depends_on", "resources", "affinity"] {
        let fields = format!(r#","{field}":1"#);
        check(&fields, &format!("task.{field}"), RefusedReason::UnsupportedField);
        assert!(refused(&submit(&fields)).2.ends_with("is not supported yet"));
    }
    check(r#","prioritty":1"#, "task.prioritty", RefusedReason::UnknownField);
    check(r#","retry":{"tries":1}"#, "task.retry.tries", RefusedReason::UnknownField);
    let (field, reason, _) = refused(r#"{"v":1,"type":"drain","pool":"p","worker":"w","x":1}"#);
    assert_eq!((field.as_str(), reason), ("x", RefusedReason::UnknownField));
}

#[test]
fn types_that_are_not_understood_are_refused_by_name() {
    for kind in ["hold", "release", "pause", "resume", "reprioritise", "set_queue", "submit_array"] {
        let (field, reason, detail) =
            refused(&format!(r#"{{"v":1,"type":"{kind}","pool":"p","queue":"q"}}"#));
        assert_eq!((field.as_str(), reason), ("type", RefusedReason::UnsupportedType));
        assert!(detail.contains(kind), "{detail}");
    }
    let (_, reason, detail) = refused(r#"{"v":1,"type":"explode","pool":"p"}"#);
    assert_eq!(reason, RefusedReason::UnknownType);
    assert!(detail.contains("explode"), "{detail}");
}

#[test]
fn keys_that_stand_twice_are_refused() {
    check(r#","priority":1,"priority":2"#, "task.priority", RefusedReason::DuplicateKey);
    check(r#","tags":{"a":"1","a":"2"}"#, "task.tags.a", RefusedReason::DuplicateKey);
    let (field, reason, _) = refused(r#"{"v":1,"type":"drain","pool":"p","worker":"a","worker":"b"}"#);
    assert_eq!((field.as_str(), reason), ("worker", RefusedReason::DuplicateKey));
}

#[test]
fn one_bad_task_of_many_refuses_all_and_is_named_by_its_index() {
    let many =
        |tasks: &str| refused(&format!(r#"{{"v":1,"type":"submit_many","pool":"p","tasks":[{tasks}]}}"#));
    let (field, reason, _) = many(r#"{"id":"a"},{"id":"b","priority":"x"}"#);
    assert_eq!((field.as_str(), reason), ("tasks[1].priority", RefusedReason::Invalid));
    let (field, reason, _) = many(r#"{"id":"a"},{"id":"a"}"#);
    assert_eq!((field.as_str(), reason), ("tasks[1].id", RefusedReason::DuplicateInBatch));
    let (field, _, _) = many(r#"{"id":"a"},{"id":"b","pool":"other"}"#);
    assert_eq!(field, "tasks[1].pool");
    let (field, reason, _) = many(r#"{"pool":"p"}"#);
    assert_eq!((field.as_str(), reason), ("tasks[0].id", RefusedReason::Missing));
    assert_eq!(many("").0, "tasks");
}

#[test]
fn a_refusal_carries_what_the_sender_needs() {
    let text =
        r#"{"v":1,"type":"requeue","request_id":"r-9","pool":"p","task":{"id":"t","job":"j","zzz":1}}"#;
    let Err(Undecodable::Refused { pool, request_id, refusal }) =
        decode_command(text.as_bytes(), &Defaults::default())
    else {
        panic!("not refused");
    };
    assert_eq!(pool.as_str(), "p");
    assert_eq!(request_id.unwrap().as_str(), "r-9");
    assert_eq!(refusal.action, "requeue");
    assert_eq!(refusal.id.unwrap().as_str(), "t");
    assert_eq!(refusal.job.unwrap().as_str(), "j");
}

#[test]
fn a_cancel_names_exactly_one_thing() {
    assert_eq!(refused(r#"{"v":1,"type":"cancel","pool":"p"}"#).1, RefusedReason::Missing);
    assert_eq!(refused(r#"{"v":1,"type":"cancel","pool":"p","id":"a","job":"b"}"#).0, "job");
}

#[test]
fn a_default_gives_way_to_what_was_given() {
    let text = submit(r#","retry":{"backoff_ms":600000}"#);
    let command = decode_command(text.as_bytes(), &Defaults::default()).unwrap();
    let crate::event::Action::Submit { tasks } = command.action else { panic!("a submit") };
    assert_eq!(tasks[0].retry.backoff_max.0, 600_000);
    assert_eq!(tasks[0].queue.as_str(), "default");
}

#[test]
fn a_task_that_could_not_be_sent_on_is_refused() {
    // Below the limit of a record: its assignment or its end would be above what a worker reads.
    let word = format!("\"{}\"", "x".repeat(600));
    let words = vec![word; 900].join(",");
    let (field, reason, detail) = refused(&submit(&format!(r#","command":[{words}]"#)));
    assert_eq!((field.as_str(), reason), ("task", RefusedReason::Limit));
    assert!(detail.contains("524288") && detail.contains("payload_ref"), "{detail}");
    let many =
        format!(r#"{{"v":1,"type":"submit_many","pool":"p","tasks":[{{"id":"a","command":[{words}]}}]}}"#);
    assert_eq!(refused(&many).0, "tasks[0]");
}

#[test]
fn a_refusal_is_short_whatever_was_sent() {
    let (field, reason, detail) = refused(&submit(&format!(r#","{}":1"#, "x".repeat(500_000))));
    assert_eq!(reason, RefusedReason::UnknownField);
    assert!(field.len() <= 1_024 && detail.len() <= 2_048, "{} {}", field.len(), detail.len());
}
