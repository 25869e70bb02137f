//! Limits, and a hundred thousand whole lives in memory: submitted, given out, started, completed.

use std::time::Instant;

use yardmaster_topologies::driver::{BatchInput, CommandInput};
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::event::{AttemptRef, Status, StatusKind};
use yardmaster_topologies::id::{Incarnation, WorkerName};
use yardmaster_topologies::invariants::check_invariants;
use yardmaster_topologies::job::{CounterKey, Dimension};
use yardmaster_topologies::tables::{CounterTable, JobTable};
use yardmaster_topologies::task::{Report, TaskState};
use yardmaster_topologies::wire::ToWorker;

use crate::rig::{Rig, settings};
use crate::script;

fn counts(rig: &Rig) -> yardmaster_topologies::task::Counts {
    let dimension = Dimension::Pool;
    let key = CounterKey { pool: script::pool(), dimension };
    rig.row::<CounterTable>(&key).unwrap_or_default().counts
}

/// The attempts that a batch gave out, with their workers.
fn given(effects: &[Effect]) -> Vec<(WorkerName, AttemptRef)> {
    let mut given = Vec::new();
    for effect in effects {
        if let Effect::Send { worker, message: ToWorker::Assign { attempt, .. }, .. } = effect {
            given.push((worker.clone(), attempt.clone()));
        }
    }
    given
}

fn said(worker: &WorkerName, kind: StatusKind) -> Status {
    let (pool, incarnation) = (script::pool(), Incarnation::trusted("i1"));
    Status { pool, worker: worker.clone(), incarnation, kind }
}

fn submits(rig: &Rig, from: usize, count: usize) -> Vec<CommandInput> {
    let lines: Vec<_> = (from..from + count).map(|n| format!("submit t{n} job=j tag.kind=x")).collect();
    script::batch(rig, &lines).commands
}

fn join(rig: &mut Rig, workers: usize, slots: u32) {
    for worker in 0..workers {
        rig.batch(script::batch(rig, &[format!("hello w{worker}.i1 slots={slots}")]));
        rig.batch(script::batch(rig, &[format!("channel_ready w{worker}")]));
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may look at the clock and tell")]
fn a_hundred_thousand_lives() {
    const TASKS: usize = 100_000;
    const BATCH: usize = 2_000;
    let mut rig = Rig::unchecked(settings());
    join(&mut rig, 20, 200);
    let began = Instant::now();
    let (mut submitted, mut running, mut batches) = (0, Vec::new(), 0);
    while counts(&rig).of(TaskState::Completed) < TASKS as u64 {
        rig.pass(5);
        let mut status = Vec::with_capacity(2 * running.len());
        for (worker, attempt) in std::mem::take(&mut running) {
            let report = Report::default();
            status.push(said(&worker, StatusKind::Started { attempt: AttemptRef::clone(&attempt) }));
            status.push(said(&worker, StatusKind::Completed { attempt, report }));
        }
        let count = BATCH.min(TASKS - submitted);
        let commands = submits(&rig, submitted, count);
        submitted += count;
        let effects = rig.batch(BatchInput { status, commands, ..BatchInput::default() });
        running = given(&effects);
        batches += 1;
    }
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("{TASKS} lives in {batches} batches, {seconds:.1} s: {:.0} lives/s", TASKS as f64 / seconds);
    assert_eq!(check_invariants(&rig.store).unwrap(), Vec::<String>::new());
}

#[test]
fn long_lines_are_given_out_in_order_and_memory_is_refilled() {
    const TASKS: usize = 1_000;
    let mut rig = Rig::new(settings());
    for from in (0..TASKS).step_by(250) {
        let commands = submits(&rig, from, 250);
        rig.batch(BatchInput { commands, ..BatchInput::default() });
    }
    join(&mut rig, 1, 100);
    // The first hundred went out with the welcome; they come back to the front, and all go out again in order.
    rig.batch(script::batch(&rig, &["goodbye w0.i1"]));
    let mut order = Vec::new();
    let mut effects = rig.batch(script::batch(&rig, &["hello w0.i1 slots=100"]));
    while order.len() < TASKS {
        let next = given(&effects);
        assert!(!next.is_empty(), "{} of {TASKS} came out", order.len());
        order.extend(next.iter().map(|(_, attempt)| attempt.task.to_string()));
        let done = |(worker, attempt): (WorkerName, AttemptRef)| {
            let report = Report::default();
            said(&worker, StatusKind::Completed { attempt, report })
        };
        let status = next.into_iter().map(done).collect();
        effects = rig.batch(BatchInput { status, ..BatchInput::default() });
    }
    let want: Vec<_> = (0..TASKS).map(|n| format!("t{n}")).collect();
    assert_eq!(order, want);
}

#[test]
fn a_tick_does_a_bounded_number_and_says_that_more_is_left() {
    let mut limited = settings();
    limited.limits.sweep_per_tick_max = 10;
    limited.limits.timers_per_tick_max = 7;
    limited.limits.grants_per_batch_max = 5;
    limited.limits.forgotten_per_tick_max = 30;
    let mut rig = Rig::new(limited);
    let commands = submits(&rig, 0, 35);
    rig.batch(BatchInput { commands, ..BatchInput::default() });
    join(&mut rig, 1, 12);
    assert!(rig.more, "five of twelve slots were filled");
    rig.batch(BatchInput::default());
    rig.batch(BatchInput::default());
    assert!(!rig.more);
    assert_eq!(counts(&rig).of(TaskState::Assigned), 12);
    // Twelve are told to stop, the others end; ten per tick, and dispatch passes over the rest at once.
    let mut effects = rig.batch(script::batch(&rig, &["cancel_job j"]));
    for left in [25, 15, 5] {
        assert!(rig.more);
        let touched = counts(&rig).of(TaskState::Cancelling) + counts(&rig).of(TaskState::Cancelled);
        assert_eq!(35 - touched, left);
        assert!(given(&effects).is_empty(), "nothing of a cancelled job is given out");
        effects = rig.batch(script::batch(&rig, &["heartbeat w0.i1 read=0"]));
    }
    assert!(!rig.more);
    // Markers and the grace of those that are stopped: seven per tick.
    rig.pass(2_000);
    rig.batch(BatchInput::default());
    assert_eq!((rig.more, counts(&rig).of(TaskState::Cancelling)), (true, 5));
    rig.batch(BatchInput::default());
    assert_eq!((rig.more, counts(&rig).live()), (false, 0));
    rig.pass(1_000_000);
    let mut ticks = 1;
    rig.batch(BatchInput::default());
    while rig.more {
        rig.batch(BatchInput::default());
        ticks += 1;
    }
    assert_eq!(ticks, 2, "35 markers, 30 per tick: they have a limit of their own");
}

#[test]
fn jobs_are_counted_kept_and_forgotten() {
    let mut rig = Rig::new(settings());
    join(&mut rig, 1, 2);
    let key = (script::pool(), yardmaster_topologies::id::JobId::trusted("j"));
    let effects = rig.batch(script::batch(&rig, &["submit a job=j", "submit b job=j", "submit c job=j"]));
    assert_eq!(given(&effects).len(), 2);
    rig.batch(script::batch(&rig, &["completed w0.i1 a/1", "failed w0.i1 b/1", "cancel c"]));
    let row = rig.row::<JobTable>(&key).unwrap();
    let ends =
        [TaskState::Completed, TaskState::Failed, TaskState::Cancelled].map(|state| row.counts.of(state));
    assert_eq!((ends, row.counts.total(), row.done_at.is_some()), ([1, 1, 1], 3, true));
    // A new task makes it active again.
    rig.batch(script::batch(&rig, &["submit d job=j"]));
    assert_eq!(rig.row::<JobTable>(&key).unwrap().done_at, None);
    rig.batch(script::batch(&rig, &["completed w0.i1 d/1"]));
    rig.pass(2_000_000);
    rig.batch(BatchInput::default());
    assert_eq!(rig.row::<JobTable>(&key), None);
}
