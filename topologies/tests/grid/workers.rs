//! What workers say, each with its exact effects: handshake, leases, fences, and everything that comes late or twice.

use yardmaster_topologies::event::{Action, AttemptRef, Local, StatusKind};
use yardmaster_topologies::id::Token;
use yardmaster_topologies::task::{Retry, TaskSpec};
use yardmaster_topologies::time::Millis;

use crate::world::{World, completed, failed, given, heartbeat, hello, name, only, pool, task, words};

#[test]
fn a_worker_is_welcomed_once_its_channel_is_there() {
    let mut world = World::new();
    world.submit(vec![task("t")]);
    assert_eq!(words(&world.status("w", hello(1, vec![]))), ["ensure channel w"]);
    assert_eq!(words(&world.status("w", hello(1, vec![]))), ["count duplicate hello", "ensure channel w"]);
    let ready = Local::ChannelReady { pool: pool(), worker: name("w") };
    assert_eq!(
        words(&world.local(ready.clone())),
        ["w <- welcome", "worker_joined", "w <- assign t#1", "assigned t#1 w"]
    );
    assert!(words(&world.local(ready)).is_empty());
}

#[test]
fn a_life_in_order_and_everything_twice() {
    let mut world = World::new();
    world.join("w", 1);
    let attempt = only(&world.submit(vec![task("t")]));
    let started = StatusKind::Started { attempt: attempt.clone() };
    assert_eq!(words(&world.status("w", started.clone())), ["started t#1"]);
    assert_eq!(words(&world.status("w", started.clone())), ["count duplicate started"]);
    assert_eq!(words(&world.status("w", completed(attempt.clone()))), ["ended t COMPLETED completed"]);
    assert_eq!(words(&world.status("w", completed(attempt.clone()))), ["count duplicate terminal"]);
    assert_eq!(words(&world.status("w", started)), ["count duplicate terminal"]);
    assert_eq!(words(&world.status("w", failed(attempt))), ["count duplicate terminal"]);
}

#[test]
fn what_is_not_the_open_attempt_s_is_fenced() {
    let mut world = World::new();
    world.join("w", 1);
    world.join("v", 1);
    let attempt = only(&world.submit(vec![task("t")]));
    let holder = if world
        .status("w", completed(AttemptRef { token: Token::trusted("0"), ..attempt.clone() }))
        .iter()
        .any(|effect| words(std::slice::from_ref(effect)) == ["count fenced wrong_token"])
    {
        "w"
    } else {
        "v"
    };
    let other = if holder == "w" { "v" } else { "w" };
    assert_eq!(words(&world.status(other, completed(attempt.clone()))), ["count fenced wrong_worker"]);
    assert_eq!(
        words(&world.status_of(holder, "i0", completed(attempt.clone()))),
        ["count fenced wrong_worker"]
    );
    let later = AttemptRef { attempt: crate::world::first_attempt(2), ..attempt.clone() };
    assert_eq!(words(&world.status(holder, completed(later))), ["count fenced stale_attempt"]);
    let unknown = AttemptRef { task: crate::world::id("u"), ..attempt };
    assert_eq!(words(&world.status(holder, completed(unknown))), ["count fenced unknown"]);
}

#[test]
fn a_silent_worker_loses_its_tasks_to_the_front_in_their_order() {
    let mut world = World::new();
    world.join("w", 2);
    world.submit(vec![task("a"), task("b"), task("c")]);
    assert!(words(&world.tick(14_999)).is_empty());
    let lost = words(&world.tick(1));
    assert_eq!(
        lost,
        ["closed b#1 LOST lease_expired -> QUEUED", "closed a#1 LOST lease_expired -> QUEUED", "worker_lost"]
    );
    let order: Vec<_> =
        given(&world.join("v", 3)).into_iter().map(|(_, attempt)| attempt.task.to_string()).collect();
    assert_eq!(order, ["a", "b", "c"]);
    assert_eq!(words(&world.status("w", heartbeat(3, vec![]))), ["w <- rehello"]);
}

#[test]
fn losses_and_failures_have_limits_of_their_own() {
    let mut world = World::new();
    let retry = Retry { max_losses: 2, max_failures: 1, ..task("t").retry };
    world.join("w", 1);
    world.submit(vec![TaskSpec { retry, ..task("t") }]);
    assert_eq!(
        words(&world.status("w", StatusKind::Goodbye)),
        ["closed t#1 LOST goodbye -> QUEUED", "worker_left"]
    );
    world.status_of("w", "i2", hello(1, vec![]));
    assert_eq!(
        words(&world.status_of("w", "i2", StatusKind::Goodbye)),
        ["bury", "ended t FAILED goodbye", "worker_left"]
    );
}

#[test]
fn a_drained_worker_finishes_and_its_goodbye_counts_against_nobody() {
    let mut world = World::new();
    let retry = Retry { max_losses: 1, ..task("t").retry };
    world.join("w", 2);
    world.submit(vec![TaskSpec { retry, ..task("t") }]);
    assert_eq!(words(&world.command(Action::Drain { worker: name("w") })), ["worker_drained", "w <- drain"]);
    assert_eq!(words(&world.submit(vec![task("u")])), ["accepted u QUEUED"]);
    assert_eq!(
        words(&world.status("w", StatusKind::Goodbye)),
        ["closed t#1 LOST drained -> QUEUED", "worker_left"]
    );
    // The operator's order outlives the worker.
    assert!(
        words(&world.status_of("w", "i2", hello(1, vec![])))
            .ends_with(&["w <- drain".into(), "worker_joined".into()])
    );
    let back = world.command(Action::Undrain { worker: name("w") });
    assert_eq!(only(&back).task.as_str(), "t");
}

#[test]
fn a_heartbeat_repairs_what_was_lost_on_the_way() {
    let mut world = World::new();
    world.join("w", 2);
    let attempts = given(&world.submit(vec![task("a"), task("b")]));
    let listed = vec![attempts[0].1.clone()];
    // The welcome has 1, the assignments 2 and 3: 2 was read, 3 was not yet.
    assert_eq!(words(&world.status("w", heartbeat(2, listed.clone()))), ["started a#1"]);
    let forgotten = words(&world.status("w", heartbeat(3, listed)));
    assert_eq!(forgotten, ["closed b#1 LOST forgotten -> QUEUED", "w <- assign b#2", "assigned b#2 w"]);
    let stale =
        words(&world.status("w", heartbeat(3, attempts.into_iter().map(|(_, attempt)| attempt).collect())));
    assert_eq!(stale, ["count fenced stale_attempt", "w <- cancel b#1 replaced"], "b#2 is open, b#1 is not");
}

#[test]
fn a_new_life_keeps_what_it_lists_with_its_token() {
    let mut world = World::new();
    world.join("w", 2);
    let attempts = given(&world.submit(vec![task("a"), task("b")]));
    let kept = attempts[0].1.clone();
    let effects = words(&world.status_of("w", "i2", hello(2, vec![kept.clone()])));
    assert_eq!(
        effects[..4],
        ["closed b#1 LOST replaced -> QUEUED", "w <- replaced", "worker_left", "w <- welcome"]
    );
    assert_eq!(words(&world.status("w", completed(kept.clone()))), ["count fenced wrong_worker"]);
    assert_eq!(words(&world.status_of("w", "i2", completed(kept))), ["ended a COMPLETED completed"]);
}

#[test]
fn an_unknown_worker_is_asked_to_say_hello() {
    let mut world = World::new();
    assert_eq!(words(&world.status("w", heartbeat(0, vec![]))), ["count fenced unknown", "ensure channel w"]);
    assert_eq!(
        words(&world.local(Local::ChannelReady { pool: pool(), worker: name("w") })),
        ["w <- rehello"]
    );
    assert_eq!(words(&world.status("w", hello(1, vec![]))), ["w <- welcome", "worker_joined"]);
}

#[test]
fn a_channel_that_is_gone_is_made_again_and_its_tasks_with_it() {
    let mut world = World::new();
    world.join("w", 1);
    world.submit(vec![task("t")]);
    let lost = words(&world.local(Local::ChannelLost { pool: pool(), worker: name("w") }));
    assert_eq!(lost, ["worker_lost", "ensure channel w", "closed t#1 LOST channel_lost -> QUEUED"]);
    let ready = words(&world.local(Local::ChannelReady { pool: pool(), worker: name("w") }));
    assert_eq!(ready, ["w <- welcome", "worker_joined", "w <- assign t#2", "assigned t#2 w"]);
}

#[test]
fn a_run_that_its_worker_does_not_end_is_ended_here() {
    let mut world = World::new();
    world.join("w", 1);
    let attempt = only(&world.submit(vec![TaskSpec { run_timeout: Some(Millis(1_000)), ..task("t") }]));
    world.status("w", StatusKind::Started { attempt: attempt.clone() });
    assert!(words(&world.tick(10_999)).is_empty());
    assert_eq!(words(&world.tick(1)), ["w <- cancel t#1 run_timeout", "bury", "ended t FAILED run_timeout"]);
    assert_eq!(words(&world.status("w", completed(attempt))), ["count duplicate terminal"]);
}

#[test]
fn a_rejected_task_goes_to_another() {
    let mut world = World::new();
    world.join("w", 1);
    let attempt = only(&world.submit(vec![task("t")]));
    let kind = StatusKind::Rejected { attempt, message: "no room".into() };
    assert_eq!(words(&world.status("w", kind))[0], "closed t#1 REJECTED rejected -> QUEUED");
}

#[test]
fn a_worker_that_left_is_forgotten_with_its_channel() {
    let mut world = World::new();
    world.join("w", 1);
    world.status("w", StatusKind::Goodbye);
    assert!(words(&world.tick(29_999)).is_empty());
    assert_eq!(words(&world.tick(1)), ["forget channel w"]);
}
