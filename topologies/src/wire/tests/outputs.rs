//! What the server writes about the largest things that it takes can be read back.

use std::sync::Arc;

use super::submit;
use crate::event::{Action, AttemptRef};
use crate::id::{Attempt, Generation, Incarnation, MessageSeq, Pool, TaskId, Token, WorkerName};
use crate::task::{
    CLOSED_ATTEMPTS_MAX, ClosedAttempt, EndedTask, Json, Outcome, Reason, Report, TAILS_MAX, TaskSpec,
    TaskState,
};
use crate::time::WallMs;
use crate::wire::{
    Address, DEPTH_MAX, Defaults, Event, NOTE_BYTES_MAX, OUTPUT_BYTES_MAX, TAIL_BYTES_MAX, TASK_BYTES_MAX,
    ToWorker, Work, decode_command, decode_event, decode_to_worker, encode_event, encode_to_worker,
};

/// A task as large as a task may be; a control character takes six bytes of JSON.
fn largest() -> TaskSpec {
    let room = TASK_BYTES_MAX - 200;
    let word = format!("\"{}\"", "\\u0001".repeat(100));
    let words = vec![word.as_str(); room / (word.len() + 1)].join(",");
    let command =
        decode_command(submit(&format!(r#","command":[{words}]"#)).as_bytes(), &Defaults::default());
    let Action::Submit { mut tasks } = command.unwrap().action else { panic!("a submit") };
    tasks.remove(0)
}

fn ended(spec: TaskSpec, attempts: Vec<ClosedAttempt>) -> Event {
    let task = EndedTask {
        spec: spec.into(),
        state: TaskState::Completed,
        reason: Reason::Completed,
        note: Some("\u{1}".repeat(NOTE_BYTES_MAX)),
        generation: Generation(0),
        attempt: Attempt(20),
        failures: 19,
        losses: 0,
        submitted_at: WallMs(1),
        ended_at: WallMs(2),
        attempts,
    };
    Event::Ended { task: Arc::new(task), closes_attempt: Some(Attempt(20)) }
}

fn closed(number: usize, result: Option<Json>) -> ClosedAttempt {
    let tail = (number + TAILS_MAX >= CLOSED_ATTEMPTS_MAX).then(|| "\u{1}".repeat(TAIL_BYTES_MAX));
    let report = Report {
        result,
        error_message: Some("\u{1}".repeat(NOTE_BYTES_MAX)),
        stdout_tail: tail.clone(),
        stderr_tail: tail,
        ..Report::default()
    };
    ClosedAttempt {
        attempt: Attempt(u32::try_from(number).unwrap() + 1),
        worker: WorkerName::trusted(&"w".repeat(64)),
        incarnation: Incarnation::trusted(&"i".repeat(64)),
        assigned_at: WallMs(1),
        started_at: None,
        closed_at: WallMs(2),
        outcome: Outcome::Failed,
        reason: Reason::Failed,
        report,
    }
}

#[test]
fn the_largest_task_reaches_its_worker_and_history() {
    let spec = largest();
    let to = Address {
        pool: Pool::trusted("p"),
        worker: WorkerName::trusted("w"),
        incarnation: Incarnation::trusted("i"),
        seq: MessageSeq(1),
    };
    let attempt = AttemptRef { task: TaskId::trusted("t"), attempt: Attempt(1), token: Token::trusted("k") };
    let work = Work { command: spec.command.clone(), ..Work::default() };
    let message = ToWorker::Assign { to, attempt, work: Box::new(work) };
    assert_eq!(decode_to_worker(&encode_to_worker(&message)).unwrap(), message);
    let result = Json(format!("\"{}\"", "r".repeat(16_382)).into());
    let attempts: Vec<_> = (0..CLOSED_ATTEMPTS_MAX)
        .map(|number| closed(number, (number + 1 == CLOSED_ATTEMPTS_MAX).then(|| result.clone())))
        .collect();
    let event = ended(super::generate::filled_in(spec), attempts);
    let bytes = encode_event(&event);
    assert!(bytes.len() < OUTPUT_BYTES_MAX, "{}", bytes.len());
    assert_eq!(decode_event(&bytes).unwrap(), event);
}

#[test]
fn the_deepest_result_reaches_history() {
    let nest = DEPTH_MAX - 1;
    let result = Json(format!("{}1{}", "[".repeat(nest), "]".repeat(nest)).into());
    let mut spec = super::generate::filled_in(largest());
    spec.command.clear();
    let event = ended(spec, vec![closed(0, Some(result))]);
    assert_eq!(decode_event(&encode_event(&event)).unwrap(), event);
}

#[test]
fn a_task_of_a_newer_server_is_read_from_its_event() {
    let text = String::from_utf8(encode_event(&ended(largest(), Vec::new()))).unwrap();
    let newer = text
        .replace(r#""task":{"#, r#""task":{"colour":"red","#)
        .replace(r#""retry":{"#, r#""retry":{"x":1,"#);
    assert_ne!(newer, text);
    assert_eq!(decode_event(newer.as_bytes()).unwrap(), decode_event(text.as_bytes()).unwrap());
}

#[test]
fn a_copy_of_a_batch_record_by_an_older_server_is_read() {
    let old = br#"{"v":1,"type":"batch","at_ms":5,"partition":3,"sequence":17,"tasks":{"from":1,"to":2},"status":{"from":3,"to":4}}"#;
    let event = decode_event(old).unwrap();
    let Event::Batch { sequence: 17, log: None, .. } = &event else {
        panic!("{event:?}");
    };
    assert_eq!(encode_event(&event), old, "and written as it was");
}

#[test]
fn what_a_copy_of_a_batch_record_says_must_be_whole() {
    let copy = |more: &str| {
        let text = format!(
            r#"{{"v":1,"type":"batch","at_ms":5,"partition":3,"sequence":17,"tasks":{{"from":1,"to":2}},"status":{{"from":3,"to":4}},"clock_ms":9{more}}}"#
        );
        decode_event(text.as_bytes())
    };
    let whole = r#","rows":1,"digest":"00000000000000ff","owner_epoch":2,"code_version":1"#;
    assert!(copy(whole).is_ok());
    assert!(copy(&whole.replace("ff\"", "fg\"")).is_err());
    assert!(copy(&format!(r#"{whole},"local":"012""#)).is_err());
    assert!(copy(&whole.replace(r#""rows":1,"#, "")).is_err());
}
