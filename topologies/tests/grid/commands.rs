//! Commands of submitters and operators, each with its exact effects.

use yardmaster_topologies::event::Action;
use yardmaster_topologies::id::{JobId, Priority};
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::task::{Retry, TaskSpec};
use yardmaster_topologies::time::Millis;

use crate::world::{World, completed, failed, given, id, in_job, name, only, settings, task, words};

fn cancel(task: &str) -> Action {
    Action::CancelTask { id: id(task), note: String::new() }
}

#[test]
fn a_task_is_taken_and_the_same_again_changes_nothing() {
    let mut world = World::new();
    assert_eq!(words(&world.submit(vec![task("t")])), ["accepted t QUEUED"]);
    assert_eq!(words(&world.submit(vec![task("t")])), ["count repeated submit", "accepted t QUEUED again"]);
    let other = TaskSpec { priority: Priority(3), ..task("t") };
    assert_eq!(words(&world.submit(vec![other])), ["refused submit conflict"]);
}

#[test]
fn higher_priority_first_then_first_in_first_out_over_queues_and_jobs() {
    let mut world = World::new();
    let urgent = TaskSpec { priority: Priority(5), ..task("urgent") };
    world.submit(vec![in_job("a", "j2"), task("b"), in_job("c", "j1"), urgent]);
    let order: Vec<_> =
        given(&world.join("w", 9)).into_iter().map(|(_, attempt)| attempt.task.to_string()).collect();
    assert_eq!(order, ["urgent", "a", "b", "c"]);
}

#[test]
fn a_queued_task_is_cancelled_at_once() {
    let mut world = World::new();
    world.submit(vec![task("t")]);
    assert_eq!(words(&world.command(cancel("t"))), ["ended t CANCELLED task_cancelled"]);
    assert_eq!(words(&world.command(cancel("t"))), ["count repeated cancel"]);
    assert_eq!(words(&world.command(cancel("u"))), ["refused cancel unknown_task"]);
    assert!(given(&world.join("w", 1)).is_empty());
}

#[test]
fn a_running_task_is_cancelled_when_its_worker_says_so_or_the_grace_is_over() {
    let mut world = World::new();
    world.join("w", 2);
    let effects = world.submit(vec![task("a"), task("b")]);
    let attempts = given(&effects);
    assert_eq!(
        words(&world.command(cancel("a"))),
        ["state a CANCELLING task_cancelled", "w <- cancel a#1 task_cancelled"]
    );
    let said = crate::world::heartbeat(9, attempts.iter().map(|(_, attempt)| attempt.clone()).collect());
    world.status("w", said);
    let report = yardmaster_topologies::task::Report::default();
    let kind = yardmaster_topologies::event::StatusKind::Cancelled { attempt: attempts[0].1.clone(), report };
    assert_eq!(words(&world.status("w", kind)), ["ended a CANCELLED task_cancelled"]);
    world.command(cancel("b"));
    assert!(words(&world.tick(9_999)).is_empty());
    assert_eq!(words(&world.tick(1)), ["ended b CANCELLED task_cancelled"]);
    assert_eq!(words(&world.status("w", completed(attempts[1].1.clone()))), ["count duplicate terminal"]);
}

#[test]
fn a_result_that_comes_while_cancelling_is_kept() {
    let mut world = World::new();
    world.join("w", 1);
    let attempt = only(&world.submit(vec![task("t")]));
    world.command(cancel("t"));
    assert_eq!(words(&world.status("w", completed(attempt))), ["ended t COMPLETED completed"]);
    assert_eq!(words(&world.command(cancel("t"))), ["count repeated cancel"]);
}

#[test]
fn a_cancelled_job_ends_and_takes_nothing_more() {
    let mut world = World::new();
    world.submit(vec![in_job("a", "j"), in_job("b", "j"), task("c")]);
    let cancel = Action::CancelJob { job: JobId::trusted("j"), note: "enough".into() };
    assert_eq!(
        words(&world.command(cancel.clone())),
        ["ended a CANCELLED job_cancelled", "ended b CANCELLED job_cancelled"]
    );
    assert_eq!(words(&world.command(cancel)), ["count repeated cancel_job"]);
    assert_eq!(
        words(&world.submit(vec![in_job("d", "j")])),
        ["accepted d QUEUED", "ended d CANCELLED job_cancelled"]
    );
    let unknown = Action::CancelJob { job: JobId::trusted("k"), note: String::new() };
    assert_eq!(words(&world.command(unknown)), ["refused cancel unknown_job"]);
}

#[test]
fn an_ended_task_runs_again_and_its_attempts_go_on_counting() {
    let mut world = World::new();
    world.join("w", 1);
    let first = only(&world.submit(vec![task("t")]));
    let again = Action::Requeue { task: Box::new(task("t")) };
    assert_eq!(words(&world.command(again.clone())), ["refused requeue not_terminal"]);
    world.status("w", completed(first.clone()));
    let second = only(&world.command(again));
    assert_eq!(second.attempt.0, 2);
    assert_ne!(second.token, first.token);
    assert_eq!(words(&world.status("w", failed(first))), ["count fenced stale_attempt"]);
    let unknown = Action::Requeue { task: Box::new(task("u")) };
    assert_eq!(words(&world.command(unknown)), ["refused requeue unknown_task"]);
}

#[test]
fn a_failure_is_tried_again_after_a_growing_wait_until_the_limit() {
    let mut world = World::new();
    world.join("w", 1);
    let retry = Retry { max_failures: 2, ..task("t").retry };
    let first = only(&world.submit(vec![TaskSpec { retry, ..task("t") }]));
    assert_eq!(words(&world.status("w", failed(first))), ["closed t#1 FAILED failed -> SCHEDULED"]);
    assert!(words(&world.tick(499)).is_empty());
    let second = only(&world.tick(501));
    assert_eq!(second.attempt.0, 2);
    assert_eq!(words(&world.status("w", failed(second))), ["bury", "ended t FAILED failed"]);
}

#[test]
fn a_task_that_waits_too_long_expires() {
    let mut world = World::new();
    world.submit(vec![TaskSpec { queue_ttl: Some(Millis(5_000)), ..task("t") }]);
    assert!(words(&world.tick(4_999)).is_empty());
    assert_eq!(words(&world.tick(1)), ["ended t EXPIRED queue_ttl"]);
}

#[test]
fn a_reply_topic_must_be_allowed_and_known() {
    let mut world = World::new();
    let to = |topic: &str| TaskSpec { reply_to: Some(topic.into()), ..task("t") };
    assert_eq!(words(&world.submit(vec![to("elsewhere")])), ["refused submit reply_topic_unknown"]);
    assert_eq!(
        words(&world.submit(vec![to("replies.a")])),
        ["ensure reply replies.a", "refused submit reply_topic_unknown"]
    );
    world.local(yardmaster_topologies::event::Local::ReplyReady { topic: "replies.a".into() });
    world.submit(vec![to("replies.a")]);
    assert_eq!(words(&world.command(cancel("t"))), ["reply replies.a", "ended t CANCELLED task_cancelled"]);
}

#[test]
fn what_has_ended_is_forgotten_after_its_time() {
    let mut world = World::new();
    world.submit(vec![in_job("t", "j")]);
    world.command(cancel("t"));
    world.tick(60_000);
    assert_eq!(words(&world.submit(vec![task("t")])), ["accepted t QUEUED"], "the dedup window is over");
    world.tick(60_000);
    assert_eq!(
        words(&world.command(Action::CancelJob { job: JobId::trusted("j"), note: String::new() })),
        ["refused cancel unknown_job"]
    );
}

#[test]
fn the_number_of_queues_is_limited() {
    let mut world = World::new();
    let limits = yardmaster_topologies::settings::Limits { queues_max: 1, ..settings().limits };
    let settings = Settings { limits, ..settings() };
    world.local(yardmaster_topologies::event::Local::Configured(Box::new(settings)));
    world.submit(vec![task("a")]);
    let other = TaskSpec { queue: yardmaster_topologies::id::QueueName::trusted("r"), ..task("b") };
    assert_eq!(words(&world.submit(vec![other])), ["refused submit limit"]);
    assert_eq!(words(&world.submit(vec![task("c")])), ["accepted c QUEUED"]);
}

#[test]
fn a_large_payload_lies_apart_and_reaches_the_worker() {
    let mut world = World::new();
    world.join("w", 1);
    let payload = yardmaster_topologies::task::Json(format!("\"{}\"", "x".repeat(2_000)).into());
    let effects = world.submit(vec![TaskSpec { payload: Some(payload.clone()), ..task("t") }]);
    let sent = effects.iter().find_map(|effect| match effect {
        yardmaster_topologies::effect::Effect::Send {
            message: yardmaster_topologies::wire::ToWorker::Assign { work, .. },
            ..
        } => work.payload.clone(),
        _ => None,
    });
    assert_eq!(sent, Some(payload));
    let attempt = only(&effects);
    world.status("w", completed(attempt));
    world.rebuilt_is_equal();
}

#[test]
fn an_unknown_worker_can_t_be_drained() {
    let mut world = World::new();
    assert_eq!(words(&world.command(Action::Drain { worker: name("w") })), ["refused drain unknown_worker"]);
}
