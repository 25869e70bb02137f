//! Random histories: invariants after every batch, an independent model of each task's end, the same bytes for the same
//! input, and a store that is rebuilt from the changelog alone.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use yardmaster_state::read_row;
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::event::{Action, AttemptRef, Local, StatusKind};
use yardmaster_topologies::id::{JobId, Priority};
use yardmaster_topologies::tables::{HistoryKey, HistoryTable, TaskTable};
use yardmaster_topologies::task::{Retry, TaskRow, TaskSpec, TaskState};
use yardmaster_topologies::wire::Event;

use crate::world::{World, completed, failed, given, heartbeat, hello, id, in_job, name, pool, task};

/// One thing that happens. Numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Submit { task: u8, priority: i32, job: bool, tries: u32 },
    CancelTask(u8),
    CancelJob,
    Requeue(u8),
    Hello { worker: u8, life: u8 },
    Ready(u8),
    Lost(u8),
    Beat { worker: u8, life: u8, listed: bool },
    Report { attempt: u8, kind: u8, life: u8 },
    Goodbye { worker: u8, life: u8 },
    Drain(u8, bool),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..20_u8, -2..3_i32, any::<bool>(), 1..4_u32)
            .prop_map(|(task, priority, job, tries)| Step::Submit { task, priority, job, tries }),
        1 => (0..20_u8).prop_map(Step::CancelTask),
        1 => Just(Step::CancelJob),
        1 => (0..20_u8).prop_map(Step::Requeue),
        3 => (0..3_u8, 1..3_u8).prop_map(|(worker, life)| Step::Hello { worker, life }),
        4 => (0..3_u8).prop_map(Step::Ready),
        1 => (0..3_u8).prop_map(Step::Lost),
        3 => (0..3_u8, 1..3_u8, any::<bool>()).prop_map(|(worker, life, listed)| Step::Beat { worker, life, listed }),
        8 => (any::<u8>(), 0..5_u8, 1..3_u8).prop_map(|(attempt, kind, life)| Step::Report { attempt, kind, life }),
        1 => (0..3_u8, 1..3_u8).prop_map(|(worker, life)| Step::Goodbye { worker, life }),
        1 => (0..3_u8, any::<bool>()).prop_map(|(worker, on)| Step::Drain(worker, on)),
        3 => (0..20_000_u16).prop_map(Step::Pass),
    ]
}

/// What an observer of the effects alone knows.
#[derive(Default)]
struct Model {
    attempts: Vec<(String, AttemptRef)>,
    assigned: BTreeSet<(String, u32)>,
    open: BTreeMap<String, u32>,
    ended: BTreeMap<(String, u32), TaskState>,
}

impl Model {
    fn observe(&mut self, effects: &[Effect]) {
        self.attempts.extend(given(effects));
        for effect in effects {
            let Effect::Publish { event } = effect else {
                continue;
            };
            match event {
                Event::Assigned { id, attempt, .. } => {
                    assert!(
                        self.assigned.insert((id.to_string(), attempt.0)),
                        "{id}#{attempt} was given out twice"
                    );
                    assert!(
                        self.open.insert(id.to_string(), attempt.0).is_none(),
                        "{id} has two open attempts"
                    );
                }
                Event::AttemptClosed { id, closed, .. } => {
                    assert_eq!(
                        self.open.remove(id.as_str()),
                        Some(closed.attempt.0),
                        "{id} closes its open attempt"
                    );
                }
                // After the dedup window an id may come again: then it is another task.
                Event::Accepted { id, generation, repeated: false, .. } if generation.0 == 0 => {
                    self.assigned.retain(|(known, _)| known != id.as_str());
                    self.ended.retain(|(known, _), _| known != id.as_str());
                }
                Event::Ended { task, closes_attempt } => {
                    let id = task.spec.id.to_string();
                    assert_eq!(self.open.remove(&id), closes_attempt.map(|attempt| attempt.0), "{id} ends");
                    let before = self.ended.insert((id.clone(), task.generation.0), task.state);
                    assert!(before.is_none(), "{id} ended twice");
                }
                _ => {}
            }
        }
    }
}

fn apply(world: &mut World, model: &mut Model, step: &Step) {
    let worker = |number: u8| format!("w{number}");
    let effects = match step {
        Step::Submit { task: number, priority, job, tries } => {
            let id = format!("t{number}");
            let base = if *job { in_job(&id, "j") } else { task(&id) };
            let retry = Retry { max_failures: *tries, max_losses: 3, ..base.retry };
            world.submit(vec![TaskSpec { priority: Priority(*priority), retry, ..base }])
        }
        Step::CancelTask(number) => {
            world.command(Action::CancelTask { id: id(&format!("t{number}")), note: String::new() })
        }
        Step::CancelJob => world.command(Action::CancelJob { job: JobId::trusted("j"), note: String::new() }),
        Step::Requeue(number) => {
            let id = format!("t{number}");
            let base = if number % 2 == 0 { in_job(&id, "j") } else { task(&id) };
            world.command(Action::Requeue { task: Box::new(base) })
        }
        Step::Hello { worker: w, life } => {
            let running = model.attempts.iter().rev().take(2).map(|(_, attempt)| attempt.clone()).collect();
            world.status_of(&worker(*w), &format!("i{life}"), hello(2, running))
        }
        Step::Ready(w) => world.local(Local::ChannelReady { pool: pool(), worker: name(&worker(*w)) }),
        Step::Lost(w) => world.local(Local::ChannelLost { pool: pool(), worker: name(&worker(*w)) }),
        Step::Beat { worker: w, life, listed } => {
            let own =
                |(holder, attempt): &(String, AttemptRef)| (*holder == worker(*w)).then(|| attempt.clone());
            let running = if *listed { model.attempts.iter().filter_map(own).collect() } else { Vec::new() };
            world.status_of(&worker(*w), &format!("i{life}"), heartbeat(3, running))
        }
        Step::Report { attempt, kind, life } => {
            let Some(at) = usize::from(*attempt).checked_rem(model.attempts.len()) else {
                return;
            };
            let (holder, attempt) = model.attempts[at].clone();
            let kind = match kind {
                0 => StatusKind::Started { attempt },
                1 => failed(attempt),
                2 => StatusKind::Rejected { attempt, message: String::new() },
                3 => {
                    StatusKind::Cancelled { attempt, report: yardmaster_topologies::task::Report::default() }
                }
                _ => completed(attempt),
            };
            world.status_of(&holder, &format!("i{life}"), kind)
        }
        Step::Goodbye { worker: w, life } => {
            world.status_of(&worker(*w), &format!("i{life}"), StatusKind::Goodbye)
        }
        Step::Drain(w, true) => world.command(Action::Drain { worker: name(&worker(*w)) }),
        Step::Drain(w, false) => world.command(Action::Undrain { worker: name(&worker(*w)) }),
        Step::Pass(passed) => world.tick(u64::from(*passed)),
    };
    model.observe(&effects);
    compare(world, &effects);
}

/// An `ended` event says what the rows say: the marker, and the record in history.
fn compare(world: &World, effects: &[Effect]) {
    for effect in effects {
        let Effect::Publish { event: Event::Ended { task, .. } } = effect else {
            continue;
        };
        let (pool, id) = (task.spec.pool.clone(), task.spec.id.clone());
        let key = HistoryKey::of((&pool, &id), task.generation, task.state, task.ended_at);
        let record = read_row::<HistoryTable>(&world.store, &key).unwrap();
        assert_eq!(record.as_ref(), Some(task.as_ref()), "{id}");
        let Some(TaskRow::Done(marker)) = read_row::<TaskTable>(&world.store, &(pool, id)).unwrap() else {
            panic!("{} ended and has no marker", task.spec.id);
        };
        let said = (task.state, task.ended_at, task.generation, task.attempt);
        assert_eq!((marker.state, marker.at, marker.generation, marker.attempt), said, "{}", task.spec.id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_invariants_and_can_be_rebuilt(steps in proptest::collection::vec(step(), 1..120)) {
        let (mut world, mut model) = (World::new(), Model::default());
        for step in &steps {
            apply(&mut world, &mut model, step);
        }
        world.rebuilt_is_equal();
        let (mut again, mut model) = (World::new(), Model::default());
        again.compares = false;
        again.checks = false;
        for step in &steps {
            apply(&mut again, &mut model, step);
        }
        prop_assert_eq!(again.bytes(), world.bytes(), "the same input gives the same bytes");
    }
}

/// A long line is refilled from the index again and again, with requeues at the front in between.
#[test]
fn a_line_longer_than_its_head_keeps_its_order() {
    let mut world = World::new();
    world.compares = false;
    world.checks = false;
    let tasks: Vec<TaskSpec> = (0..2_000).map(|n| task(&format!("t{n:04}"))).collect();
    for chunk in tasks.chunks(300) {
        world.submit(chunk.to_vec());
    }
    let mut order = Vec::new();
    let mut holding = given(&world.join("w", 7));
    while !holding.is_empty() {
        let mut next = Vec::new();
        for (worker, attempt) in holding {
            order.push(attempt.task.to_string());
            next.extend(given(&world.status(&worker, completed(attempt))));
        }
        holding = next;
    }
    let sorted: Vec<String> = tasks.iter().map(|task| task.id.to_string()).collect();
    assert_eq!(order, sorted);
}
