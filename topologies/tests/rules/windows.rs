//! Windowed statistics, compared with an observer that keeps everything that `events` says, number by number.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use yardmaster_topologies::driver::BatchInput;
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::histogram::Histogram;
use yardmaster_topologies::id::{Attempt, Pool, QueueName, TaskId};
use yardmaster_topologies::tables::WindowTable;
use yardmaster_topologies::task::{ClosedAttempt, Outcome, TaskState};
use yardmaster_topologies::time::WallMs;
use yardmaster_topologies::window::{Happened, Tally, WindowKey, WindowRow, WindowSize, windows_of};
use yardmaster_topologies::wire::Event;

use crate::random::endless;
use crate::rig::{Rig, settings};
use crate::script;

type Task = (Pool, TaskId);

/// What happened in one window, not yet squeezed into a row.
#[derive(Debug, Clone, Default)]
struct Seen {
    counts: BTreeMap<Happened, u64>,
    queued: Vec<u64>,
    starting: Vec<u64>,
    running: Vec<u64>,
}

/// Whose window it is, of which size, and when it began.
type Window = (Pool, Option<QueueName>, WindowSize, WallMs);

/// Reads what comes out, and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    queues: BTreeMap<Task, QueueName>,
    /// Since when a task stands in its line.
    queued_at: BTreeMap<Task, u64>,
    assigned_at: BTreeMap<(Task, Attempt), u64>,
    started: BTreeSet<(Task, Attempt)>,
    windows: BTreeMap<Window, Seen>,
    now: u64,
}

impl Observer {
    pub(crate) fn see(&mut self, effects: &[Effect], now: WallMs) {
        self.now = now.0;
        for effect in effects {
            if let Effect::Publish { event } = effect {
                self.event(event);
            }
        }
    }

    /// Counts something in each window that it is in.
    fn note(&mut self, task: &Task, what: Option<Happened>, took: impl Fn(&mut Seen)) {
        let queue = self.queues[task].clone();
        for queue in [None, Some(queue)] {
            for size in WindowSize::ALL {
                let start = self.now / size.length().0 * size.length().0;
                let window = (task.0.clone(), queue.clone(), size, WallMs(start));
                let seen = self.windows.entry(window).or_default();
                what.iter().for_each(|what| *seen.counts.entry(*what).or_default() += 1);
                took(seen);
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let task = |pool: &Pool, id: &TaskId| (pool.clone(), id.clone());
        let now = self.now;
        match event {
            Event::Accepted { pool, id, queue, repeated: false, .. } => {
                let task = task(pool, id);
                self.queues.insert(task.clone(), queue.clone());
                self.queued_at.insert(task.clone(), now);
                self.note(&task, Some(Happened::Submitted), |_| {});
            }
            Event::Assigned { pool, id, attempt, .. } => {
                let task = task(pool, id);
                let waited = now - self.queued_at[&task];
                self.assigned_at.insert((task.clone(), *attempt), now);
                self.note(&task, Some(Happened::Assigned), |seen| seen.queued.push(waited));
            }
            Event::Started { pool, id, attempt, .. } => self.start(task(pool, id), *attempt, now),
            Event::AttemptClosed { pool, id, closed, next, .. } => {
                let task = task(pool, id);
                self.close(&task, closed);
                self.note(&task, Some(Happened::Retried), |_| {});
                if *next == TaskState::Queued {
                    self.queued_at.insert(task, now);
                }
            }
            Event::State { pool, id, state: TaskState::Queued, .. } => {
                self.queued_at.insert(task(pool, id), now);
            }
            Event::Ended { task: ended, closes_attempt } => {
                let task = task(&ended.spec.pool, &ended.spec.id);
                if closes_attempt.is_some() {
                    self.close(&task, ended.attempts.last().unwrap());
                }
                let what =
                    Happened::ALL.into_iter().find(|what| what.name().to_uppercase() == ended.state.name());
                self.note(&task, Some(what.unwrap()), |_| {});
            }
            Event::Accepted { .. }
            | Event::Refused { .. }
            | Event::Progress { .. }
            | Event::State { .. }
            | Event::WorkerJoined(_)
            | Event::WorkerLost(_)
            | Event::WorkerLeft(_)
            | Event::WorkerDrained(_)
            | Event::WorkerUndrained(_)
            | Event::Batch { .. } => {}
        }
    }

    fn start(&mut self, task: Task, attempt: Attempt, at: u64) {
        let key = (task.clone(), attempt);
        if self.started.insert(key.clone()) {
            let waited = at - self.assigned_at[&key];
            self.note(&task, Some(Happened::Started), |seen| seen.starting.push(waited));
        }
    }

    fn close(&mut self, task: &Task, closed: &ClosedAttempt) {
        if closed.outcome == Outcome::Lost {
            self.note(task, Some(Happened::Lost), |_| {});
        }
        let Some(started_at) = closed.started_at else { return };
        self.start(task.clone(), closed.attempt, started_at.0);
        if [Outcome::Succeeded, Outcome::Failed, Outcome::TimedOut].contains(&closed.outcome) {
            let ran = closed.closed_at.0 - started_at.0;
            self.note(task, None, |seen| seen.running.push(ran));
        }
    }

    /// The windows that are kept are exactly those in which something happened, with exactly that.
    pub(crate) fn compare(&self, rig: &Rig) {
        let mut lines: BTreeSet<(Pool, Option<QueueName>)> = BTreeSet::new();
        lines.extend(self.windows.keys().map(|(pool, queue, ..)| (pool.clone(), queue.clone())));
        for ((pool, queue), size) in lines.iter().flat_map(|line| WindowSize::ALL.map(|size| (line, size))) {
            let found = windows_of(&rig.store, pool, queue.as_ref(), size, WallMs(self.now)).unwrap();
            let first = (self.now / size.length().0 + 1).saturating_sub(size.slots().into());
            let oldest = first * size.length().0;
            let from = (pool.clone(), queue.clone(), size, WallMs(oldest));
            let to = (pool.clone(), queue.clone(), size, WallMs(u64::MAX));
            let wanted: Vec<_> = self.windows.range(from..=to).collect();
            let starts: Vec<_> = wanted.iter().map(|((.., start), _)| *start).collect();
            assert_eq!(
                found.iter().map(|row| row.start).collect::<Vec<_>>(),
                starts,
                "{pool} {queue:?} {size:?}"
            );
            for (row, (window, seen)) in found.iter().zip(wanted) {
                same(&row.tally, seen, window);
            }
        }
    }
}

fn same(tally: &Tally, seen: &Seen, window: &Window) {
    for what in Happened::ALL {
        let wanted = seen.counts.get(&what).copied().unwrap_or_default();
        assert_eq!(tally.of(what), wanted, "{} of {window:?}", what.name());
    }
    for (found, wanted) in
        [(&tally.queued, &seen.queued), (&tally.starting, &seen.starting), (&tally.running, &seen.running)]
    {
        same_lengths(found, wanted, window);
    }
}

fn same_lengths(found: &Histogram, wanted: &[u64], window: &Window) {
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    assert_eq!(found.count(), wanted.len() as u64, "{window:?}");
    assert_eq!(found.sum().0, wanted.iter().sum::<u64>(), "{window:?}");
    assert_eq!(found.max().0, wanted.last().copied().unwrap_or_default(), "{window:?}");
    for per_mille in [500, 900, 990] {
        let rank = (wanted.len() * per_mille).div_ceil(1_000);
        let exact = rank.checked_sub(1).map(|place| wanted[place]);
        let near = found.quantile(per_mille as u64).map(|length| length.0);
        let is_near = near.zip(exact).is_none_or(|(near, exact)| near.abs_diff(exact) <= exact / 32);
        assert!(near.is_some() == exact.is_some() && is_near, "{near:?} for {exact:?} in {window:?}");
    }
}

/// A rig with a worker of some slots in two pools.
fn joined() -> Rig {
    let mut rig = Rig::new(endless());
    for pool in ["p", "z"] {
        rig.batch(script::batch(&rig, &[format!("hello w.i1 slots=3 pool={pool}")]));
        rig.batch(script::batch(&rig, &[format!("channel_ready w pool={pool}")]));
    }
    rig
}

/// Commands and reports about eight tasks in two pools and three queues, many of them about what is not there.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = (0..12_u8, 0..8_u8, 1..4_u8).prop_map(|(what, id, attempt)| {
        let pool = if id < 5 { "p" } else { "z" };
        let place = format!("pool={pool} queue=q{}", id % 3);
        match what {
            0..=2 => format!("submit t{id} failures=2 {place}"),
            3 => format!("cancel t{id} {place}"),
            4 => format!("requeue t{id} request=r{attempt} {place}"),
            5 | 6 => format!("started w.i1 t{id}/{attempt} {place}"),
            7 => format!("failed w.i1 t{id}/{attempt} {place}"),
            8 => format!("rejected w.i1 t{id}/{attempt} {place}"),
            9 => format!("heartbeat w.i1 read=0 running= {place}"),
            _ => format!("completed w.i1 t{id}/{attempt} {place}"),
        }
    });
    proptest::collection::vec(line, 0..6)
}

fn batches() -> impl Strategy<Value = Vec<(u64, Vec<String>)>> {
    let wait = prop_oneof![8 => 0..2_000_u64, 3 => 4_000..90_000_u64, 1 => 600_000..30_000_000_u64];
    proptest::collection::vec((wait, lines()), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_are_what_the_events_add_up_to(batches in batches()) {
        let (mut rig, mut observer) = (joined(), Observer::default());
        for (ms, lines) in batches {
            rig.pass(ms);
            let effects = rig.batch(script::batch(&rig, &lines));
            observer.see(&effects, rig.time().wall);
            observer.compare(&rig);
        }
    }
}

fn windows(rig: &Rig, queue: Option<&str>, size: WindowSize) -> Vec<WindowRow> {
    let queue = queue.map(QueueName::trusted);
    windows_of(&rig.store, &script::pool(), queue.as_ref(), size, rig.time().wall).unwrap()
}

fn counts(row: &WindowRow) -> Vec<(&'static str, u64)> {
    let all = Happened::ALL.into_iter().map(|what| (what.name(), row.tally.of(what)));
    all.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn a_life_is_counted_where_it_happens() {
    let mut rig = joined();
    rig.batch(script::batch(&rig, &["submit a queue=x", "submit b queue=y failures=2"]));
    rig.pass(40);
    rig.batch(script::batch(&rig, &["started w.i1 a/1"]));
    rig.pass(5_000);
    rig.batch(script::batch(&rig, &["completed w.i1 a/1", "failed w.i1 b/1"]));
    let pool = windows(&rig, None, WindowSize::FiveSeconds);
    assert_eq!(counts(&pool[0]), [("submitted", 2), ("assigned", 2), ("started", 1)]);
    assert_eq!(counts(&pool[1]), [("completed", 1), ("retried", 1)]);
    assert_eq!((pool[0].tally.starting.max().0, pool[1].tally.running.max().0), (40, 5_000));
    let queue = windows(&rig, Some("y"), WindowSize::Minute);
    assert_eq!(counts(&queue[0]), [("submitted", 1), ("assigned", 1), ("retried", 1)]);
    assert_eq!(windows(&rig, Some("none"), WindowSize::Hour), []);
}

/// A batch costs its windows once, however many tasks it moves; one in which nothing moves costs nothing.
#[test]
fn rows_are_written_once_per_batch_and_only_when_tasks_move() {
    let mut rig = joined();
    let written = |batch: &yardmaster_state::Batch| {
        let is_window = |write: &&yardmaster_state::Write| {
            write.key.first() == Some(&<WindowTable as yardmaster_state::Table>::ID)
        };
        batch.writes.iter().filter(is_window).count()
    };
    let lines: Vec<_> = (0..500).map(|n| format!("submit t{n} queue=q{}", n % 2)).collect();
    let (_, batch) = rig.batch_with_rows(script::batch(&rig, &lines));
    assert_eq!(written(&batch), 3 * 3, "three sizes, of the pool and of two queues");
    rig.pass(2_000);
    let (_, batch) =
        rig.batch_with_rows(script::batch(&rig, &["heartbeat w.i1 read=last running=t0/1,t1/1,t2/1"]));
    assert_eq!(written(&batch), 3 * 3, "three of them run");
    let (_, batch) =
        rig.batch_with_rows(script::batch(&rig, &["heartbeat w.i1 read=last running=t0/1,t1/1,t2/1"]));
    assert_eq!(written(&batch), 0, "they still do");
}

#[test]
fn a_new_window_takes_the_place_of_one_that_is_over() {
    let mut rig = joined();
    rig.batch(script::batch(&rig, &["submit a queue=x", "cancel a"]));
    let size = WindowSize::FiveSeconds;
    let first = windows(&rig, None, size)[0].start;
    rig.pass(size.kept().0 - 5_000);
    assert_eq!(windows(&rig, None, size).len(), 1, "it is the oldest that is kept");
    rig.pass(5_000);
    assert_eq!(windows(&rig, None, size), [], "it lies there, and is not kept any more");
    rig.batch(script::batch(&rig, &["submit b queue=x"]));
    let rows = windows(&rig, None, size);
    assert_eq!(rows.iter().map(|row| row.start.0 - first.0).collect::<Vec<_>>(), [size.kept().0]);
    assert_eq!(counts(&rows[0])[0], ("submitted", 1), "it begins at zero");
    let slot = size.slot_of(first);
    let key = WindowKey { pool: script::pool(), queue: None, size, slot };
    assert_eq!(rig.row::<WindowTable>(&key).unwrap().start, rows[0].start, "in the same row");
    assert_eq!(counts(&windows(&rig, None, WindowSize::Hour)[0])[0], ("submitted", 2));
}

#[test]
fn a_queue_that_is_forgotten_takes_its_windows_along() {
    let mut limited = settings();
    limited.limits.forgotten_per_tick_max = 4;
    let kept = limited.job_kept.0;
    let mut rig = Rig::new(limited);
    let lines = ["x", "y", "z"].map(|queue| format!("submit {queue} queue={queue}"));
    rig.batch(script::batch(&rig, &lines));
    rig.batch(script::batch(&rig, &["cancel x", "cancel y", "cancel z"]));
    rig.pass(kept);
    let left = |rig: &Rig| ["x", "y", "z"].map(|queue| windows(rig, Some(queue), WindowSize::Hour).len());
    rig.batch(BatchInput::default());
    assert_eq!((left(&rig), rig.more), ([0, 0, 1], true), "three rows each, four per tick");
    rig.batch(BatchInput::default());
    assert_eq!((left(&rig), rig.more), ([0, 0, 0], false));
    let pool = windows(&rig, None, WindowSize::Hour);
    assert_eq!(counts(&pool[0]), [("submitted", 3), ("cancelled", 3)], "the pool remembers");
}

/// With no time to remember, a queue is forgotten in the batch in which its last task ends.
#[test]
fn a_queue_that_is_forgotten_at_once_leaves_nothing() {
    let mut short = settings();
    (short.job_kept.0, short.dedup.0) = (0, 0);
    let mut rig = Rig::new(short);
    rig.batch(script::batch(&rig, &["submit a queue=x", "cancel a"]));
    assert_eq!(windows(&rig, Some("x"), WindowSize::Hour), []);
    assert_eq!(counts(&windows(&rig, None, WindowSize::Hour)[0]), [("submitted", 1), ("cancelled", 1)]);
}
