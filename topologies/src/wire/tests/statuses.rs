//! What is special about statuses: forgiving where a completion could be lost.

use crate::event::StatusKind;
use crate::wire::{BadReason, Defaults, Undecodable, decode_status};

fn one(text: &str) -> StatusKind {
    let mut statuses = decode_status(text.as_bytes(), &Defaults::default()).unwrap();
    assert_eq!(statuses.len(), 1);
    statuses.remove(0).kind
}

fn bad(text: &str) -> (BadReason, String) {
    match decode_status(text.as_bytes(), &Defaults::default()) {
        Err(Undecodable::Bad { reason, detail }) => (reason, detail),
        other => panic!("not bad: {other:?}"),
    }
}

/// A status about an attempt, with more fields.
fn about(kind: &str, fields: &str) -> String {
    format!(
        r#"{{"v":1,"type":"{kind}","pool":"p","worker":"w","incarnation":"i","task":"t","attempt":1,"token":"k"{fields}}}"#
    )
}

#[test]
fn fields_that_are_not_known_are_ignored() {
    let kind = one(&about("completed", r#","mood":"good","exit_code":0"#));
    assert!(matches!(kind, StatusKind::Completed { report, .. } if report.exit_code == Some(0)));
}

#[test]
fn a_result_that_is_too_large_is_dropped_and_the_completion_stays() {
    let result = "x".repeat(20_000);
    let StatusKind::Completed { report, .. } = one(&about("completed", &format!(r#","result":"{result}""#)))
    else {
        panic!("a completion");
    };
    assert_eq!(report.result, None);
    assert!(report.error_message.unwrap().contains("result_bytes_max"));
}

#[test]
fn tails_keep_their_end_and_notes_their_head() {
    let long = format!("{}é", "a".repeat(5_000));
    let fields = format!(r#","error":{{"kind":"exit","stderr_tail":"{long}"}},"stdout_tail":"a\u0000b""#);
    let StatusKind::Failed { report, .. } = one(&about("failed", &fields)) else { panic!("a failure") };
    let tail = report.stderr_tail.unwrap();
    assert!(tail.len() <= 4_096 && tail.ends_with('é'), "{}", tail.len());
    assert_eq!(report.stdout_tail.as_deref(), Some("a\u{fffd}b"));
    let StatusKind::Progress { note, .. } = one(&about("progress", &format!(r#","note":{{"a":"{long}"}}"#)))
    else {
        panic!("a note");
    };
    let note = note.unwrap();
    assert!(note.0.len() <= 1_024);
    assert!(serde_json::from_str::<String>(&note.0).unwrap().starts_with(r#"{"a":"aaa"#));
}

#[test]
fn exit_code_and_signal_may_stand_in_the_error() {
    let kind = one(&about("failed", r#","error":{"exit_code":3,"signal":null}"#));
    assert!(matches!(kind, StatusKind::Failed { report, .. } if report.exit_code == Some(3)));
}

#[test]
fn events_of_a_batch_take_their_sender_from_it() {
    let text = r#"{"v":1,"type":"batch","pool":"p","worker":"w","incarnation":"i","events":[
        {"type":"started","task":"t","attempt":1,"token":"k"},{"type":"goodbye","incarnation":"j"}]}"#;
    let statuses = decode_status(text.as_bytes(), &Defaults::default()).unwrap();
    assert_eq!(statuses.len(), 2);
    assert_eq!(statuses[0].incarnation.as_str(), "i");
    assert_eq!(statuses[1].incarnation.as_str(), "j");
}

#[test]
fn what_can_not_be_understood_is_named() {
    let (reason, detail) = bad(&about("exploded", ""));
    assert_eq!(reason, BadReason::UnknownType);
    assert!(detail.contains("exploded"));
    let (reason, detail) =
        bad(r#"{"v":1,"type":"started","pool":"p","worker":"w","incarnation":"i","task":"t"}"#);
    assert_eq!(reason, BadReason::BadField);
    assert!(detail.contains("attempt"), "{detail}");
    let (reason, detail) =
        bad(r#"{"v":1,"type":"hello","pool":"p","worker":"w","incarnation":"i","slots":5000}"#);
    assert_eq!(reason, BadReason::BadField);
    assert!(detail.contains("slots_max"), "{detail}");
    assert_eq!(bad(r#"{"v":1,"type":"goodbye","worker":"w","incarnation":"i"}"#).0, BadReason::NoPool);
    assert_eq!(
        bad(r#"{"v":1,"type":"batch","pool":"p","events":[{"type":"batch","events":[]}]}"#).0,
        BadReason::UnknownType
    );
    let two = r#"{"v":1,"type":"batch","worker":"w","incarnation":"i","events":[{"type":"goodbye","pool":"a"},{"type":"goodbye","pool":"b"}]}"#;
    assert_eq!(bad(two).0, BadReason::BadPool);
}

#[test]
fn a_field_that_can_t_be_read_does_not_cost_the_completion() {
    let fields = r#","started_at_ms":1.5,"ended_at_ms":7,"exit_code":"0","signal":[],"usage":{"cpu_ms":"much"},
        "result":{"pv":1},"result_ref":{"uri":"s3://x"},"error":"none","stdout_tail":3,"stderr_tail":"fine""#;
    let StatusKind::Completed { report, .. } = one(&about("completed", fields)) else {
        panic!("a completion")
    };
    assert_eq!((report.started_at, report.ended_at.unwrap().0), (None, 7));
    assert_eq!((report.exit_code, report.signal, report.usage, report.result_ref), (None, None, None, None));
    assert_eq!(
        (report.result.unwrap().0.as_ref(), report.stderr_tail.as_deref()),
        (r#"{"pv":1}"#, Some("fine"))
    );
    let note = report.error_message.unwrap();
    assert!(note.starts_with("left out: `error` must be an object; left out: `started_at_ms`"), "{note}");
    assert!(note.len() <= 1_024);
    assert!(
        matches!(one(&about("rejected", r#","message":5"#)), StatusKind::Rejected { message, .. } if message.is_empty())
    );
}

#[test]
fn a_note_goes_behind_what_the_worker_said() {
    let fields = format!(r#","error":{{"kind":"exit","message":"{}"}},"exit_code":1.5"#, "m".repeat(2_000));
    let StatusKind::Failed { report, .. } = one(&about("failed", &fields)) else { panic!("a failure") };
    let message = report.error_message.unwrap();
    assert!(message.len() <= 1_024 && message.starts_with("mmm"));
    assert!(message.ends_with("(left out: `exit_code` must be a whole number)"), "{message}");
}

#[test]
fn fields_that_are_not_known_are_ignored_at_any_depth() {
    let digest = "a".repeat(64);
    let fields = format!(r#","result_ref":{{"uri":"s3://x","sha256":"{digest}","etag":"7"}}"#);
    let StatusKind::Completed { report, .. } = one(&about("completed", &fields)) else {
        panic!("a completion")
    };
    assert_eq!((report.result_ref.unwrap().uri.as_str(), report.error_message), ("s3://x", None));
}
