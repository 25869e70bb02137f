//! What workers report, and what is kept of it.

use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::event::{AttemptRef, StatusKind};
use yardmaster_topologies::task::{EndedTask, Json, Report, Retry, TaskSpec};
use yardmaster_topologies::time::{Millis, WallMs};
use yardmaster_topologies::wire::Event;

use crate::world::{World, given, heartbeat, only, task, words};

fn ended(effects: &[Effect]) -> EndedTask {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Publish { event: Event::Ended { task, .. } } => Some(task.as_ref().clone()),
        _ => None,
    });
    found.unwrap()
}

fn completed_at(attempt: AttemptRef, started_at: Option<u64>) -> StatusKind {
    let report = Report { started_at: started_at.map(WallMs), ..Report::default() };
    StatusKind::Completed { attempt, report }
}

/// The wall's time of a world.
fn wall(world: &World) -> u64 {
    world.wall().0
}

/// What is shown as the start of an attempt that was assigned at 0, with what came in after that: (said at, what).
fn shown_start(
    started_after: Option<u64>,
    ended_after: u64,
    said: impl Fn(u64) -> Option<u64>,
) -> Option<u64> {
    let mut world = World::new();
    world.join("w", 1);
    let attempt = only(&world.submit(vec![task("t")]));
    let assigned = wall(&world);
    if let Some(after) = started_after {
        world.now += after;
        world.status("w", StatusKind::Started { attempt: attempt.clone() });
    }
    world.now = world.now - started_after.unwrap_or(0) + ended_after;
    let effects = world.status("w", completed_at(attempt, said(assigned)));
    ended(&effects).attempts[0].started_at.map(|at| at.0 - assigned)
}

#[test]
fn a_start_that_was_left_out_is_taken_from_the_report() {
    assert_eq!(shown_start(None, 100, |assigned| Some(assigned + 20)), Some(20));
    assert_eq!(shown_start(None, 100, |_| None), None);
    // Another clock is believed only between what is known here.
    assert_eq!(shown_start(None, 100, |_| Some(0)), Some(0));
    assert_eq!(shown_start(None, 100, |assigned| Some(assigned + 5_000)), Some(100));
    // Starts may be told late, or follow from a heartbeat: the earlier of the two is meant.
    assert_eq!(shown_start(Some(50), 100, |assigned| Some(assigned + 20)), Some(20));
    assert_eq!(shown_start(Some(50), 100, |assigned| Some(assigned + 70)), Some(50));
    assert_eq!(shown_start(Some(50), 100, |_| None), Some(50));
}

#[test]
fn a_row_keeps_one_result_and_the_newest_tails() {
    let mut world = World::new();
    world.join("w", 1);
    let retry = Retry { max_failures: 30, backoff: Millis(0), ..task("t").retry };
    let mut attempt = only(&world.submit(vec![TaskSpec { retry, ..task("t") }]));
    let report = || Report {
        result: Some(Json("[1]".into())),
        stdout_tail: Some("out".into()),
        stderr_tail: Some("err".into()),
        exit_code: Some(1),
        ..Report::default()
    };
    for _ in 0..24 {
        attempt = only(&world.status("w", StatusKind::Failed { attempt, report: report() }));
    }
    let task = ended(&world.status("w", StatusKind::Completed { attempt, report: report() }));
    assert_eq!(task.attempts.len(), 20);
    let with = |has: fn(&Report) -> bool| -> Vec<u32> {
        task.attempts.iter().filter(|closed| has(&closed.report)).map(|closed| closed.attempt.0).collect()
    };
    assert_eq!(with(|report| report.result.is_some()), [25]);
    assert_eq!(with(|report| report.stdout_tail.is_some()), [23, 24, 25]);
    assert_eq!(with(|report| report.stderr_tail.is_some()), [23, 24, 25]);
    assert_eq!(with(|report| report.exit_code.is_some()).len(), 20);
}

#[test]
fn what_was_reported_but_not_acknowledged_is_not_stopped() {
    let mut world = World::new();
    world.join("w", 3);
    let retry = Retry { max_failures: 2, ..task("b").retry };
    let effects = world.submit(vec![task("a"), TaskSpec { retry, ..task("b") }, task("c")]);
    let attempts: Vec<_> = given(&effects).into_iter().map(|(_, attempt)| attempt).collect();
    world.status("w", completed_at(attempts[0].clone(), None));
    world.status("w", StatusKind::Failed { attempt: attempts[1].clone(), report: Report::default() });
    // The server gave this one up by itself.
    world.command(yardmaster_topologies::event::Action::CancelTask {
        id: attempts[2].task.clone(),
        note: String::new(),
    });
    world.tick(10_000);
    assert_eq!(
        words(&world.status("w", heartbeat(1, attempts)))[..4],
        [
            "count duplicate reported",
            "count duplicate reported",
            "count fenced stale_attempt",
            "w <- cancel c#1 replaced"
        ]
    );
}

#[test]
fn a_heartbeat_can_t_have_read_what_was_not_sent() {
    let mut world = World::new();
    world.join("w", 1);
    world.submit(vec![task("t")]);
    // The welcome has 1, the assignment 2.
    assert_eq!(words(&world.status("w", heartbeat(3, vec![]))), ["count illegal read_seq"]);
    assert_eq!(words(&world.status("w", heartbeat(2, vec![])))[0], "closed t#1 LOST forgotten -> QUEUED");
}
