//! Random sequences of everything that can come in, compared with the model after each batch. A failure prints the
//! whole sequence as a script that can become a golden one.

use proptest::prelude::*;
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::id::{JobId, QueueName, TaskId};
use yardmaster_topologies::job::{CounterKey, Dimension};
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::tables::{CounterTable, JobTable, TaskTable};
use yardmaster_topologies::task::{Counts, TaskRow, TaskState};
use yardmaster_topologies::wire::Event;

use crate::model::{End, Model, Phase, Wish};
use crate::rig::{Rig, WALL_LEAD_MS, settings};
use crate::script;
use crate::windows::Observer;

/// Choices that become concrete once it is known what is there.
type Roll = (u8, u8, u8, u8);

/// The windows are so long that nothing is forgotten: that is the golden scripts' matter.
pub(crate) fn endless() -> Settings {
    let mut settings = settings();
    for window in [&mut settings.dedup, &mut settings.job_kept, &mut settings.channel_kept] {
        window.0 = 1 << 40;
    }
    settings
}

fn wish((_, _, b, c): Roll) -> Wish {
    Wish {
        priority: i32::from(b % 3),
        job: (b / 3 % 3).checked_sub(1),
        is_tagged: c.is_multiple_of(2),
        failures: u32::from(c % 3) + 1,
        losses: u32::from(c / 3 % 3) + 1,
        run_timeout: (b / 9 % 4 == 0).then_some(4_000),
        ttl: (c / 9 % 4 == 0).then_some(3_000),
    }
}

fn words(wish: &Wish, is_large: bool) -> String {
    let mut words = format!("priority={} failures={} losses={}", wish.priority, wish.failures, wish.losses);
    let named = [
        ("job", wish.job.map(|job| format!("j{job}"))),
        ("run_timeout", wish.run_timeout.map(|ms| ms.to_string())),
        ("ttl", wish.ttl.map(|ms| ms.to_string())),
        // A large payload lies in a table of its own.
        ("payload", is_large.then(|| "2000".to_owned())),
        ("tag.t", wish.is_tagged.then(|| "x".to_owned())),
    ];
    for (name, value) in named {
        words.extend(value.map(|value| format!(" {name}={value}")));
    }
    words
}

fn names(attempts: &[(u8, u32)]) -> String {
    let names: Vec<_> = attempts.iter().map(|(id, attempt)| format!("t{id}/{attempt}")).collect();
    names.join(",")
}

/// What one line does to the model, once its turn in the batch has come.
type Step = Box<dyn FnOnce(&mut Model)>;

/// Turns a choice into a line of a script and what it means. Its turn: 0 the processor's own, 1 status, 2 commands.
fn concrete(model: &Model, roll: Roll) -> (u8, String, Step) {
    let (kind, a, b, c) = roll;
    let id = a % 8;
    match kind % 24 {
        0..=5 => {
            let wish = wish(roll);
            let line = format!("submit t{id} {}", words(&wish, b.is_multiple_of(5)));
            (2, line, Box::new(move |model| model.submit(id, wish)))
        }
        6 => (2, format!("cancel t{id}"), Box::new(move |model| model.cancel(id))),
        7 if b.is_multiple_of(4) => {
            (2, format!("cancel_job j{}", a % 2), Box::new(move |model| model.cancel_job(a % 2)))
        }
        7 | 8 => {
            let mut wish = wish(roll);
            if let Some(task) = model.tasks.get(&id).filter(|_| !b.is_multiple_of(8)) {
                // Mostly where it is counted already; else it is refused.
                (wish.job, wish.is_tagged) = (task.wish.job, task.wish.is_tagged);
            }
            let request = c % 5;
            let line = format!("requeue t{id} request=r{request} {}", words(&wish, b.is_multiple_of(5)));
            (2, line, Box::new(move |model| model.requeue(id, wish, request)))
        }
        9..=16 => of_worker(model, roll),
        _ => report(model, (a, b, c)),
    }
}

/// Something about a worker itself.
fn of_worker(model: &Model, (kind, a, b, c): Roll) -> (u8, String, Step) {
    let worker = a % 3;
    let known = model.workers.get(&worker).map_or(1, |known| known.life);
    // Now and then an old life speaks.
    let life = if c.is_multiple_of(11) { known.saturating_sub(1) } else { known };
    let mut held = model.held(worker);
    match kind % 24 {
        9 | 10 => {
            let life = if b.is_multiple_of(3) { known } else { known + 1 };
            held.retain(|(id, _)| !(u32::from(*id) + u32::from(c)).is_multiple_of(3));
            let slots = u32::from(b % 3) + 1;
            let line = format!("hello w{worker}.i{life} slots={slots} running={}", names(&held));
            (1, line, Box::new(move |model| model.hello(worker, life, slots, &held)))
        }
        11..=13 => {
            held.retain(|(id, _)| !(u32::from(*id) + u32::from(b)).is_multiple_of(7));
            let draining = b.is_multiple_of(5);
            let line =
                format!("heartbeat w{worker}.i{life} read=last draining={draining} running={}", names(&held));
            (1, line, Box::new(move |model| model.heartbeat(worker, life, draining, &held)))
        }
        14 => (1, format!("goodbye w{worker}.i{life}"), Box::new(move |model| model.goodbye(worker, life))),
        15 => {
            let (order, is_ordered) = if b.is_multiple_of(3) { ("drain", true) } else { ("undrain", false) };
            (2, format!("{order} w{worker}"), Box::new(move |model| model.drain(worker, is_ordered)))
        }
        _ => {
            let is_there = !b.is_multiple_of(4);
            let word = if is_there { "channel_ready" } else { "channel_lost" };
            (0, format!("{word} w{worker}"), Box::new(move |model| model.channel(worker, is_there)))
        }
    }
}

/// A worker says something about an attempt: mostly one that it has.
fn report(model: &Model, (a, b, c): (u8, u8, u8)) -> (u8, String, Step) {
    let open: Vec<_> = model.tasks.iter().filter(|(_, task)| task.holder.is_some()).collect();
    let (mut worker, mut id, mut attempt) = (a % 3, a % 8, u32::from(c % 3));
    if !open.is_empty() && !b.is_multiple_of(8) {
        let (open_id, task) = open[usize::from(a) % open.len()];
        (worker, id, attempt) = (task.holder.unwrap(), *open_id, task.attempt);
    }
    let life = model.workers.get(&worker).map_or(1, |known| known.life);
    let (words, end) = match c % 8 {
        0 | 1 => ("started", None),
        2 => ("progress", None),
        3 => ("failed", Some(End::Failed { retryable: true })),
        4 => ("failed", Some(End::Failed { retryable: false })),
        5 => ("rejected", Some(End::Rejected)),
        6 => ("stopped", Some(End::Stopped)),
        _ => ("completed", Some(End::Completed)),
    };
    let retryable = end != Some(End::Failed { retryable: false });
    let line = format!("{words} w{worker}.i{life} t{id}/{attempt} retryable={retryable}");
    let step = move |model: &mut Model| {
        if model.is_open(worker, life, id, attempt) {
            match end {
                None => model.start(id),
                Some(end) => {
                    model.workers.get_mut(&worker).unwrap().is_full |= end == End::Rejected;
                    model.close(id, end);
                }
            }
        }
    };
    (1, line, Box::new(step))
}

fn number<T: std::str::FromStr>(name: &str) -> T {
    name.get(1..).and_then(|digits| digits.parse().ok()).unwrap()
}

/// Takes over what only the program can choose: who got a task, and how long the jitter was.
fn follow(model: &mut Model, effects: &[Effect]) {
    for effect in effects {
        let Effect::Publish { event } = effect else {
            continue;
        };
        if let Event::AttemptClosed { id, closed, due: Some(due), .. } = event {
            let task = model.tasks.get_mut(&number::<u8>(id.as_str())).unwrap();
            let wait = due.0 - closed.closed_at.0;
            let whole = 1_000 << (task.failures - 1);
            assert!((whole / 2..=whole).contains(&wait), "after {} failures {wait} ms", task.failures);
            if task.phase == Phase::Backoff {
                task.timer = Some(due.0 - WALL_LEAD_MS);
            }
        } else if let Event::Assigned { id, attempt, worker, .. } = event {
            model.give(number(id.as_str()), attempt.0, number(worker.as_str()));
        }
    }
    model.check_all_given();
}

fn state_of(phase: Phase) -> TaskState {
    match phase {
        Phase::Waiting => TaskState::Queued,
        Phase::Backoff => TaskState::Scheduled,
        Phase::Given => TaskState::Assigned,
        Phase::Going => TaskState::Running,
        Phase::Stopping => TaskState::Cancelling,
        Phase::Over(state) => TaskState::from_name(state).unwrap(),
    }
}

fn compare(model: &Model, rig: &Rig) {
    for id in 0..8_u8 {
        let row = rig.row::<TaskTable>(&(script::pool(), TaskId::trusted(&format!("t{id}"))));
        let found = row.map(|row| match row {
            TaskRow::Live(task) => {
                (task.state, task.generation.0, task.attempt.0, task.failures, task.losses)
            }
            TaskRow::Done(marker) => (marker.state, marker.generation.0, marker.attempt.0, 0, 0),
        });
        let want = model.tasks.get(&id).map(|task| {
            let state = state_of(task.phase);
            let (failures, losses) = if state.is_terminal() { (0, 0) } else { (task.failures, task.losses) };
            (state, task.generation, task.attempt, failures, losses)
        });
        assert_eq!(found, want, "t{id}: found, wanted");
    }
}

/// Where the model's tasks are counted: each once, under its present state, also when it is over.
fn recount(model: &Model, counts_in: impl Fn(&Wish) -> bool) -> Counts {
    let mut counts = Counts::default();
    for task in model.tasks.values().filter(|task| counts_in(&task.wish)) {
        counts.shift(None, Some(state_of(task.phase)));
    }
    counts
}

fn compare_counts(model: &Model, rig: &Rig) {
    let found = |dimension| {
        rig.row::<CounterTable>(&CounterKey { pool: script::pool(), dimension }).unwrap_or_default().counts
    };
    assert_eq!(found(Dimension::Pool), recount(model, |_| true), "the pool");
    assert_eq!(found(Dimension::Queue(QueueName::trusted("q"))), recount(model, |_| true), "the queue");
    let tag = Dimension::Tag("t".into(), "x".into());
    assert_eq!(found(tag), recount(model, |wish| wish.is_tagged), "the tag");
    for job in 0..2_u8 {
        let row = rig.row::<JobTable>(&(script::pool(), JobId::trusted(&format!("j{job}"))));
        let found = row.map(|row| row.counts).unwrap_or_default();
        assert_eq!(found, recount(model, |wish| wish.job == Some(job)), "job j{job}");
    }
}

/// Plays a sequence; returns all rows that were written, for comparison with a second run.
fn play(batches: &[(u16, Vec<Roll>)], log: &mut String) -> Vec<yardmaster_state::Batch> {
    let (mut rig, mut model, mut written) = (Rig::new(endless()), Model::default(), Vec::new());
    let mut observer = Observer::default();
    let join = ["hello w0.i1 slots=2", "hello w1.i1 slots=1", "channel_ready w0", "channel_ready w1"];
    *log += &join.chunks(2).map(|lines| format!("\n-> {}\n", lines.join("\n-> "))).collect::<String>();
    // The processor's own events come first in a batch, so a channel can't be ready in the hello's.
    for lines in join.chunks(2) {
        rig.batch(script::batch(&rig, lines));
    }
    for (worker, slots) in [(0, 2), (1, 1)] {
        model.hello(worker, 1, slots, &[]);
        model.channel(worker, true);
    }
    for (ms, rolls) in batches {
        rig.pass(u64::from(*ms));
        model.now = rig.now;
        let mut lines: Vec<_> = rolls.iter().map(|roll| concrete(&model, *roll)).collect();
        lines.sort_by_key(|(turn, _, _)| *turn);
        let texts: Vec<String> = lines.iter().map(|(_, line, _)| line.clone()).collect();
        *log += &format!("\n+{ms}\n{}\n", if texts.is_empty() { "tick" } else { "" });
        texts.iter().for_each(|line| *log += &format!("-> {line}\n"));
        let (effects, batch) = rig.batch_with_rows(script::batch(&rig, &texts));
        lines.into_iter().for_each(|(_, _, step)| step(&mut model));
        // The jitter of a failure is known only from its event; nothing of it is due in the same batch.
        model.tick();
        follow(&mut model, &effects);
        compare(&model, &rig);
        compare_counts(&model, &rig);
        observer.see(&effects, rig.time().wall);
        observer.compare(&rig);
        written.push(batch);
    }
    written
}

fn sequences() -> impl Strategy<Value = Vec<(u16, Vec<Roll>)>> {
    let wait = prop_oneof![6 => 0..1_500_u16, 1 => 4_000..12_000_u16];
    proptest::collection::vec((wait, proptest::collection::vec(any::<Roll>(), 0..5)), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_grid_does_what_the_model_does(batches in sequences()) {
        let mut log = String::new();
        let run = std::panic::AssertUnwindSafe(|| play(&batches, &mut log));
        match std::panic::catch_unwind(run) {
            Ok(written) => {
                prop_assert_eq!(written, play(&batches, &mut String::new()), "the same input, the same bytes");
            }
            Err(_) => prop_assert!(false, "the sequence was:\n{}", log),
        }
    }
}
